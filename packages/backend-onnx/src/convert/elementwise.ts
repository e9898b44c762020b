/** Elementwise operations, comparisons, choice and casts: one ONNX operator each, nearly always. */

import type { OpName } from '@afterthought/core'
import type { Rule, Rules } from './emitter.ts'

const same =
  (op: string): Rule<OpName> =>
  (emit, inputs) =>
    emit.op(op, inputs)

export const elementwise: Rules = {
  neg: same('Neg'),
  exp: same('Exp'),
  log: same('Log'),
  sqrt: same('Sqrt'),
  abs: same('Abs'),
  tanh: same('Tanh'),
  sigmoid: same('Sigmoid'),
  erf: same('Erf'),
  softplus: same('Softplus'),
  // On WebGPU Relu turns NaN into 0.
  relu: (emit, [x]) => {
    if (emit.target.cpuOnly) return emit.op('Relu', [x!])
    const zero = emit.scalar('f32', 0)
    return emit.op('Where', [emit.op('Less', [x!, zero]), zero, x!])
  },
  sin: same('Sin'),
  cos: same('Cos'),
  add: same('Add'),
  sub: same('Sub'),
  mul: same('Mul'),
  div: same('Div'),
  maximum: same('Max'),
  minimum: same('Min'),
  equal: same('Equal'),
  less: same('Less'),
  lessEqual: same('LessOrEqual'),
  and: same('And'),
  or: same('Or'),
  not: same('Not'),
  where: (emit, [condition, a, b], { outputs }) => emit.where(condition!, a!, b!, outputs[0]!.dtype),
  cast: (emit, [x], { attributes }) => emit.cast(x!, attributes.to),
}
