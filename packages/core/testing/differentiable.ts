/**
 * One or more applications of every operation that has a gradient, at points where it is smooth: no ties, no kinks. Finite
 * differences check their gradients on the reference backend, the conformance suite on all others.
 */

import { gradient } from '../src/autodiff/gradient.ts'
import type { OpName } from '../src/tensor/attributes.ts'
import * as F from '../src/tensor/functional.ts'
import type { Tensor } from '../src/tensor/graph.ts'
import { builder, constant, trace } from '../src/tensor/trace.ts'
import type { HostTensor, Shape } from '../src/tensor/types.ts'
import { RandomTensors, tensorOf } from './tensors.ts'
import type { OpCall, Program } from './trial.ts'
import { call } from './trial.ts'

const epsilon = 1e-5
const index = (value: number): HostTensor => tensorOf([value], [], 'i32')

/** Distinct values 0.2 apart around `centre`, in random order: away from ties, and from zero where the centre is 0.1. */
function spaced(random: RandomTensors, shape: Shape, centre = 0.1): HostTensor {
  const drawn = random.uniform(shape, 0, 1)
  const order = [...drawn.data.keys()].sort((i, j) => drawn.data[i]! - drawn.data[j]!)
  const data = new Float32Array(order.length)
  order.forEach((slot, rank) => {
    data[slot] = 0.2 * (rank - (order.length >> 1)) + centre
  })
  return { shape, dtype: 'f32', data }
}

function elementwise(random: RandomTensors): OpCall[] {
  const smooth: readonly OpName[] = ['neg', 'exp', 'tanh', 'sigmoid', 'erf', 'softplus', 'sin', 'cos']
  const binary: readonly OpName[] = ['add', 'sub', 'mul', 'div']
  const pairs: readonly (readonly [Shape, Shape])[] = [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], []],
    [
      [3, 1],
      [2, 1, 4],
    ],
  ]
  return [
    ...smooth.map((op) => call(op, [random.normal([2, 3])], {})),
    ...(['log', 'sqrt'] as const).map((op) => call(op, [random.uniform([2, 3], 0.5, 2)], {})),
    ...(['abs', 'relu'] as const).map((op) => call(op, [spaced(random, [2, 3])], {})),
    ...binary.flatMap((op) => pairs.map(([a, b]) => call(op, [random.normal(a), random.uniform(b, 0.5, 1.5)], {}))),
    ...(['maximum', 'minimum'] as const).flatMap((op) =>
      pairs.map(([a, b]) => call(op, [spaced(random, a), spaced(random, b, 0)], {})),
    ),
    call('where', [random.bools([2, 3]), random.normal([3]), random.normal([2, 1])], {}),
  ]
}

function reductions(random: RandomTensors): OpCall[] {
  return [
    call('reduceSum', [random.normal([2, 3, 4])], { axes: [1], keepDims: false }),
    call('reduceSum', [random.normal([2, 3])], { axes: [0, 1], keepDims: true }),
    call('reduceSum', [random.normal([2, 3])], { axes: [], keepDims: false }),
    call('reduceMax', [spaced(random, [2, 3, 2])], { axes: [1], keepDims: false }),
    call('reduceMax', [spaced(random, [2, 3])], { axes: [0, 1], keepDims: true }),
    call('topK', [spaced(random, [2, 7])], { k: 3 }),
    call('cumsum', [random.normal([2, 3, 2])], { axis: 1 }),
  ]
}

function products(random: RandomTensors): OpCall[] {
  const flags = [false, true]
  const batches: readonly (readonly [Shape, Shape])[] = [
    [[], []],
    [[2], []],
    [[], [2]],
    [[2, 1], [3]],
  ]
  return batches.flatMap(([batchA, batchB]) =>
    flags.flatMap((transposeA) =>
      flags.map((transposeB) => {
        const a = random.normal([...batchA, ...(transposeA ? [3, 2] : [2, 3])])
        const b = random.normal([...batchB, ...(transposeB ? [4, 3] : [3, 4])])
        return call('matmul', [a, b], { transposeA, transposeB })
      }),
    ),
  )
}

