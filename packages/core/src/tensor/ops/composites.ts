/**
 * Composite operations: what decoders are made of, each with its decomposition into primitives (after MLX, where a fused
 * operation is a kernel plus a fallback). A backend may name any of them in `ops` and run its own kernel.
 */

import { ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Tensor } from '../graph.ts'
import type { Composite } from '../ops.ts'
import type { TensorSpec } from '../types.ts'
import { rowsOf } from './linear.ts'
import { expectInputs, formatSpecs } from './rules.ts'

const lastAxis = (x: TensorSpec): number => x.shape.length - 1

function overLastAxis(op: string, inputs: readonly TensorSpec[]): TensorSpec[] {
  expectInputs(op, inputs, ['f32'])
  if (!inputs[0]!.shape.at(-1)) {
    throw new ShapeError('needs a last axis with elements', { where: op, actual: formatSpecs(inputs) })
  }
  return [inputs[0]!]
}

function sameShape(op: string, inputs: readonly TensorSpec[]): TensorSpec[] {
  expectInputs(op, inputs, ['f32'])
  return [inputs[0]!]
}

function normShape(op: string, inputs: readonly TensorSpec[], vectors: number): TensorSpec[] {
  expectInputs(op, inputs, ['f32', ...new Array<'f32'>(vectors).fill('f32')])
  const width = inputs[0]!.shape.at(-1)
  if (inputs.slice(1).some(({ shape }) => shape.length !== 1 || shape[0] !== width)) {
    throw new ShapeError('weight and bias must match the last axis', {
      where: op,
      expected: `f32[${width}]`,
      actual: formatSpecs(inputs),
    })
  }
  return [inputs[0]!]
}

const meanLast = (x: Tensor): Tensor => F.mean(x, [lastAxis(x)], true)

/** Σ over all axes but the last: the gradient of a vector that was broadcast over rows. */
const sumRows = (x: Tensor): Tensor => F.sumTo(x, [x.shape.at(-1)!])

/** Mean of γ·x over the last axis, as a product with γ / D: ([..., D], [D]) → [..., 1]. */
const weightedMean = (x: Tensor, weight: Tensor): Tensor => {
  const shares = F.reshape(F.mul(weight, 1 / weight.shape[0]!), [weight.shape[0]!, 1])
  return F.reshape(F.matmul(rowsOf(x), shares), [...x.shape.slice(0, -1), 1])
}

/** Σ of rows, each times its scale: ([..., D], [..., 1]) → [D]. */
const sumScaledRows = (x: Tensor, scale: Tensor): Tensor =>
  F.reshape(F.matmul(rowsOf(scale), rowsOf(x), { transposeA: true }), [x.shape.at(-1)!])

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715

