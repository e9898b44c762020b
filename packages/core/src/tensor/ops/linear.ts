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

/** One matrix of a batch: where it starts, and how it is read. */
interface Matrix {
  readonly data: Float32Array
  readonly from: number
  readonly transposed: boolean
}

/** c[M,N] = a[M,K] · b[K,N] for one matrix of the batch, row by row, summed in f64. */
function multiply(a: Matrix, b: Matrix, { rows, inner, columns }: Product, result: Float32Array, to: number): void {
  const row = new Float64Array(inner)
  const sums = new Float64Array(columns)
  const [down, along] = a.transposed ? [1, rows] : [inner, 1]
  for (let m = 0; m < rows; m++) {
    for (let k = 0; k < inner; k++) row[k] = a.data[a.from + m * down + k * along]!
    if (b.transposed) timesTransposed(row, b.data, b.from, sums)
    else timesPlain(row, b.data, b.from, sums)
    result.set(sums, to + m * columns)
  }
}

/** sums[n] = Σ row[k] · b[n, k]. Four sums are under way at once, so that none waits for its last addition. */
function timesTransposed(row: Float64Array, b: Float32Array, from: number, sums: Float64Array): void {
  const inner = row.length
  const columns = sums.length
  let n = 0
  for (; n + 4 <= columns; n += 4) {
    const first = from + n * inner
    const second = first + inner
    const third = second + inner
    const fourth = third + inner
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    for (let k = 0; k < inner; k++) {
      const factor = row[k]!
      s0 += factor * b[first + k]!
      s1 += factor * b[second + k]!
      s2 += factor * b[third + k]!
      s3 += factor * b[fourth + k]!
    }
    sums[n] = s0
    sums[n + 1] = s1
    sums[n + 2] = s2
    sums[n + 3] = s3
  }
  for (; n < columns; n++) {
    let sum = 0
    for (let k = 0; k < inner; k++) sum += row[k]! * b[from + n * inner + k]!
    sums[n] = sum
  }
}

/** sums[n] = Σ row[k] · b[k, n]. Four rows of b at once, so that the sums are read and written a quarter as often. */
function timesPlain(row: Float64Array, b: Float32Array, from: number, sums: Float64Array): void {
  const inner = row.length
  const columns = sums.length
  sums.fill(0)
  let k = 0
  for (; k + 4 <= inner; k += 4) {
    const first = from + k * columns
    const second = first + columns
    const third = second + columns
    const fourth = third + columns
    const f0 = row[k]!
    const f1 = row[k + 1]!
    const f2 = row[k + 2]!
    const f3 = row[k + 3]!
    for (let n = 0; n < columns; n++) {
      sums[n]! += f0 * b[first + n]! + f1 * b[second + n]! + f2 * b[third + n]! + f3 * b[fourth + n]!
    }
  }
  for (; k < inner; k++) {
    const factor = row[k]!
    const start = from + k * columns
    for (let n = 0; n < columns; n++) sums[n]! += factor * b[start + n]!
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
      if (!transposeA && b.shape.length === 2 && a.shape.length > 2) return flatGradient(a, b, upstream, transposeB)
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
      const [left, right] = [a!.data, b!.data] as [Float32Array, Float32Array]
      const sizes = [shape.rows * shape.inner, shape.inner * shape.columns, shape.rows * shape.columns] as const
      const strides = [a!, b!].map((operand) => broadcastStrides(operand.shape.slice(0, -2), shape.batch))
      const steps = strides.map((stride) => stride.at(-1) ?? 0) as [number, number]
      const width = shape.batch.at(-1) ?? 1
      forEachRow(shape.batch, strides, ([fromA, fromB], to) => {
        for (let i = 0; i < width; i++) {
          const first = { data: left, from: (fromA! + i * steps[0]) * sizes[0], transposed: transposeA }
          const second = { data: right, from: (fromB! + i * steps[1]) * sizes[1], transposed: transposeB }
          multiply(first, second, shape, result, (to + i) * sizes[2])
        }
      })
      return [result]
    },
  } as Primitive<'matmul'>,
}

/** [..., D] → [N, D]. */
export const rowsOf = (x: Tensor): Tensor => F.reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!])

/**
 * The common case of a weight shared by a batch, [..., M, K] · [K, N]: the weight's gradient is one large product over
 * all rows instead of one per matrix and a sum.
 */
function flatGradient(a: Tensor, b: Tensor, upstream: Tensor, transposeB: boolean): [Tensor, Tensor] {
  const [x, g] = [rowsOf(a), rowsOf(upstream)]
  const gradientB = transposeB ? F.matmul(g, x, { transposeA: true }) : F.matmul(x, g, { transposeA: true })
  return [F.reshape(F.matmul(g, b, { transposeB: !transposeB }), a.shape), gradientB]
}
