/** Reading and writing by index. */

import { type Shape, sizeOf } from '@afterthought/core'
import { int, string } from '../model.ts'
import type { Emitter, Rules } from './emitter.ts'
import { product, transposed } from './linear.ts'

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
   * from several threads at once, and its sums change from run to run. A product of more columns than rows is divided
   * among threads by columns, and narrower parts sum in another order: the greater extent comes first, so that a gradient
   * does not depend on the number of threads.
   */
  scatterAdd: (emit, [indices, updates], { attributes: { rows }, inputs, outputs }) => {
    const count = sizeOf(inputs[0]!.shape)
    const rest = outputs[0]!.shape.slice(1)
    emit.refuseDynamic('scatterAdd', [rows], [0])
    const columns = sizeOf(rest)
    if (count > 0 && rows * count <= ONE_HOT_ENTRIES) {
      const flat = emit.op('Reshape', [updates!, emit.shape([count, columns])])
      const ones = (all: Shape, wanted: Shape): string =>
        emit.cast(emit.op('Equal', [emit.iota('i32', all), emit.op('Reshape', [indices!, emit.shape(wanted)])]), 'f32')
      const upright = (): string => emit.op('MatMul', [ones([rows, 1], [1, count]), flat]) // [rows, columns]
      const lying = (): string => {
        const operands = [{ shape: [count, columns] }, { shape: [count, rows] }]
        const sums = product(emit, flat, ones([1, rows], [count, 1]), operands, { transposeA: true, transposeB: false })
        return transposed(emit, sums, 2)
      }
      return emit.op('Reshape', [rows < columns ? lying() : upright(), emit.shape(outputs[0]!.shape)])
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
