import { describe, expect, it } from 'vitest'
import { AfterthoughtError, FormatError, NumericError } from '../errors.ts'
import { allocate, type HostTensor } from '../tensor/types.ts'
import { bytesSource, type FileSource } from './file-source.ts'
import { openSafetensors, parseSafetensors, writeSafetensors } from './safetensors.ts'

/** A file with the given header and `dataBytes` bytes 0, 1, 2, … */
function fileWith(header: unknown, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + text.length + dataBytes)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  for (let i = 0; i < dataBytes; i++) file[8 + text.length + i] = i
  return file
}

const entry = (dtype: string, shape: unknown, begin: number, end: number): object => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})

async function readOne(dtype: string, bytes: Uint8Array, elements: number): Promise<number[]> {
  const file = fileWith({ x: entry(dtype, [elements], 0, bytes.length) }, bytes.length)
  file.set(bytes, file.length - bytes.length)
  const { tensors } = await parseSafetensors(file)
  return Array.from(await tensors.get('x')!.read())
}

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

describe('element types', () => {
  it('widens F16 exactly: normal, subnormal, zero, infinite, NaN', async () => {
    const halves = Uint16Array.of(
      0x3c00,
      0xc000,
      0x7bff,
      0x0400,
      0x0001,
      0x83ff,
      0x0000,
      0x8000,
      0x7c00,
      0xfc00,
      0x7e00,
    )
    const values = await readOne('F16', bytesOf(halves), halves.length)
    const expected = [1, -2, 65504, 2 ** -14, 2 ** -24, -1023 * 2 ** -24, 0, -0, Infinity, -Infinity, NaN]
    expect(values).toEqual(expected)
    expect(Object.is(values[7], -0)).toBe(true)
  })

  it('widens every finite F16 as its definition says', async () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const values = await readOne('F16', bytesOf(halves), 65536)
    for (let bits = 0; bits < 65536; bits++) {
      const exponent = (bits >> 10) & 31
      const fraction = bits & 1023
      if (exponent === 31) continue
      const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
      if (values[bits] !== (bits & 0x8000 ? -magnitude : magnitude)) expect(values[bits]).toBe(magnitude)
    }
  })

  it('widens BF16, and reads F32 and I32 as they are', async () => {
    expect(await readOne('BF16', bytesOf(Uint16Array.of(0x3f80, 0xc049, 0x0001)), 3)).toEqual([1, -3.140625, 2 ** -133])
    expect(await readOne('F32', bytesOf(Float32Array.of(1.5, -2)), 2)).toEqual([1.5, -2])
    expect(await readOne('I32', bytesOf(Int32Array.of(7, -8)), 2)).toEqual([7, -8])
  })

  it('narrows I64, and refuses what does not fit', async () => {
    const fitting = BigInt64Array.of(5n, -6n, 2147483647n, -2147483648n)
    expect(await readOne('I64', bytesOf(fitting), 4)).toEqual([5, -6, 2147483647, -2147483648])
    for (const value of [2147483648n, -2147483649n, 2n ** 40n]) {
      const reading = readOne('I64', bytesOf(BigInt64Array.of(0n, value)), 2)
      await expect(reading).rejects.toThrow(NumericError)
      await expect(reading).rejects.toThrow(`${value} at element 1`)
    }
  })

  it('reads BOOL and U8, and names types it does not read', async () => {
    expect(await readOne('BOOL', Uint8Array.of(0, 1, 255), 3)).toEqual([0, 1, 1])
    expect(await readOne('U8', Uint8Array.of(0, 200), 2)).toEqual([0, 200])
    await expect(readOne('F64', new Uint8Array(8), 1)).rejects.toThrow('element type F64 is not supported')
  })

  it('reads tensors at any byte of the file', async () => {
    const header = { __metadata__: { a: 'b' }, x: entry('F32', [1], 1, 5), y: entry('U8', [1], 0, 1) }
    const file = fileWith(header, 5)
    file.set(bytesOf(Float32Array.of(3.25)), file.length - 4)
    const { tensors, metadata } = await parseSafetensors(file)
    expect(Array.from(await tensors.get('x')!.read())).toEqual([3.25])
    expect(metadata).toEqual({ a: 'b' })
    expect([...tensors.keys()]).toEqual(['y', 'x'])
  })
})

