/** Operations that move elements without computing: reshape, transpose, broadcast, slice, concat, pad. */

import { ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Primitive } from '../ops.ts'
import type { HostArray, HostTensor, Shape } from '../types.ts'
import { allocate, formatSpec, sizeOf, stridesOf } from '../types.ts'
import { broadcastShapes, broadcastStrides, expectAxis, expectInputs, forEachRow, formatSpecs } from './rules.ts'

/** Reads `x` through `strides` from `offset` into a new array of `shape`. */
function gatherStrided(x: HostTensor, shape: Shape, strides: readonly number[], offset = 0): HostArray {
  const result = allocate(x.dtype, sizeOf(shape))
  const width = shape.at(-1) ?? 1
  const step = strides.at(-1) ?? 0
  forEachRow(shape, [strides], ([from], to) => {
    for (let i = 0; i < width; i++) result[to + i] = x.data[offset + from! + i * step]!
  })
  return result
}

/** Writes all of `x` into `result` (of `shape`) with its first element at `origin`. */
function place(x: HostTensor, result: HostArray, shape: Shape, origin: readonly number[]): void {
  const strides = stridesOf(shape)
  let offset = 0
  for (let axis = 0; axis < origin.length; axis++) offset += origin[axis]! * strides[axis]!
  const width = x.shape.at(-1) ?? 1
  forEachRow(x.shape, [strides], ([to], from) => {
    for (let i = 0; i < width; i++) result[offset + to! + i] = x.data[from + i]!
  })
}

function fail(op: string, message: string, expected: string, actual: string): never {
  throw new ShapeError(message, { where: op, expected, actual })
}

