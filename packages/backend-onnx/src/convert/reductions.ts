/** Reductions, arg-max, top-k and running sums. ONNX indices are int64; ours are i32. */

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

export const reductions: Rules = {
  reduceSum: (emit, [x], { attributes, inputs }) => {
    emit.refuseDynamic('reduceSum', inputs[0]!.shape, attributes.axes)
    return reduce(emit, 'ReduceSum', x!, attributes)
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
