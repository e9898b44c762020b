/** Matrix product, batched and broadcast, with either operand read transposed. */

import { ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Tensor } from '../graph.ts'
import type { Primitive } from '../ops.ts'
import type { Shape, TensorSpec } from '../types.ts'
import { sizeOf } from '../types.ts'
import { broadcastShapes, broadcastStrides, expectInputs, forEachRow, formatSpecs } from './rules.ts'

interface Product {
  readonly batch: Shape
  readonly rows: number
  readonly inner: number
  readonly columns: number
}

function product(inputs: readonly TensorSpec[], transposeA: boolean, transposeB: boolean): Product {
  expectInputs('matmul', inputs, ['f32', 'f32'])
  const [a, b] = inputs.map((spec) => spec.shape) as [Shape, Shape]
  if (a.length < 2 || b.length < 2) {
    throw new ShapeError('operands need two axes', { where: 'matmul', actual: formatSpecs(inputs) })
  }
  const [m, k] = transposeA ? [a.at(-1)!, a.at(-2)!] : [a.at(-2)!, a.at(-1)!]
  const [k2, n] = transposeB ? [b.at(-1)!, b.at(-2)!] : [b.at(-2)!, b.at(-1)!]
  if (k !== k2) {
    throw new ShapeError('inner extents differ', {
      where: 'matmul',
      expected: `[…,${m},${k}] · […,${k},${n}]`,
      actual: `${formatSpecs(inputs)}${transposeA ? ', first transposed' : ''}${transposeB ? ', second transposed' : ''}`,
    })
  }
  return { batch: broadcastShapes('matmul', a.slice(0, -2), b.slice(0, -2)), rows: m, inner: k, columns: n }
}

/** c[M,N] += a[M,K] · b[K,N] for one matrix; the column loop is innermost so that b and c are read in order. */
function multiply(
  a: Float32Array,
  b: Float32Array,
  c: Float64Array,
  { rows, inner, columns }: Product,
  stepA: readonly [number, number],
  bTransposed: boolean,
): void {
  for (let m = 0; m < rows; m++) {
    const out = c.subarray(m * columns, (m + 1) * columns)
    if (bTransposed) {
      for (let n = 0; n < columns; n++) {
        let sum = 0
        const row = n * inner
        const from = m * stepA[0]
        for (let k = 0; k < inner; k++) sum += a[from + k * stepA[1]]! * b[row + k]!
        out[n] = sum
      }
    } else {
      for (let k = 0; k < inner; k++) {
        const factor = a[m * stepA[0] + k * stepA[1]]!
        const row = k * columns
        for (let n = 0; n < columns; n++) out[n]! += factor * b[row + n]!
      }
    }
  }
}

/** Sums a gradient over broadcast batch axes. */
const toOperand = (operand: Tensor, gradient: Tensor): Tensor => F.sumTo(gradient, operand.shape)

export const linear = {
  matmul: {
    infer(inputs, { transposeA, transposeB }) {
      const { batch, rows, columns } = product(inputs, transposeA, transposeB)
      return [{ shape: [...batch, rows, columns], dtype: 'f32' }]
    },
    // C = A·B: dA = g·Bᵀ, dB = Aᵀ·g; a transposed operand takes the transposed product.
    gradient: ({ inputs, upstream, attributes: { transposeA, transposeB } }) => {
      const [a, b] = inputs as [Tensor, Tensor]
      const flat = flatGradient(a, b, upstream, transposeA, transposeB)
      if (flat) return flat
      const gradientA = transposeA
        ? F.matmul(b, upstream, { transposeA: transposeB, transposeB: true })
        : F.matmul(upstream, b, { transposeB: !transposeB })
      const gradientB = transposeB
        ? F.matmul(upstream, a, { transposeA: true, transposeB: transposeA })
        : F.matmul(a, upstream, { transposeA: !transposeA })
      return [toOperand(a, gradientA), toOperand(b, gradientB)]
    },
    evaluate([a, b], { transposeA, transposeB }, [out]) {
      const shape = product([a!, b!], transposeA, transposeB)
      const result = new Float32Array(sizeOf(out!.shape))
      const sizes = [shape.rows * shape.inner, shape.inner * shape.columns] as const
      const strides = [a!, b!].map((operand) => broadcastStrides(operand.shape.slice(0, -2), shape.batch))
      const stepA = transposeA ? ([1, shape.rows] as const) : ([shape.inner, 1] as const)
      const sums = new Float64Array(shape.rows * shape.columns)
      const one = (matrixA: number, matrixB: number, index: number): void => {
        sums.fill(0)
        const left = (a!.data as Float32Array).subarray(matrixA * sizes[0], (matrixA + 1) * sizes[0])
        const right = (b!.data as Float32Array).subarray(matrixB * sizes[1], (matrixB + 1) * sizes[1])
        multiply(left, right, sums, shape, stepA, transposeB)
        result.set(sums, index * sums.length)
      }
      const width = shape.batch.at(-1) ?? 1
      const steps = strides.map((stride) => stride.at(-1) ?? 0) as [number, number]
      forEachRow(shape.batch, strides, ([fromA, fromB], to) => {
        for (let i = 0; i < width; i++) one(fromA! + i * steps[0], fromB! + i * steps[1], to + i)
      })
      return [result]
    },
  } as Primitive<'matmul'>,
}

/**
 * The common case of a weight shared by a batch, [..., M, K] · [K, N]: the weight's gradient is one large product over
 * all rows instead of one per matrix and a sum.
 */
function flatGradient(
  a: Tensor,
  b: Tensor,
  upstream: Tensor,
  transposeA: boolean,
  transposeB: boolean,
): [Tensor, Tensor] | undefined {
  if (transposeA || b.shape.length !== 2 || a.shape.length <= 2) return undefined
  const rowsOf = (tensor: Tensor): Tensor => {
    return F.reshape(tensor, [sizeOf(tensor.shape.slice(0, -1)), tensor.shape.at(-1)!])
  }
  const [x, g] = [rowsOf(a), rowsOf(upstream)]
  const gradientB = transposeB ? F.matmul(g, x, { transposeA: true }) : F.matmul(x, g, { transposeA: true })
  return [F.reshape(F.matmul(g, b, { transposeB: !transposeB }), a.shape), gradientB]
}