describe('hostile headers', () => {
  const fine = { a: entry('F32', [2], 0, 8), b: entry('F32', [2], 8, 16) }
  const withA = (change: object): object => ({ ...fine, a: { ...fine.a, ...change } })
  const hugeLength = fileWith(fine, 16)
  new DataView(hugeLength.buffer).setBigUint64(0, 2n ** 62n, true)
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'too short'],
    ['seven bytes', new Uint8Array(7), 'too short'],
    ['huge header length', hugeLength, 'header length'],
    ['truncated', fileWith(fine, 16).slice(0, 60), 'header length'],
    ['not UTF-8', fileWith(fine, 16).fill(0xff, 8, 20), 'UTF-8'],
    ['not JSON', fileWith('xxxxxxxx', 16), 'not JSON'],
    ['an array', fileWith('[]', 16), 'not a JSON object'],
    ['deeply nested', fileWith(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 0), 'not a JSON object'],
    [
      'deeply nested shape',
      fileWith({ a: entry('F32', JSON.parse(`${'['.repeat(3000)}${']'.repeat(3000)}`), 0, 8) }, 8),
      'bad shape',
    ],
    ['entry is no object', fileWith({ a: 3 }, 16), 'not a JSON object'],
    ['twice the same name', fileWith('{"a":1,"a":2}', 16), 'twice'],
    ['overlap', fileWith(withA({ data_offsets: [4, 12] }), 16), 'overlap'],
    ['same bytes', fileWith(withA({ data_offsets: [8, 16] }), 16), 'overlap'],
    ['past the end', fileWith(withA({ data_offsets: [0, 2 ** 40] }), 16), 'leaves the file'],
    ['negative', fileWith(withA({ data_offsets: [-8, 0] }), 16), 'data_offsets'],
    ['reversed', fileWith(withA({ data_offsets: [8, 0] }), 16), 'data_offsets'],
    ['three offsets', fileWith(withA({ data_offsets: [0, 8, 16] }), 16), 'data_offsets'],
    ['fractional', fileWith(withA({ shape: [0.5, 4] }), 16), 'bad shape'],
    ['shape lies', fileWith(withA({ shape: [2 ** 31, 2 ** 31] }), 16), 'absurd shape'],
    ['shape too large by one', fileWith(withA({ shape: [3] }), 16), 'does not fit'],
    ['infinite times zero', fileWith('{"a":{"dtype":"F32","shape":[1e999,0],"data_offsets":[0,0]}}', 0), 'bad shape'],
    ['too many axes', fileWith(withA({ shape: new Array(1000).fill(1) }), 16), 'bad shape'],
    ['text for shape', fileWith(withA({ shape: '2' }), 16), 'bad shape'],
    ['unknown dtype', fileWith(withA({ dtype: 'Q7' }), 16), 'unknown element type'],
    ['dtype of the prototype', fileWith(withA({ dtype: 'constructor' }), 16), 'unknown element type'],
    ['metadata of numbers', fileWith({ ...fine, __metadata__: { a: 1 } }, 16), 'metadata'],
  ]
  it.each(cases)('%s', async (_, file, message) => {
    const opening = parseSafetensors(file, 'bad.safetensors')
    await expect(opening).rejects.toThrow(FormatError)
    await expect(opening).rejects.toThrow(message)
    await expect(opening).rejects.toThrow('bad.safetensors')
  })

  it('accepts holes, empty tensors and scalars', async () => {
    const { tensors } = await parseSafetensors(
      fileWith({ a: entry('F32', [0, 5], 3, 3), b: entry('U8', [], 2, 3), __proto: entry('U8', [2], 6, 8) }, 8),
    )
    expect(tensors.get('a')!.shape).toEqual([0, 5])
    expect(Array.from(await tensors.get('b')!.read())).toEqual([2])
  })

  it('treats names of the prototype as names', async () => {
    const { tensors } = await parseSafetensors(
      fileWith('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    )
    expect([...tensors.keys()]).toEqual(['__proto__'])
  })
})

describe('reading', () => {
  it('reads the header and the tensors asked for, nothing else', async () => {
    const bytes = fileWith({ a: entry('F32', [2], 0, 8), b: entry('F32', [2], 8, 16) }, 16)
    const inner = bytesSource(bytes)
    let read = 0
    const counting: FileSource = {
      ...inner,
      read: (offset, length) => {
        read += length
        return inner.read(offset, length)
      },
    }
    const { tensors } = await openSafetensors(counting)
    expect(read).toBe(bytes.length - 16)
    await tensors.get('b')!.read()
    expect(read).toBe(bytes.length - 8)
  })
})

