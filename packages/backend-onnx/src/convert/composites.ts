/** Composite operations that ONNX Runtime has a kernel for. */

import { float, int, string } from '../model.ts'
import type { Rules } from './emitter.ts'

const LAST = { axis: int(-1) }

export const composites: Rules = {
  softmax: (emit, inputs) => emit.op('Softmax', inputs, LAST),
  logSoftmax: (emit, inputs) => emit.op('LogSoftmax', inputs, LAST),

  layerNorm: (emit, inputs, { attributes: { epsilon } }) =>
    emit.op('LayerNormalization', inputs, { ...LAST, epsilon: float(epsilon) }),

  // Not in the standard at opset 20, yet ONNX Runtime registers it there; RMSNormalization came with opset 23.
  rmsNorm: (emit, inputs, { attributes: { epsilon } }) =>
    emit.op('SimplifiedLayerNormalization', inputs, { ...LAST, epsilon: float(epsilon), stash_type: int(1) }),

  gelu: (emit, inputs, { attributes: { approximate } }) =>
    emit.op('Gelu', inputs, { approximate: string(approximate) }),

  // x · sigmoid(αx) with α = 1
  silu: (emit, inputs) => emit.microsoft('QuickGelu', inputs, { alpha: float(1) }),

  crossEntropy: (emit, [logits, labels], { inputs }) => {
    const rows = inputs[1]!.shape[0]!
    const kept = emit.op('Max', [labels!, emit.scalar('i32', 0)])
    const column = emit.op('Reshape', [kept, emit.shape([rows, 1])])
    const chosen = emit.op('GatherElements', [emit.op('LogSoftmax', [logits!], LAST), column], { axis: int(1) })
    const loss = emit.op('Neg', [emit.op('Reshape', [chosen, emit.shape([rows])])])
    const ignored = emit.op('Less', [labels!, emit.scalar('i32', 0)])
    return emit.op('Where', [ignored, emit.scalar('f32', 0), loss])
  },

  stopGradient: (_emit, [x]) => x!,
}
