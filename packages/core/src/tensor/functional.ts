/**
 * Operations as functions: what model code calls. Each appends one node to the open trace, except the few helpers at the
 * end, which are spelled out in other operations. Plain numbers stand for scalars of the other operand's type.
 */

import { ShapeError } from '../errors.ts'
import type { Attributes, OpName } from './attributes.ts'
import type { Tensor } from './graph.ts'
import { builder, constant } from './trace.ts'
import type { DType, Shape } from './types.ts'
import { formatSpec, sameShape, sizeOf } from './types.ts'

export type Operand = Tensor | number

function apply<Name extends OpName>(op: Name, inputs: readonly Tensor[], attributes: Attributes[Name]): Tensor {
  return builder().apply(op, inputs, attributes)[0]!
}

function pair(a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a === 'number' && typeof b === 'number') return [constant(a), constant(b)]
  if (typeof a === 'number') return [constant(a, [], (b as Tensor).dtype), b as Tensor]
  if (typeof b === 'number') return [a, constant(b, [], a.dtype)]
  return [a, b]
}

export const neg = (x: Tensor): Tensor => apply('neg', [x], {})
export const exp = (x: Tensor): Tensor => apply('exp', [x], {})
export const log = (x: Tensor): Tensor => apply('log', [x], {})
export const sqrt = (x: Tensor): Tensor => apply('sqrt', [x], {})
export const abs = (x: Tensor): Tensor => apply('abs', [x], {})
export const tanh = (x: Tensor): Tensor => apply('tanh', [x], {})
export const sigmoid = (x: Tensor): Tensor => apply('sigmoid', [x], {})
export const erf = (x: Tensor): Tensor => apply('erf', [x], {})
export const softplus = (x: Tensor): Tensor => apply('softplus', [x], {})
export const relu = (x: Tensor): Tensor => apply('relu', [x], {})
export const sin = (x: Tensor): Tensor => apply('sin', [x], {})
export const cos = (x: Tensor): Tensor => apply('cos', [x], {})

export const add = (a: Operand, b: Operand): Tensor => apply('add', pair(a, b), {})
export const sub = (a: Operand, b: Operand): Tensor => apply('sub', pair(a, b), {})
export const mul = (a: Operand, b: Operand): Tensor => apply('mul', pair(a, b), {})
export const div = (a: Operand, b: Operand): Tensor => apply('div', pair(a, b), {})
export const maximum = (a: Operand, b: Operand): Tensor => apply('maximum', pair(a, b), {})
export const minimum = (a: Operand, b: Operand): Tensor => apply('minimum', pair(a, b), {})

export const equal = (a: Operand, b: Operand): Tensor => apply('equal', pair(a, b), {})
export const less = (a: Operand, b: Operand): Tensor => apply('less', pair(a, b), {})
export const lessEqual = (a: Operand, b: Operand): Tensor => apply('lessEqual', pair(a, b), {})
export const and = (a: Tensor, b: Tensor): Tensor => apply('and', [a, b], {})
export const or = (a: Tensor, b: Tensor): Tensor => apply('or', [a, b], {})
export const not = (x: Tensor): Tensor => apply('not', [x], {})
export const where = (condition: Tensor, a: Operand, b: Operand): Tensor =>
  apply('where', [condition, ...pair(a, b)], {})
export const cast = (x: Tensor, to: DType): Tensor => (x.dtype === to ? x : apply('cast', [x], { to }))

export const reduceSum = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply('reduceSum', [x], { axes, keepDims })
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = false): Tensor =>
  apply('reduceMax', [x], { axes, keepDims })
export const argmax = (x: Tensor, axis: number): Tensor => apply('argmax', [x], { axis })
export const topK = (x: Tensor, k: number): [values: Tensor, indices: Tensor] =>
  builder().apply('topK', [x], { k }) as [Tensor, Tensor]
export const cumsum = (x: Tensor, axis: number): Tensor => apply('cumsum', [x], { axis })

export const matmul = (a: Tensor, b: Tensor, options: { transposeA?: boolean; transposeB?: boolean } = {}): Tensor =>
  apply('matmul', [a, b], { transposeA: options.transposeA ?? false, transposeB: options.transposeB ?? false })