function layout(random: RandomTensors): OpCall[] {
  return [
    call('reshape', [random.normal([2, 3])], { shape: [3, 2] }),
    call('transpose', [random.normal([2, 3, 4])], { permutation: [2, 0, 1] }),
    call('broadcastTo', [random.normal([3, 1])], { shape: [2, 3, 2] }),
    call('slice', [random.normal([3, 5])], { starts: [1, 2], ends: [3, 4] }),
    call('concat', [random.normal([2, 1]), random.normal([2, 3]), random.normal([2, 2])], { axis: 1 }),
    call('pad', [random.normal([2, 3])], { before: [1, 0], after: [0, 2], value: 3 }),
    call('gather', [random.normal([5, 3]), tensorOf([4, 0, 4, 2], [2, 2], 'i32')], {}),
    call('scatterAdd', [tensorOf([3, 0, 3], [3], 'i32'), random.normal([3, 2])], { rows: 5 }),
    call('updateSlice', [random.normal([2, 5, 3]), random.normal([2, 2, 3]), index(1)], { axis: 1 }),
    call('updateSlice', [random.normal([4]), random.normal([1]), index(3)], { axis: 0 }),
  ]
}

function composites(random: RandomTensors): OpCall[] {
  const draw = (...shape: number[]): HostTensor => random.normal(shape)
  return [
    call('softmax', [draw(2, 5)], {}),
    call('logSoftmax', [draw(2, 5)], {}),
    call('layerNorm', [draw(3, 5), draw(5), draw(5)], { epsilon }),
    call('rmsNorm', [draw(2, 2, 5), draw(5)], { epsilon }),
    call('gelu', [draw(2, 3)], { approximate: 'tanh' }),
    call('gelu', [draw(2, 3)], { approximate: 'none' }),
    call('silu', [draw(2, 3)], {}),
    call('rotary', [draw(2, 2, 3, 4), draw(2, 3, 2), draw(2, 3, 2)], {}),
    call('crossEntropy', [draw(4, 5), tensorOf([3, 0, -1, 4], [4], 'i32')], {}),
    call('attention', [draw(1, 4, 2, 3), draw(1, 2, 2, 3), draw(1, 2, 2, 3), draw(1, 1, 2, 2)], { scale: 0.6 }),
    call(
      'attention',
      [draw(2, 2, 2, 3), draw(2, 1, 2, 3), draw(2, 1, 2, 3), draw(2, 1, 2, 5), draw(2, 1, 3, 3), draw(2, 1, 3, 3)],
      { scale: 0.6 },
    ),
    call(
      'attention',
      [draw(1, 2, 1, 3), draw(1, 1, 3, 3), draw(1, 1, 3, 3), draw(1, 1, 1, 5), draw(1, 1, 2, 3), draw(1, 1, 2, 3)],
      { scale: 0.6 },
    ),
  ]
}

/** The same calls every time. */
export function differentiable(): OpCall[] {
  const random = new RandomTensors(95)
  return [elementwise, reductions, products, layout, composites].flatMap((chapter) => chapter(random))
}

/** What the objective weighs each element of a result with. */
export function objectiveWeights(shape: Shape): HostTensor {
  return new RandomTensors(96).normal(shape)
}

/**
 * Gradients of Σ weight ⊙ first result with respect to every f32 operand: outputs named by the operand's number.
 *
 * @param apply how the operation is applied: as a node by default
 */
export function gradientProgram(
  { op, operands, attributes }: OpCall,
  apply: (inputs: readonly Tensor[]) => readonly Tensor[] = (inputs) =>
    builder().apply(op, inputs, attributes as never),
): Program {
  const inputs = Object.fromEntries(operands.map((operand, i) => [`${i}`, operand]))
  const graph = trace(`gradient of ${op}`, inputs, (values) => {
    const given = operands.map((_, i) => values[`${i}`]!)
    const [result] = apply(given)
    const weights = objectiveWeights(result!.shape)
    const weighted = F.mul(result!, constant(weights.data, weights.shape))
    const objective = F.reduceSum(
      weighted,
      weighted.shape.map((_, axis) => axis),
    )
    const floats = given.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []))
    const gradients = gradient(
      objective,
      floats.map((i) => given[i]!),
    )
    return { outputs: Object.fromEntries(floats.map((i, j) => [`${i}`, gradients[j]!])) }
  })
  return { graph, inputs, weights: {} }
}
