/** Reading and writing by index: table look-up, its transpose, and writing into a cache. */

import { ArgumentError, ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Primitive } from '../ops.ts'
import { formatSpec, sizeOf } from '../types.ts'
import { placeInto } from './layout.ts'
import { expectAxis, expectInputs, formatSpecs } from './rules.ts'

function checkIndex(op: string, index: number, rows: number): void {
  if (index < 0 || index >= rows) {
    throw new ArgumentError('index out of range', { where: op, expected: `0 … ${rows - 1}`, actual: `${index}` })
  }
}

export const indexing = {
  gather: {
    infer(inputs) {
      expectInputs('gather', inputs, ['f32', 'i32'])
      const [table, indices] = inputs
      if (table!.shape.length === 0) {
        throw new ShapeError('the table needs an axis', { where: 'gather', actual: formatSpec(table!) })
      }
      return [{ shape: [...indices!.shape, ...table!.shape.slice(1)], dtype: 'f32' }]
    },
    gradient: ({ inputs: [table, indices], upstream }) => [
      F.scatterAdd(indices!, upstream, table!.shape[0]!),
      undefined,
    ],
    evaluate([table, indices], _attributes, [out]) {
      const rows = table!.shape[0]!
      const width = sizeOf(table!.shape.slice(1))
      const result = new Float32Array(sizeOf(out!.shape))
      const data = table!.data as Float32Array
      indices!.data.forEach((index, i) => {
        checkIndex('gather', index, rows)
        result.set(data.subarray(index * width, (index + 1) * width), i * width)
      })
      return [result]
    },
  } as Primitive<'gather'>,

  scatterAdd: {
    infer(inputs, { rows }) {
      expectInputs('scatterAdd', inputs, ['i32', 'f32'])
      const [indices, updates] = inputs
      const rank = indices!.shape.length
      if (indices!.shape.some((extent, axis) => updates!.shape[axis] !== extent)) {
        throw new ShapeError('updates do not start with the shape of the indices', {
          where: 'scatterAdd',
          actual: formatSpecs(inputs),
        })
      }
      return [{ shape: [rows, ...updates!.shape.slice(rank)], dtype: 'f32' }]
    },
    gradient: ({ inputs: [indices], upstream }) => [undefined, F.gather(upstream, indices!)],
    evaluate([indices, updates], { rows }, [out]) {
      const width = sizeOf(out!.shape.slice(1))
      const sums = new Float64Array(rows * width)
      indices!.data.forEach((index, i) => {
        checkIndex('scatterAdd', index, rows)
        for (let j = 0; j < width; j++) sums[index * width + j]! += updates!.data[i * width + j]!
      })
      return [Float32Array.from(sums)]
    },
  } as Primitive<'scatterAdd'>,

  updateSlice: {
    infer(inputs, { axis }) {
      expectInputs('updateSlice', inputs, [undefined, undefined, 'i32'])
      const [target, update, start] = inputs
      expectAxis('updateSlice', axis, target!.shape.length)
      const fits =
        target!.dtype === update!.dtype &&
        start!.shape.length === 0 &&
        update!.shape.length === target!.shape.length &&
        update!.shape.every((extent, i) => (i === axis ? extent <= target!.shape[i]! : extent === target!.shape[i]))
      if (!fits) {
        throw new ShapeError('the update does not fit into the target', {
          where: 'updateSlice',
          expected: `extents of ${formatSpec(target!)} off axis ${axis}, and a scalar start`,
          actual: formatSpecs(inputs),
        })
      }
      return [target!]
    },
    // What was overwritten has no influence any more; what was written is read back from where it stands.
    gradient: ({ inputs: [target, update, start], upstream, attributes: { axis } }) => {
      if (target!.dtype !== 'f32') return [undefined, undefined, undefined]
      const kept = F.updateSlice(upstream, F.broadcastTo(F.constantLike(update!, 0), update!.shape), start!, axis)
      const swap = target!.shape.map((_, i) => (i === 0 ? axis : i === axis ? 0 : i))
      const rows = F.gather(F.transpose(upstream, swap), F.add(F.iota(update!.shape[axis]!), start!))
      return [kept, F.transpose(rows, swap), undefined]
    },
    evaluate([target, update, start], { axis }) {
      const at = start!.data[0]!
      checkIndex('updateSlice', at, target!.shape[axis]! - update!.shape[axis]! + 1)
      return [
        placeInto(
          target!,
          update!,
          target!.shape.map((_, i) => (i === axis ? at : 0)),
        ),
      ]
    },
  } as Primitive<'updateSlice'>,
}