export const reshape = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : apply('reshape', [x], { shape })
export const transpose = (x: Tensor, permutation: readonly number[]): Tensor =>
  permutation.every((axis, i) => axis === i) && permutation.length === x.shape.length
    ? x
    : apply('transpose', [x], { permutation })
export const broadcastTo = (x: Tensor, shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : apply('broadcastTo', [x], { shape })
export const slice = (x: Tensor, starts: readonly number[], ends: readonly number[]): Tensor =>
  apply('slice', [x], { starts, ends })
export const concat = (parts: readonly Tensor[], axis: number): Tensor =>
  parts.length === 1 ? parts[0]! : apply('concat', parts, { axis })
export const pad = (x: Tensor, before: readonly number[], after: readonly number[], value = 0): Tensor =>
  apply('pad', [x], { before, after, value })

export const gather = (table: Tensor, indices: Tensor): Tensor => apply('gather', [table, indices], {})
export const scatterAdd = (indices: Tensor, updates: Tensor, rows: number): Tensor =>
  apply('scatterAdd', [indices, updates], { rows })
export const updateSlice = (target: Tensor, update: Tensor, start: Tensor, axis: number): Tensor =>
  apply('updateSlice', [target, update, start], { axis })

export const stopGradient = (x: Tensor): Tensor => apply('stopGradient', [x], {})
export const softmax = (x: Tensor): Tensor => apply('softmax', [x], {})
export const logSoftmax = (x: Tensor): Tensor => apply('logSoftmax', [x], {})
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor =>
  apply('layerNorm', [x, weight, bias], { epsilon })
export const rmsNorm = (x: Tensor, weight: Tensor, epsilon: number): Tensor =>
  apply('rmsNorm', [x, weight], { epsilon })
export const gelu = (x: Tensor, approximate: 'tanh' | 'none'): Tensor => apply('gelu', [x], { approximate })
export const silu = (x: Tensor): Tensor => apply('silu', [x], {})
export const rotary = (x: Tensor, cosine: Tensor, sine: Tensor): Tensor => apply('rotary', [x, cosine, sine], {})
export const crossEntropy = (logits: Tensor, labels: Tensor): Tensor => apply('crossEntropy', [logits, labels], {})

export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  bias: Tensor,
  scale: number,
  past?: { readonly k: Tensor; readonly v: Tensor },
): Tensor {
  return apply('attention', past ? [q, k, v, bias, past.k, past.v] : [q, k, v, bias], { scale })
}

// ── spelled out in the operations above ──

/** Elements `from ≤ index < to` of one axis. */
export function narrow(x: Tensor, axis: number, from: number, to: number): Tensor {
  if (from === 0 && to === x.shape[axis]) return x
  return slice(
    x,
    x.shape.map((_, i) => (i === axis ? from : 0)),
    x.shape.map((extent, i) => (i === axis ? to : extent)),
  )
}

export function mean(x: Tensor, axes: readonly number[], keepDims = false): Tensor {
  return div(reduceSum(x, axes, keepDims), sizeOf(axes.map((axis) => x.shape[axis]!)))
}

/** Sums over the axes along which `shape` would be broadcast to reach `x`; the transpose of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  if (extra < 0) {
    throw new ShapeError('cannot sum to a higher rank', {
      where: 'sumTo',
      expected: `[${shape}]`,
      actual: formatSpec(x),
    })
  }
  const axes = x.shape.flatMap((extent, i) => (i < extra || (shape[i - extra] === 1 && extent !== 1) ? [i] : []))
  return reshape(reduceSum(x, axes, true), shape)
}

export function constantLike(x: Tensor, value: number): Tensor {
  return constant(value, [], x.dtype)
}

/** 0, 1, 2, … as i32. */
export function iota(length: number): Tensor {
  return constant(
    Int32Array.from({ length }, (_, i) => i),
    [length],
    'i32',
  )
}

/** (indices i32 [...]) → f32 [..., depth]; a row of zeros where the index is out of range. */
export function oneHot(indices: Tensor, depth: number): Tensor {
  return cast(equal(reshape(indices, [...indices.shape, 1]), iota(depth)), 'f32')
}

/** Euclidean norm over the last axis, kept: [..., D] → [..., 1]. */
export function norm(x: Tensor): Tensor {
  return sqrt(reduceSum(mul(x, x), [x.shape.length - 1], true))
}