describe('writing', () => {
  const tensors = new Map<string, HostTensor>([
    ['flags', { dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ['weights', { dtype: 'f32', shape: [2, 2], data: Float32Array.of(1, 2, 3, -0) }],
    ['ids', { dtype: 'i32', shape: [2], data: Int32Array.of(-1, 9) }],
    ['scalar', { dtype: 'f32', shape: [], data: Float32Array.of(0.5) }],
    ['nothing', { dtype: 'f32', shape: [0, 4], data: new Float32Array(0) }],
  ])

  it('round-trips, aligned', async () => {
    const file = writeSafetensors(tensors, { step: '12', note: 'ü' })
    const opened = await parseSafetensors(file)
    expect(opened.metadata).toEqual({ step: '12', note: 'ü' })
    for (const [name, { data, shape, dtype }] of tensors) {
      const stored = opened.tensors.get(name)!
      expect(stored.shape).toEqual(shape)
      expect(await stored.read()).toEqual(data)
      if (dtype !== 'bool') expect(stored.offset % 4).toBe(0)
    }
    expect(opened.tensors.size).toBe(tensors.size)
  })

  it('is deterministic and takes views', async () => {
    expect(writeSafetensors(tensors)).toEqual(writeSafetensors(tensors))
    const view = new Float32Array(8).fill(7).subarray(2, 4)
    const { tensors: read } = await parseSafetensors(
      writeSafetensors(new Map([['v', { dtype: 'f32', shape: [2], data: view }]])),
    )
    expect(Array.from(await read.get('v')!.read())).toEqual([7, 7])
  })

  it('refuses data that does not fill its shape', () => {
    const wrong = new Map<string, HostTensor>([['x', { dtype: 'f32', shape: [3], data: new Float32Array(2) }]])
    expect(() => writeSafetensors(wrong)).toThrow(FormatError)
  })
})

/** Numerical Recipes' linear congruential generator: the same mutations on every machine. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  const tokens = [
    '-1',
    '1e999',
    '99999999999',
    '"F32"',
    '"F64"',
    'null',
    '[]',
    '{}',
    '""',
    '0.5',
    ':',
    ',',
    '{',
    ']',
    '9',
  ]
  let file = original.slice()
  for (let edits = 1 + random(3); edits > 0; edits--) {
    const position = random(file.length + 1)
    switch (random(5)) {
      case 0:
        if (file.length > 0) file[random(file.length)] = random(256)
        break
      case 1:
        file = file.slice(0, position)
        break
      case 2: {
        const token = new TextEncoder().encode(tokens[random(tokens.length)])
        file.set(token.subarray(0, Math.max(0, file.length - position)), position)
        break
      }
      case 3:
        file[random(Math.min(8, file.length))] = random(256)
        break
      default: {
        // Move bytes within the header: numbers and names change places.
        const from = 8 + random(Math.max(1, file.length - 8))
        file.copyWithin(position, from, from + random(24))
      }
    }
  }
  return file
}

describe('fuzzing', () => {
  const count = Number(process.env.FUZZ_COUNT ?? 100_000)
  it(`${count} mutated files are refused clearly or read within their size`, { timeout: 600_000 }, async () => {
    const random = generator(20240607)
    const original = writeSafetensors(
      new Map(
        (['f32', 'i32', 'bool'] as const).map((dtype, i) => [
          `layer.${i}.weight`,
          { dtype, shape: [2, 3 + i], data: allocate(dtype, 6 + 2 * i) },
        ]),
      ),
      { format: 'pt' },
    )
    let valid = 0
    for (let run = 0; run < count; run++) {
      const file = mutate(original, random)
      try {
        const { tensors } = await parseSafetensors(file)
        let elements = 0
        for (const tensor of tensors.values()) elements += (await tensor.read()).length
        expect(elements).toBeLessThanOrEqual(file.length)
        valid++
      } catch (error) {
        if (!(error instanceof AfterthoughtError)) throw error
      }
    }
    expect(valid).toBeGreaterThan(0)
    expect(valid).toBeLessThan(count)
  })
})
