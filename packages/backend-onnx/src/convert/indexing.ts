/** Reading and writing by index. */

import { int, string } from '../model.ts'
import { bytesOf, type Rules } from './emitter.ts'

export const indexing: Rules = {
  gather: (emit, [table, indices], { inputs }) => {
    emit.refuseDynamic('gather', inputs[0]!.shape, [0])
    return emit.op('Gather', [table!, indices!])
  },

  scatterAdd: (emit, [indices, updates], { attributes: { rows }, inputs, outputs }) => {
    const count = inputs[0]!.shape.reduce((product, extent) => product * extent, 1)
    const zero = emit.constant('f32 zero', 'f32', [1], () => bytesOf(Float32Array.of(0)))
    const zeros = emit.op('Expand', [zero, emit.runtimeShape(outputs[0]!.shape)])
    const wide = emit.cast(indices!, 'i64')
    const tuples = emit.op('Reshape', [wide, emit.shape([count, 1])])
    const flat = emit.op('Reshape', [updates!, emit.shape([count, ...outputs[0]!.shape.slice(1)])])
    emit.refuseDynamic('scatterAdd', [rows], [0])
    return emit.op('ScatterND', [zeros, tuples, flat], { reduction: string('add') })
  },

  /**
   * Every slot either takes a row of the update or keeps its own: static shapes, any start. Appending to a cache that is
   * an input of the graph does not come here, see `appends.ts`.
   */
  updateSlice: (emit, [target, update, start], { attributes: { axis }, inputs }) => {
    const [slots, rows] = [inputs[0]!.shape[axis]!, inputs[1]!.shape[axis]!]
    emit.refuseDynamic('updateSlice', inputs[0]!.shape, [axis])
    const row = emit.op('Sub', [emit.iota('i32', [slots]), start!]) // row of the update that falls on each slot
    const inside = emit.op('And', [
      emit.op('LessOrEqual', [emit.scalar('i32', 0), row]),
      emit.op('Less', [row, emit.scalar('i32', rows)]),
    ])
    const aligned = inputs[0]!.shape.map((_, i) => (i === axis ? slots : 1))
    const mask = emit.op('Reshape', [inside, emit.ints(aligned)])
    const choose = (from: string): string => emit.where(mask, from, target!, inputs[0]!.dtype)
    if (rows === 1) return choose(update!)
    const clamped = emit.op('Min', [emit.op('Max', [row, emit.scalar('i32', 0)]), emit.scalar('i32', rows - 1)])
    return choose(emit.op('Gather', [update!, clamped], { axis: int(axis) }))
  },
}
