/** Reading and writing by index. */

import { sizeOf } from '@afterthought/core'
import { int, string } from '../model.ts'
import type { Emitter, Rules } from './emitter.ts'
import { product } from './linear.ts'

/** Up to here rows are written one by one. The WebGPU provider's Gather ends the process for some updates of two rows. */
const FEW_ROWS = 4

/** Up to so many entries a matrix of zeros and ones is cheap enough to add rows with. */
const ONE_HOT_ENTRIES = 1 << 22

export const indexing: Rules = {
  gather: (emit, [table, indices], { inputs }) => {
    emit.refuseDynamic('gather', inputs[0]!.shape, [0])
    return emit.op('Gather', [table!, indices!])
  },

  /**
   * Updates of a small table are a product with a matrix of ones where they belong: the gradient of an embedding then
   * takes a tenth of the time. Of the two operators made for this ScatterND is the faster, but it adds updates of one row
   * from several threads at once, and its sums change from run to run. The matrix of ones is read transposed: a plain
   * product of more columns than rows sums in another order with more threads, see `product`.
   */
  scatterAdd: (emit, [indices, updates], { attributes: { rows }, inputs, outputs }) => {
    const count = sizeOf(inputs[0]!.shape)
    const rest = outputs[0]!.shape.slice(1)
    emit.refuseDynamic('scatterAdd', [rows], [0])
    const columns = sizeOf(rest)
    if (count > 0 && rows * count <= ONE_HOT_ENTRIES) {
      const flat = emit.op('Reshape', [updates!, emit.shape([count, columns])])
      const places = emit.op('Reshape', [indices!, emit.shape([count, 1])])
      const ones = emit.cast(emit.op('Equal', [places, emit.iota('i32', [1, rows])]), 'f32') // [count, rows]
      const operands = [{ shape: [count, rows] }, { shape: [count, columns] }]
      const sums = product(emit, ones, flat, operands, { transposeA: true, transposeB: false }) // [rows, columns]
      return emit.op('Reshape', [sums, emit.shape(outputs[0]!.shape)])
    }
    const shape = emit.shape([count, ...rest])
    const column = emit.op('Reshape', [emit.cast(indices!, 'i64'), emit.shape([count, ...rest.map(() => 1)])])
    return emit.op(
      'ScatterElements',
      [emit.filled(outputs[0]!, 0), emit.op('Expand', [column, shape]), emit.op('Reshape', [updates!, shape])],
      { axis: int(0), reduction: string('add') },
    )
  },

  /**
   * Every slot either takes a row of the update or keeps its own: static shapes, any start. Appending to a cache that is
   * an input of the graph does not come here, see `appends.ts`.
   */
  updateSlice: (emit, [target, update, start], { attributes: { axis }, inputs }) => {
    const [slots, rows] = [inputs[0]!.shape[axis]!, inputs[1]!.shape[axis]!]
    if (rows === 0) return target!
    emit.refuseDynamic('updateSlice', inputs[0]!.shape, [axis])
    const row = emit.op('Sub', [emit.iota('i32', [slots]), start!]) // row of the update that falls on each slot
    const aligned = emit.ints(inputs[0]!.shape.map((_, i) => (i === axis ? slots : 1)))
    const choose = (here: string, update: string, target: string): string =>
      emit.where(emit.op('Reshape', [here, aligned]), update, target, inputs[0]!.dtype)
    if (rows <= FEW_ROWS) {
      let result = target!
      for (let i = 0; i < rows; i++) {
        const single = rows === 1 ? update! : range(emit, update!, i, i + 1, axis)
        result = choose(emit.op('Equal', [row, emit.scalar('i32', i)]), single, result)
      }
      return result
    }
    const inside = emit.op('And', [
      emit.op('LessOrEqual', [emit.scalar('i32', 0), row]),
      emit.op('Less', [row, emit.scalar('i32', rows)]),
    ])
    const clamped = emit.op('Min', [emit.op('Max', [row, emit.scalar('i32', 0)]), emit.scalar('i32', rows - 1)])
    return choose(inside, emit.op('Gather', [update!, clamped], { axis: int(axis) }), target!)
  },
}

/** Entries `start` to `end` of one axis. */
function range(emit: Emitter, tensor: string, start: number, end: number, axis: number): string {
  return emit.op('Slice', [tensor, ...[start, end, axis].map((bound) => emit.ints([bound]))])
}
