/** Reductions, arg-max, top-k and running sums. */

import { ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Tensor } from '../graph.ts'
import type { Primitive } from '../ops.ts'
import type { HostTensor, Shape, TensorSpec } from '../types.ts'
import { allocate, formatSpec, sizeOf } from '../types.ts'
import { broadcastStrides, expectAxis, expectInputs, forEachRow } from './rules.ts'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

function reducedShape(op: string, input: TensorSpec, { axes, keepDims }: ReduceAttributes): number[] {
  for (const axis of axes) expectAxis(op, axis, input.shape.length)
  if (new Set(axes).size !== axes.length) {
    throw new ShapeError('an axis is named twice', { where: op, actual: `[${axes.join(',')}]` })
  }
  const shape = input.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent))
  return keepDims ? shape : shape.filter((_, axis) => !axes.includes(axis))
}

/** Nothing has no maximum. */
function expectElements(op: string, input: TensorSpec, axes: readonly number[]): void {
  if (axes.some((axis) => input.shape[axis] === 0)) {
    throw new ShapeError('no elements to choose from', { where: op, actual: `${formatSpec(input)} over [${axes}]` })
  }
}

const keptShape = (shape: Shape, axes: readonly number[]): number[] =>
  shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent))

/** Folds elements of each group in index order into an f64 accumulator. */
function fold(
  x: HostTensor,
  axes: readonly number[],
  initial: number,
  f: (sum: number, value: number) => number,
): Float32Array {
  const kept = keptShape(x.shape, axes)
  const sums = new Float64Array(sizeOf(kept)).fill(initial)
  const strides = broadcastStrides(kept, x.shape)
  const last = x.shape.length - 1
  const width = x.shape[last] ?? 1
  const step = strides[last] ?? 0
  forEachRow(x.shape, [strides], ([to], from) => {
    for (let i = 0; i < width; i++) {
      const slot = to! + i * step
      sums[slot] = f(sums[slot]!, x.data[from + i]!)
    }
  })
  return Float32Array.from(sums)
}

/** Views `shape` as [outer, extent, inner] around `axis`. */
function around(shape: Shape, axis: number): { outer: number; extent: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), extent: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) }
}

function spread(gradient: Tensor, input: Tensor, axes: readonly number[]): Tensor {
  return F.broadcastTo(F.reshape(gradient, keptShape(input.shape, axes)), input.shape)
}

export const reductions = {
  reduceSum: {
    infer(inputs, attributes) {
      expectInputs('reduceSum', inputs, ['f32'])
      return [{ shape: reducedShape('reduceSum', inputs[0]!, attributes), dtype: 'f32' }]
    },
    gradient: ({ inputs: [x], upstream, attributes: { axes } }) => [spread(upstream, x!, axes)],
    evaluate: ([x], { axes }) => [fold(x!, axes, 0, (sum, value) => sum + value)],
  } as Primitive<'reduceSum'>,

  reduceMax: {
    infer(inputs, attributes) {
      expectInputs('reduceMax', inputs, ['f32'])
      expectElements('reduceMax', inputs[0]!, attributes.axes)
      return [{ shape: reducedShape('reduceMax', inputs[0]!, attributes), dtype: 'f32' }]
    },
    // Equal maxima share the gradient evenly.
    gradient: ({ inputs: [x], outputs: [y], upstream, attributes: { axes } }) => {
      const hit = F.cast(F.equal(x!, spread(y!, x!, axes)), 'f32')
      const hits = F.reduceSum(hit, axes, true)
      return [F.mul(hit, spread(F.div(F.reshape(upstream, hits.shape), hits), x!, axes))]
    },
    evaluate: ([x], { axes }) => [fold(x!, axes, Number.NEGATIVE_INFINITY, Math.max)],
  } as Primitive<'reduceMax'>,

  argmax: {
    infer(inputs, { axis }) {
      expectInputs('argmax', inputs, ['f32'])
      expectAxis('argmax', axis, inputs[0]!.shape.length)
      expectElements('argmax', inputs[0]!, [axis])
      return [{ shape: inputs[0]!.shape.filter((_, i) => i !== axis), dtype: 'i32' }]
    },
    gradient: 'none',
    evaluate([x], { axis }, [out]) {
      const { outer, extent, inner } = around(x!.shape, axis)
      const result = new Int32Array(sizeOf(out!.shape))
      for (let o = 0; o < outer; o++) {
        for (let n = 0; n < inner; n++) {
          let best = 0
          for (let i = 1; i < extent; i++) {
            if (x!.data[(o * extent + i) * inner + n]! > x!.data[(o * extent + best) * inner + n]!) best = i
          }
          result[o * inner + n] = best
        }
      }
      return [result]
    },
  } as Primitive<'argmax'>,

  topK: {
    infer(inputs, { k }) {
      expectInputs('topK', inputs, ['f32'])
      const shape = inputs[0]!.shape
      const width = shape[shape.length - 1]
      if (width === undefined || !Number.isInteger(k) || k < 1 || k > width) {
        throw new ShapeError('k out of range', { where: 'topK', expected: `1 … ${width}`, actual: `${k}` })
      }
      const kept = [...shape.slice(0, -1), k]
      return [
        { shape: kept, dtype: 'f32' },
        { shape: kept, dtype: 'i32' },
      ]
    },
    // Of the values: each goes back to where it was taken from.
    gradient: ({ inputs: [x], outputs: [, indices], upstream }) => {
      const taken = F.oneHot(indices!, x!.shape[x!.shape.length - 1]!) // [..., k, D]
      const rank = taken.shape.length
      return [F.reduceSum(F.mul(taken, F.reshape(upstream, [...upstream.shape, 1])), [rank - 2])]
    },
    evaluate([x], { k }, [out]) {
      const width = x!.shape[x!.shape.length - 1]!
      const rows = sizeOf(x!.shape) / width
      const values = new Float32Array(sizeOf(out!.shape))
      const indices = new Int32Array(values.length)
      for (let r = 0; r < rows; r++) {
        const row = (x!.data as Float32Array).subarray(r * width, (r + 1) * width)
        const order = Int32Array.from(row, (_, i) => i).sort((i, j) => row[j]! - row[i]! || i - j)
        for (let i = 0; i < k; i++) {
          indices[r * k + i] = order[i]!
          values[r * k + i] = row[order[i]!]!
        }
      }
      return [values, indices]
    },
  } as Primitive<'topK'>,

  cumsum: {
    infer(inputs, { axis }) {
      expectInputs('cumsum', inputs, [undefined])
      if (inputs[0]!.dtype === 'bool') {
        throw new ShapeError('needs numbers', { where: 'cumsum', actual: formatSpec(inputs[0]!) })
      }
      expectAxis('cumsum', axis, inputs[0]!.shape.length)
      return [inputs[0]!]
    },
    // Σ of the gradients from here on: total − running sum + own
    gradient: ({ inputs: [x], upstream, attributes: { axis } }) => {
      const total = F.broadcastTo(F.reduceSum(upstream, [axis], true), x!.shape)
      return [F.add(F.sub(total, F.cumsum(upstream, axis)), upstream)]
    },
    evaluate([x], { axis }) {
      const { outer, extent, inner } = around(x!.shape, axis)
      const result = allocate(x!.dtype, x!.data.length)
      for (let o = 0; o < outer; o++) {
        for (let n = 0; n < inner; n++) {
          let sum = 0
          for (let i = 0; i < extent; i++) {
            const slot = (o * extent + i) * inner + n
            sum += x!.data[slot]!
            result[slot] = sum
          }
        }
      }
      return [result]
    },
  } as Primitive<'cumsum'>,
}
