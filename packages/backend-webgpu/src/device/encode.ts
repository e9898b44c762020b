/** Weights into their storage formats, on the host: half precision, and blocks of 8- or 4-bit integers. */

import { BLOCK, type WeightFormat } from '../plan/weights.ts'

export interface Encoded {
  readonly values: Uint16Array<ArrayBuffer> | Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>
  /** f16 bits, one per block of 32. */
  readonly scales?: Uint16Array<ArrayBuffer>
}

const float = new Float32Array(1)
const word = new Uint32Array(float.buffer)

/** IEEE 754 binary16 bits, round to nearest even. Node 20 has no Float16Array. */
export function halfBits(value: number): number {
  float[0] = value
  const bits = word[0]!
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) return sign | roundEven(Math.abs(value) * 2 ** 24)
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

/** The value of binary16 bits. */
export function halfValue(bits: number): number {
  const exponent = (bits >>> 10) & 31
  const fraction = bits & 1023
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** @param data rows of a multiple of 32 elements for the integer formats */
export function encode(data: Float32Array, format: Exclude<WeightFormat, 'f32'>): Encoded {
  if (format !== 'f16') return encodeBlocks(data, format)
  const values = new Uint16Array(data.length)
  for (let i = 0; i < data.length; i++) values[i] = halfBits(data[i]!)
  return { values }
}

/** The element of largest magnitude, whatever its sign, becomes the end of the range: ±127, or −8, which has no opposite. */
function encodeBlocks(data: Float32Array, format: 'int8' | 'int4'): Encoded {
  const [end, low, high] = format === 'int8' ? [127, -127, 127] : [-8, -8, 7]
  const values = format === 'int8' ? new Int8Array(data.length) : new Uint8Array(data.length / 2)
  const scales = new Uint16Array(data.length / BLOCK)
  for (let block = 0; block < scales.length; block++) {
    const from = block * BLOCK
    let largest = 0
    for (let i = from; i < from + BLOCK; i++) if (Math.abs(data[i]!) > Math.abs(largest)) largest = data[i]!
    scales[block] = halfBits(largest / end)
    const scale = halfValue(scales[block]!)
    for (let i = from; i < from + BLOCK; i++) {
      const level = scale === 0 ? 0 : Math.max(low, Math.min(high, Math.round(data[i]! / scale)))
      if (format === 'int8') values[i] = level
      else values[i >> 1]! |= (level + 8) << (4 * (i & 1))
    }
  }
  return { values, scales }
}