export const composites = {
  stopGradient: {
    infer(inputs) {
      expectInputs('stopGradient', inputs, [undefined])
      return [inputs[0]!]
    },
    gradient: 'none',
    decompose: ([x]) => [x!],
  } as Composite<'stopGradient'>,

  softmax: {
    infer: (inputs) => overLastAxis('softmax', inputs),
    gradient: ({ outputs: [y], upstream }) => {
      const inner = F.reduceSum(F.mul(upstream, y!), [lastAxis(y!)], true)
      return [F.mul(y!, F.sub(upstream, inner))]
    },
    decompose([x]) {
      const shifted = F.exp(F.sub(x!, F.reduceMax(x!, [lastAxis(x!)], true)))
      return [F.div(shifted, F.reduceSum(shifted, [lastAxis(x!)], true))]
    },
  } as Composite<'softmax'>,

  logSoftmax: {
    infer: (inputs) => overLastAxis('logSoftmax', inputs),
    gradient: ({ outputs: [y], upstream }) => {
      const total = F.reduceSum(upstream, [lastAxis(y!)], true)
      return [F.sub(upstream, F.mul(F.exp(y!), total))]
    },
    decompose([x]) {
      const shifted = F.sub(x!, F.reduceMax(x!, [lastAxis(x!)], true))
      return [F.sub(shifted, F.log(F.reduceSum(F.exp(shifted), [lastAxis(x!)], true)))]
    },
  } as Composite<'logSoftmax'>,

  layerNorm: {
    infer: (inputs) => normShape('layerNorm', inputs, 2),
    // dx = (γg − mean(γg) − c·mean(γg·c)/σ²) / σ with c = x − mean(x), and dγ = Σ g·c / σ
    gradient: ({ inputs: [x, weight], upstream, attributes: { epsilon } }) => {
      const centred = F.sub(x!, meanLast(x!))
      const inverse = F.div(1, F.sqrt(F.add(meanLast(F.mul(centred, centred)), epsilon)))
      const along = F.mul(upstream, centred)
      const share = F.mul(weightedMean(along, weight!), F.mul(inverse, inverse))
      const turned = F.sub(F.mul(upstream, weight!), F.mul(centred, share))
      const gradient = F.mul(F.sub(turned, weightedMean(upstream, weight!)), inverse)
      return [gradient, sumScaledRows(along, inverse), sumRows(upstream)]
    },
    decompose([x, weight, bias], { epsilon }) {
      const centred = F.sub(x!, meanLast(x!))
      const deviation = F.sqrt(F.add(meanLast(F.mul(centred, centred)), epsilon))
      return [F.add(F.mul(F.div(centred, deviation), weight!), bias!)]
    },
  } as Composite<'layerNorm'>,

  rmsNorm: {
    infer: (inputs) => normShape('rmsNorm', inputs, 1),
    // dx = (γg − x·mean(γg·x)/r²) / r and dγ = Σ g·x / r
    gradient: ({ inputs: [x, weight], upstream, attributes: { epsilon } }) => {
      const inverse = F.div(1, F.sqrt(F.add(meanLast(F.mul(x!, x!)), epsilon)))
      const along = F.mul(upstream, x!)
      const share = F.mul(weightedMean(along, weight!), F.mul(inverse, inverse))
      const gradient = F.mul(F.sub(F.mul(upstream, weight!), F.mul(x!, share)), inverse)
      return [gradient, sumScaledRows(along, inverse)]
    },
    decompose([x, weight], { epsilon }) {
      return [F.mul(F.div(x!, F.sqrt(F.add(meanLast(F.mul(x!, x!)), epsilon))), weight!)]
    },
  } as Composite<'rmsNorm'>,

  gelu: {
    infer: (inputs) => sameShape('gelu', inputs),
    gradient: ({ inputs: [x], outputs: [y], upstream, attributes: { approximate } }) => {
      const square = F.mul(x!, x!)
      if (approximate === 'none') {
        const density = F.mul(F.exp(F.mul(square, -0.5)), 1 / Math.sqrt(2 * Math.PI))
        const share = F.mul(F.add(F.erf(F.mul(x!, Math.SQRT1_2)), 1), 0.5)
        return [F.mul(upstream, F.add(share, F.mul(x!, density)))]
      }
      // The tanh form is x·s with s = sigmoid(x·(a + b·x²)): its slope is s + y·(1 − s)·(a + 3b·x²).
      const a = 2 * SQRT_2_OVER_PI
      const bent = F.mul(square, a * CUBIC)
      const share = F.sigmoid(F.mul(x!, F.add(bent, a)))
      const inner = F.mul(F.mul(y!, F.sub(1, share)), F.add(F.mul(bent, 3), a))
      return [F.mul(upstream, F.add(share, inner))]
    },
    decompose([x], { approximate }) {
      const half = F.mul(x!, 0.5)
      if (approximate === 'none') return [F.mul(half, F.add(F.erf(F.mul(x!, Math.SQRT1_2)), 1))]
      const cubed = F.mul(F.mul(x!, x!), x!)
      return [F.mul(half, F.add(F.tanh(F.mul(F.add(x!, F.mul(cubed, CUBIC)), SQRT_2_OVER_PI)), 1))]
    },
  } as Composite<'gelu'>,

  silu: {
    infer: (inputs) => sameShape('silu', inputs),
    // s + x·s·(1 − s) = y + s·(1 − y)
    gradient: ({ inputs: [x], outputs: [y], upstream }) => [
      F.mul(upstream, F.add(y!, F.mul(F.sigmoid(x!), F.sub(1, y!)))),
    ],
    decompose: ([x]) => [F.mul(x!, F.sigmoid(x!))],
  } as Composite<'silu'>,

  crossEntropy: {
    infer(inputs) {
      expectInputs('crossEntropy', inputs, ['f32', 'i32'])
      const [logits, labels] = inputs
      if (logits!.shape.length !== 2 || labels!.shape.length !== 1 || labels!.shape[0] !== logits!.shape[0]) {
        throw new ShapeError('operands do not fit', {
          where: 'crossEntropy',
          expected: 'logits [N, V] and labels [N]',
          actual: formatSpecs(inputs),
        })
      }
      return [{ shape: labels!.shape, dtype: 'f32' }]
    },
    // (softmax − onehot) per kept row
    gradient: ({ inputs: [logits, labels], upstream }) => {
      const kept = F.mul(upstream, F.cast(F.lessEqual(F.constantLike(labels!, 0), labels!), 'f32'))
      const difference = F.sub(F.softmax(logits!), F.oneHot(labels!, logits!.shape[1]!))
      return [F.mul(difference, F.reshape(kept, [kept.shape[0]!, 1])), undefined]
    },
    decompose([logits, labels]) {
      // Chosen, not multiplied by a mask: a vocabulary entry ruled out by −∞ must not turn 0 · ∞ into NaN.
      const hot = F.equal(F.reshape(labels!, [labels!.shape[0]!, 1]), F.iota(logits!.shape[1]!))
      return [F.neg(F.reduceSum(F.where(hot, F.logSoftmax(logits!), 0), [1]))]
    },
  } as Composite<'crossEntropy'>,
}
