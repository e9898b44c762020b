/**
 * Element types that weight files use, and their widening to what the library computes with (f32, i32, bool).
 *
 * Layouts: IEEE 754 binary16; bfloat16 is the upper half of a binary32. All values are little-endian, as in safetensors;
 * every machine that runs JavaScript today is, too.
 */

import { FormatError, NumericError } from '../errors.ts'
import type { DType, HostArray } from '../tensor/types.ts'

const BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const

/** Names as in safetensors. Not every type whose size is known can be read: see {@link hostDType}. */
export type StoredDType = keyof typeof BYTES

const HOST_DTYPES: Partial<Record<StoredDType, DType>> = {
  F32: 'f32',
  F16: 'f32',
  BF16: 'f32',
  I32: 'i32',
  I64: 'i32',
  U8: 'i32',
  BOOL: 'bool',
}

export function isStoredDType(name: unknown): name is StoredDType {
  return typeof name === 'string' && Object.hasOwn(BYTES, name)
}

/** Names of all known types, for error messages. */
export function storedDTypeNames(): string {
  return Object.keys(BYTES).join(', ')
}

export function storedBytesPerElement(dtype: StoredDType): number {
  return BYTES[dtype]
}

/** The type that values of `dtype` are read as, or undefined if this library does not read them. */
export function hostDType(dtype: StoredDType): DType | undefined {
  return HOST_DTYPES[dtype]
}

/**
 * Widens little-endian `bytes` of type `dtype`: F32, F16, BF16 to Float32Array; I32, I64, U8 to Int32Array; BOOL to
 * Uint8Array of zeros and ones. F32 and I32 are not copied where alignment allows.
 *
 * @throws FormatError for a type that is not read; NumericError for an I64 value beyond 32 bits
 */
export function widen(bytes: Uint8Array, dtype: StoredDType, where: string): HostArray {
  switch (dtype) {
    case 'F32': {
      const aligned = alignTo(bytes, 4)
      return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4)
    }
    case 'I32': {
      const aligned = alignTo(bytes, 4)
      return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4)
    }
    case 'F16':
      return halfToFloat(halves(bytes))
    case 'BF16':
      return bfloatToFloat(halves(bytes))
    case 'I64':
      return narrowInt64(bytes, where)
    case 'U8':
      return Int32Array.from(bytes)
    case 'BOOL':
      return bytes.map((value) => (value === 0 ? 0 : 1))
    default:
      throw new FormatError(`element type ${dtype} is not supported`, {
        where,
        expected: `one of ${Object.keys(HOST_DTYPES).join(', ')}`,
      })
  }
}

/** binary16 to binary32, exactly: subnormals, infinities and NaN included. */
export function halfToFloat(source: Uint16Array): Float32Array {
  const result = new Uint32Array(source.length)
  for (let i = 0; i < source.length; i++) {
    const half = source[i]!
    const sign = (half & 0x8000) << 16
    const magnitude = half & 0x7fff
    if (magnitude >= 0x7c00) result[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13)
    else if (magnitude >= 0x0400) result[i] = sign | ((magnitude << 13) + ((127 - 15) << 23))
    else result[i] = sign | subnormalBits(magnitude)
  }
  return new Float32Array(result.buffer)
}

/** Bits of the binary32 that equals `magnitude` · 2⁻²⁴: the leading one becomes implicit. */
function subnormalBits(magnitude: number): number {
  if (magnitude === 0) return 0
  const exponent = 31 - Math.clz32(magnitude)
  return ((exponent - 24 + 127) << 23) | ((magnitude << (23 - exponent)) & 0x7fffff)
}

/** bfloat16 to binary32: sixteen zero bits appended. */
export function bfloatToFloat(source: Uint16Array): Float32Array {
  const result = new Uint32Array(source.length)
  for (let i = 0; i < source.length; i++) result[i] = source[i]! << 16
  return new Float32Array(result.buffer)
}

function narrowInt64(bytes: Uint8Array, where: string): Int32Array {
  const aligned = alignTo(bytes, 4)
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4)
  const result = new Int32Array(words.length / 2)
  for (let i = 0; i < result.length; i++) {
    const low = words[2 * i]!
    if (words[2 * i + 1] !== low >> 31) {
      const actual = `${new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(8 * i, true)} at element ${i}`
      throw new NumericError('a 64-bit integer does not fit into 32 bits', { where, actual })
    }
    result[i] = low
  }
  return result
}

function halves(bytes: Uint8Array): Uint16Array {
  const aligned = alignTo(bytes, 2)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}

/** Tensors may start at any byte of a file; typed arrays may not. */
function alignTo(bytes: Uint8Array, alignment: number): Uint8Array {
  return bytes.byteOffset % alignment === 0 ? bytes : bytes.slice()
}

/**
 * @throws NumericError naming the first element that is NaN or infinite. Weights with one are damaged, and everything
 * computed from them is.
 */
export function checkFinite(data: HostArray, where: string): void {
  if (!(data instanceof Float32Array)) return
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      throw new NumericError('a value is not finite', {
        where,
        expected: 'finite numbers',
        actual: `${data[i]} at element ${i}`,
        hint: 'The file is damaged or training diverged',
      })
    }
  }
}