export const layout = {
  reshape: {
    infer(inputs, { shape }) {
      expectInputs('reshape', inputs, [undefined])
      const extents = shape.every((extent) => Number.isInteger(extent) && extent >= 0)
      if (!extents || sizeOf(inputs[0]!.shape) !== sizeOf(shape)) {
        fail('reshape', 'element counts differ', `${sizeOf(inputs[0]!.shape)} elements`, `[${shape.join(',')}]`)
      }
      return [{ shape: [...shape], dtype: inputs[0]!.dtype }]
    },
    gradient: ({ inputs: [x], upstream }) => [F.reshape(upstream, x!.shape)],
    evaluate: ([x]) => [x!.data],
  } as Primitive<'reshape'>,

  transpose: {
    infer(inputs, { permutation }) {
      expectInputs('transpose', inputs, [undefined])
      const { shape, dtype } = inputs[0]!
      const sorted = [...permutation].sort((a, b) => a - b)
      if (permutation.length !== shape.length || sorted.some((axis, i) => axis !== i)) {
        fail('transpose', 'not a permutation of the axes', `rank ${shape.length}`, `[${permutation.join(',')}]`)
      }
      return [{ shape: permutation.map((axis) => shape[axis]!), dtype }]
    },
    gradient: ({ upstream, attributes: { permutation } }) => {
      const inverse = permutation.map((_, axis) => permutation.indexOf(axis))
      return [F.transpose(upstream, inverse)]
    },
    evaluate([x], { permutation }, [out]) {
      const strides = stridesOf(x!.shape)
      return [
        gatherStrided(
          x!,
          out!.shape,
          permutation.map((axis) => strides[axis]!),
        ),
      ]
    },
  } as Primitive<'transpose'>,

  broadcastTo: {
    infer(inputs, { shape }) {
      expectInputs('broadcastTo', inputs, [undefined])
      const from = inputs[0]!.shape
      const result = broadcastShapes('broadcastTo', from, shape)
      if (result.length !== shape.length || result.some((extent, axis) => extent !== shape[axis])) {
        fail('broadcastTo', 'the target is smaller than the value', `[${result.join(',')}]`, `[${shape.join(',')}]`)
      }
      return [{ shape: [...shape], dtype: inputs[0]!.dtype }]
    },
    gradient: ({ inputs: [x], upstream }) => [F.sumTo(upstream, x!.shape)],
    evaluate: ([x], _attributes, [out]) => [gatherStrided(x!, out!.shape, broadcastStrides(x!.shape, out!.shape))],
  } as Primitive<'broadcastTo'>,

  slice: {
    infer(inputs, { starts, ends }) {
      expectInputs('slice', inputs, [undefined])
      const { shape, dtype } = inputs[0]!
      const fits =
        starts.length === shape.length &&
        ends.length === shape.length &&
        [...starts, ...ends].every(Number.isInteger) &&
        shape.every((extent, i) => starts[i]! >= 0 && starts[i]! <= ends[i]! && ends[i]! <= extent)
      if (!fits) {
        fail(
          'slice',
          'out of range',
          `0 ≤ start ≤ end ≤ extent of ${formatSpec(inputs[0]!)}`,
          `[${starts}] … [${ends}]`,
        )
      }
      return [{ shape: starts.map((start, i) => ends[i]! - start), dtype }]
    },
    gradient: ({ inputs: [x], upstream, attributes: { starts, ends } }) => [
      F.pad(
        upstream,
        starts,
        ends.map((end, i) => x!.shape[i]! - end),
      ),
    ],
    evaluate([x], { starts }, [out]) {
      const strides = stridesOf(x!.shape)
      const offset = starts.reduce((sum, start, axis) => sum + start * strides[axis]!, 0)
      return [gatherStrided(x!, out!.shape, strides, offset)]
    },
  } as Primitive<'slice'>,

  concat: {
    infer(inputs, { axis }) {
      const first = inputs[0]
      if (!first) fail('concat', 'nothing to join', 'one or more operands', 'none')
      expectAxis('concat', axis, first.shape.length)
      const fits = inputs.every(
        ({ shape, dtype }) =>
          dtype === first.dtype &&
          shape.length === first.shape.length &&
          shape.every((extent, i) => i === axis || extent === first.shape[i]),
      )
      if (!fits)
        fail('concat', 'operands differ off the axis', `extents like ${formatSpec(first)}`, formatSpecs(inputs))
      const total = inputs.reduce((sum, { shape }) => sum + shape[axis]!, 0)
      return [{ shape: first.shape.map((extent, i) => (i === axis ? total : extent)), dtype: first.dtype }]
    },
    gradient: ({ inputs, upstream, attributes: { axis } }) => {
      let from = 0
      return inputs.map((x) => {
        const part = F.narrow(upstream, axis, from, from + x.shape[axis]!)
        from += x.shape[axis]!
        return part
      })
    },
    evaluate(inputs, { axis }, [out]) {
      const result = allocate(out!.dtype, sizeOf(out!.shape))
      let from = 0
      for (const x of inputs) {
        place(
          x,
          result,
          out!.shape,
          out!.shape.map((_, i) => (i === axis ? from : 0)),
        )
        from += x.shape[axis]!
      }
      return [result]
    },
  } as Primitive<'concat'>,

  pad: {
    infer(inputs, { before, after }) {
      expectInputs('pad', inputs, [undefined])
      const { shape, dtype } = inputs[0]!
      const counts = [...before, ...after]
      if (counts.length !== 2 * shape.length || counts.some((count) => !Number.isInteger(count) || count < 0)) {
        fail(
          'pad',
          'counts do not fit',
          `two counts ≥ 0 per axis of ${formatSpec(inputs[0]!)}`,
          `[${before}], [${after}]`,
        )
      }
      return [{ shape: shape.map((extent, i) => before[i]! + extent + after[i]!), dtype }]
    },
    gradient: ({ inputs: [x], upstream, attributes: { before } }) => [
      F.slice(
        upstream,
        before,
        before.map((count, i) => count + x!.shape[i]!),
      ),
    ],
    evaluate([x], { before, value }, [out]) {
      const result = allocate(out!.dtype, sizeOf(out!.shape)).fill(value)
      place(x!, result, out!.shape, before)
      return [result]
    },
  } as Primitive<'pad'>,
}

/** Used by `indexing.ts`: writes a block into a copy of a larger array. */
export function placeInto(target: HostTensor, block: HostTensor, origin: readonly number[]): HostArray {
  const result = target.data.slice()
  place(block, result, target.shape, origin)
  return result
}
