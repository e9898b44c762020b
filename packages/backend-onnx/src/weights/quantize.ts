/**
 * Weight-only quantisation: blocks of low-bit integers with one f32 scale each, in the layout of `MatMulNBits`
 * (ONNX Runtime's contrib operators): B uint8 [N, K/block, block·bits/8], low nibble first; scales f32 [N·K/block].
 *
 * Symmetric around the middle code 2^(bits−1), which is the operator's default zero point. The element of largest
 * magnitude takes the lowest code: the negative side has one more, so the scale is max/−2^(bits−1) with the sign of that
 * element. K is filled up to whole blocks with zeros.
 */

import type { Shape } from '@afterthought/core'

export type Bits = 4 | 8

/** Elements that share a scale. */
const BLOCK = 32

export interface QuantizedLayout {
  readonly bits: Bits
  readonly block: number
  /** N: rows of the packed matrix, columns of the product. */
  readonly columns: number
  /** K: the axis that is summed over. */
  readonly inner: number
  /** Whether the weight is stored as [N, K], else [K, N]. */
  readonly transposed: boolean
  readonly blocks: number
  readonly packedBytes: number
  readonly scaleBytes: number
  /** Codes, then scales. */
  readonly totalBytes: number
}

export function quantizedLayoutOf(shape: Shape, transposed: boolean, bits: Bits): QuantizedLayout {
  const [rows, width] = shape as [number, number]
  const [columns, inner] = transposed ? [rows, width] : [width, rows]
  const blocks = Math.ceil(inner / BLOCK)
  const packedBytes = (columns * blocks * BLOCK * bits) / 8
  const scaleBytes = columns * blocks * 4
  const totalBytes = packedBytes + scaleBytes
  return { bits, block: BLOCK, columns, inner, transposed, blocks, packedBytes, scaleBytes, totalBytes }
}

/** Columns between two turns of the event loop. */
const COLUMNS_AT_ONCE = 512

/** Codes followed by scales. */
export async function quantize(weight: Float32Array, layout: QuantizedLayout): Promise<Uint8Array> {
  const result = new Uint8Array(layout.totalBytes)
  const packed = result.subarray(0, layout.packedBytes)
  const scales = new Float32Array(result.buffer, layout.packedBytes, layout.scaleBytes / 4)
  const { columns, inner, blocks, block, bits, transposed } = layout
  const bytesPerBlock = (block * bits) / 8
  const values = new Float32Array(block)
  for (let column = 0; column < columns; column++) {
    if (column % COLUMNS_AT_ONCE === COLUMNS_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve))
    for (let b = 0; b < blocks; b++) {
      for (let i = 0; i < block; i++) {
        const k = b * block + i
        values[i] = k >= inner ? 0 : transposed ? weight[column * inner + k]! : weight[k * columns + column]!
      }
      const at = column * blocks + b
      scales[at] = packBlock(values, bits, packed, at * bytesPerBlock)
    }
  }
  return result
}

/** Writes one block's codes at `offset` and returns its scale. */
function packBlock(values: Float32Array, bits: Bits, packed: Uint8Array, offset: number): number {
  const middle = 1 << (bits - 1)
  let extreme = 0
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value
  const scale = Math.fround(extreme / -middle)
  const inverse = scale === 0 ? 0 : 1 / scale
  const code = (value: number): number => Math.min(Math.round(value * inverse) + middle, 2 * middle - 1)
  if (bits === 8) for (let i = 0; i < values.length; i++) packed[offset + i] = code(values[i]!)
  else {
    for (let i = 0; i < values.length; i += 2) {
      packed[offset + i / 2] = code(values[i]!) | (code(values[i + 1]!) << 4)
    }
  }
  return scale
}
