import { describe, expect, it } from 'vitest'
import { Message } from './proto.ts'

const hex = (message: Message): string => Buffer.from(message.encode()).toString('hex')

describe('wire format', () => {
  // The three examples of protobuf.dev, "Encoding".
  it('writes the documented examples', () => {
    expect(hex(new Message().varint(1, 150))).toBe('089601')
    expect(hex(new Message().string(2, 'testing'))).toBe('120774657374696e67')
    expect(hex(new Message().message(3, new Message().varint(1, 150)))).toBe('1a03089601')
  })

  it('writes negative and large integers in two’s complement of 64 bits', () => {
    expect(hex(new Message().varint(1, -2))).toBe('08feffffffffffffffff01')
    expect(hex(new Message().varint(1, 2 ** 31))).toBe('088080808008')
    expect(hex(new Message().varint(1, 2n ** 40n))).toBe('08808080808020')
    expect(hex(new Message().varint(1, 0))).toBe('0800')
  })

  it('writes floats little-endian and fields beyond 15 with longer tags', () => {
    expect(hex(new Message().float(2, 1))).toBe('150000803f')
    expect(hex(new Message().varint(20, 1))).toBe('a00101')
  })

  it('keeps large payloads by reference, in order, and counts every byte', () => {
    const payload = new Uint8Array(1000).fill(7)
    const message = new Message().varint(1, 1).bytes(9, payload).varint(2, 2)
    const outer = new Message().message(3, message).string(4, 'x')
    expect(outer.parts().some((part) => part === payload)).toBe(true)
    const expected = Buffer.concat([
      Buffer.from('1aef070801' + '4ae807', 'hex'),
      payload,
      Buffer.from('1002220178', 'hex'),
    ])
    expect(Buffer.from(outer.encode()).equals(expected)).toBe(true)
    expect(outer.size).toBe(expected.length)
  })
})
