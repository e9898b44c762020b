/** Operations that move elements without computing. */

import { sizeOf } from '@afterthought/core'
import { int, ints } from '../model.ts'
import type { Rules } from './emitter.ts'

export const layout: Rules = {
  reshape: (emit, [x], { attributes: { shape } }) => emit.op('Reshape', [x!, emit.shape(shape)]),

  transpose: (emit, [x], { attributes: { permutation }, inputs, outputs }) => {
    const extended = permutation.filter((axis) => inputs[0]!.shape[axis] !== 1)
    const keepsOrder = extended.every((axis, i) => i === 0 || axis > extended[i - 1]!)
    // Only axes of extent 1 move, as heads and rows do in a step of one row: nothing has to be copied.
    if (keepsOrder) return emit.op('Reshape', [x!, emit.shape(outputs[0]!.shape)])
    return emit.op('Transpose', [x!], { perm: ints(permutation) })
  },

  broadcastTo: (emit, [x], { attributes: { shape } }) => emit.op('Expand', [x!, emit.runtimeShape(shape)]),

  slice: (emit, [x], { attributes: { starts, ends }, inputs }) => {
    const { shape } = inputs[0]!
    const axes = shape.flatMap((extent, axis) => (starts[axis] === 0 && ends[axis] === extent ? [] : [axis]))
    if (axes.length === 0) return emit.op('Identity', [x!])
    emit.refuseDynamic('slice', shape, axes)
    const bounds = [starts, ends].map((bound) => emit.ints(axes.map((axis) => bound[axis]!)))
    return emit.op('Slice', [x!, ...bounds, emit.ints(axes)])
  },

  concat: (emit, parts, { attributes: { axis }, inputs }) => {
    emit.refuseDynamic('concat', inputs[0]!.shape, [axis])
    const filled = parts.filter((_, i) => inputs[i]!.shape[axis]! > 0)
    return emit.op('Concat', filled, { axis: int(axis) })
  },

  pad: (emit, [x], { attributes: { before, after, value }, inputs, outputs }) => {
    const { shape, dtype } = inputs[0]!
    if (sizeOf(shape) === 0) return emit.filled(outputs[0]!, value)
    const padded = shape.flatMap((_, axis) => (before[axis]! + after[axis]! > 0 ? [axis] : []))
    if (padded.length === 0) return emit.op('Identity', [x!])
    emit.refuseDynamic('pad', shape, padded)
    const counts = emit.ints([...before, ...after])
    if (dtype !== 'bool') return emit.op('Pad', [x!, counts, emit.scalar(dtype, value)])
    return emit.cast(emit.op('Pad', [emit.cast(x!, 'i32'), counts, emit.scalar('i32', Number(value !== 0))]), 'bool')
  },
}
