/** Reductions, arg-max, top-k and running sums. ONNX indices are int64; ours are i32. */

import { dataTypes, int } from '../model.ts'
import type { Emitter, Rules } from './emitter.ts'

interface ReduceAttributes {
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

function reduce(emit: Emitter, op: string, input: string, { axes, keepDims }: ReduceAttributes): string {
  if (axes.length === 0) return emit.op('Identity', [input])
  return emit.op(op, [input, emit.ints(axes)], { keepdims: int(Number(keepDims)) })
}

const toInt32 = (emit: Emitter, input: string): string => emit.op('Cast', [input], { to: int(dataTypes.i32) })

export const reductions: Rules = {
  reduceSum: (emit, [x], { attributes, inputs }) => {
    emit.refuseDynamic('reduceSum', inputs[0]!.shape, attributes.axes)
    return reduce(emit, 'ReduceSum', x!, attributes)
  },
  reduceMax: (emit, [x], { attributes, inputs }) => {
    emit.refuseDynamic('reduceMax', inputs[0]!.shape, attributes.axes)
    return reduce(emit, 'ReduceMax', x!, attributes)
  },
  argmax: (emit, [x], { attributes: { axis }, inputs }) => {
    emit.refuseDynamic('argmax', inputs[0]!.shape, [axis])
    return toInt32(emit, emit.op('ArgMax', [x!], { axis: int(axis), keepdims: int(0) }))
  },
  topK: (emit, [x], { attributes: { k } }) => {
    const [values, indices] = emit.model.node('TopK', [x!, emit.ints([k])], 2)
    return [values!, toInt32(emit, indices!)]
  },
  cumsum: (emit, [x], { attributes: { axis }, inputs }) => {
    emit.refuseDynamic('cumsum', inputs[0]!.shape, [axis])
    return emit.op('CumSum', [x!, emit.scalar('i32', axis)])
  },
}
