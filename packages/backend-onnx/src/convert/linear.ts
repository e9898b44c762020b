/**
 * Matrix products.
 *
 * A weight is a 2-D parameter. [..., K] · [K, N] becomes one Gemm over all rows, with the following bias added in the same
 * call and with a Hugging Face [N, K] weight read transposed in place. Measured without prepacking, Gemm with `transB` is
 * level with MatMul at 1 and at 200 rows and faster between (6 rows: 1.06 against 1.43 ms for 768 × 3072 on one core),
 * so that neither layout needs a transposed copy of the weights.
 */

import type { Node, Shape, Tensor } from '@afterthought/core'
import { sizeOf } from '@afterthought/core'
import { int, ints, OMITTED } from '../model.ts'
import type { Emitter, QuantizedWeight, Rules } from './emitter.ts'

export const linear: Rules = {
  matmul: (emit, [a, b], node) =>
    isWeightProduct(node, (tensor) => emit.isParameter(tensor))
      ? weightProduct(emit, a!, b!, undefined, node)
      : product(emit, a!, b!, node.inputs, node.attributes),
}

/** Whether `node` multiplies rows by a weight matrix. */
export function isWeightProduct(node: Node<'matmul'>, isParameter: (tensor: Tensor) => boolean): boolean {
  const [, weight] = node.inputs
  return (
    !node.attributes.transposeA &&
    weight!.shape.length === 2 &&
    isParameter(weight!) &&
    sizeOf(node.inputs[0]!.shape) > 0 &&
    sizeOf(weight!.shape) > 0
  )
}

/** rows · weight (+ bias): [..., K] → [..., N]. */
export function weightProduct(
  emit: Emitter,
  rows: string,
  weight: string,
  bias: string | undefined,
  node: Node<'matmul'>,
): string {
  const [a, b] = node.inputs as [Tensor, Tensor]
  const quantized = emit.quantized.get(b)
  if (quantized) return quantizedProduct(emit, rows, bias, quantized)
  const output = node.outputs[0]!.shape
  const flat = a.shape.length === 2 ? rows : emit.op('Reshape', [rows, emit.shape(flattened(a.shape))])
  const operands = bias === undefined ? [flat, weight] : [flat, weight, bias]
  const result = emit.op('Gemm', operands, { transB: int(Number(node.attributes.transposeB)) })
  return a.shape.length === 2 ? result : emit.op('Reshape', [result, emit.shape(output)])
}

const flattened = (shape: Shape): Shape => [sizeOf(shape.slice(0, -1)), shape.at(-1)!]

/** Accumulates in int8: the fastest kernel, and as exact as the weights are. */
const ACCURACY_INT8 = 4

function quantizedProduct(emit: Emitter, rows: string, bias: string | undefined, weight: QuantizedWeight): string {
  const operands = [rows, weight.packed, weight.scales]
  if (bias !== undefined) operands.push(OMITTED, OMITTED, bias)
  return emit.microsoft('MatMulNBits', operands, {
    K: int(weight.inner),
    N: int(weight.columns),
    bits: int(weight.bits),
    block_size: int(weight.block),
    accuracy_level: int(ACCURACY_INT8),
  })
}

/**
 * A product of two computed values; transposed operands are read in place where the provider can. Transposing a large one
 * first would be 1 to 3 % of a training step faster, but a plain product of more columns than rows sums in another order
 * with more threads (128 × 256 with four), and one that reads its first operand transposed does not.
 */
export function product(
  emit: Emitter,
  a: string,
  b: string,
  [left, right]: readonly { readonly shape: Shape }[],
  { transposeA, transposeB }: { readonly transposeA: boolean; readonly transposeB: boolean },
): string {
  if (!transposeA && !transposeB) return emit.op('MatMul', [a, b])
  if (emit.target.cpuOnly) {
    const attributes = { transA: int(Number(transposeA)), transB: int(Number(transposeB)) }
    return emit.microsoft('FusedMatMul', [a, b], attributes)
  }
  const first = transposeA ? transposed(emit, a, left!.shape.length) : a
  const second = transposeB ? transposed(emit, b, right!.shape.length) : b
  return emit.op('MatMul', [first, second])
}

/** The last two axes swapped. */
export function transposed(emit: Emitter, x: string, rank: number): string {
  const perm = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis))
  return emit.op('Transpose', [x], { perm: ints(perm) })
}
