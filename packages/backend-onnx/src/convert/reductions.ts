/** Reductions, arg-max, top-k and running sums. ONNX indices are int64; ours are i32. */

import { type Shape, sizeOf } from '@afterthought/core'
import { int } from '../model.ts'
import type { Emitter, Rules } from './emitter.ts'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

function reduce(emit: Emitter, op: string, input: string, { axes, keepDims }: ReduceAttributes): string {
  if (axes.length === 0) return emit.op('Identity', [input])
  return emit.op(op, [input, emit.ints(axes)], { keepdims: int(Number(keepDims)) })
}

/** From here on a row of ones times the rows is faster than ONNX Runtime's sum over them: twice at 5,000 rows of 256. */
const MANY_ROWS = 256

/** The numbers of rows and columns, if a sum is over all axes but the last. */
function rowsSummed(shape: Shape, axes: readonly number[]): readonly [number, number] | undefined {
  const last = shape.length - 1
  const overRows = last > 0 && axes.length === last && !axes.includes(last)
  return overRows ? [sizeOf(shape.slice(0, last)), shape[last]!] : undefined
}

export const reductions: Rules = {
  reduceSum: (emit, [x], { attributes, inputs, outputs }) => {
    const { shape, dtype } = inputs[0]!
    emit.refuseDynamic('reduceSum', shape, attributes.axes)
    const [rows, columns] = rowsSummed(shape, attributes.axes) ?? [0, 0]
    if (rows < MANY_ROWS || columns === 0 || dtype !== 'f32') return reduce(emit, 'ReduceSum', x!, attributes)
    const flat = emit.op('Reshape', [x!, emit.shape([rows, columns])])
    const sums = emit.op('MatMul', [emit.filled({ shape: [1, rows], dtype }, 1), flat]) // [1, columns]
    return emit.op('Reshape', [sums, emit.shape(outputs[0]!.shape)])
  },
  reduceMax: (emit, [x], { attributes, inputs }) => {
    emit.refuseDynamic('reduceMax', inputs[0]!.shape, attributes.axes)
    // ONNX Runtime's maximum passes over NaN: a sum brings it back.
    const wrong = emit.op('Where', [emit.op('Equal', [x!, x!]), emit.scalar('f32', 0), emit.scalar('f32', Number.NaN)])
    return emit.op('Add', [reduce(emit, 'ReduceMax', x!, attributes), reduce(emit, 'ReduceSum', wrong, attributes)])
  },
  argmax: (emit, [x], { attributes: { axis }, inputs }) => {
    emit.refuseDynamic('argmax', inputs[0]!.shape, [axis])
    return emit.cast(emit.op('ArgMax', [x!], { axis: int(axis), keepdims: int(0) }), 'i32')
  },
  topK: (emit, [x], { attributes: { k } }) => {
    const [values, indices] = emit.model.node('TopK', [x!, emit.ints([k])], 2)
    return [values!, emit.cast(indices!, 'i32')]
  },
  cumsum: (emit, [x], { attributes: { axis }, inputs }) => {
    emit.refuseDynamic('cumsum', inputs[0]!.shape, [axis])
    const sum = (from: string): string => emit.op('CumSum', [from, emit.scalar('i32', axis)])
    // It adds one by one, so that rounding errors add up in f32.
    const precise = inputs[0]!.dtype === 'f32' && emit.target.cpuOnly
    return precise ? emit.cast(sum(emit.cast(x!, 'f64')), 'f32') : sum(x!)
  },
}
