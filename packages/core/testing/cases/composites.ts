/** Composite operations, whether the backend has kernels for them or runs their decompositions. */

import type { HostTensor, Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors, tensorOf } from '../tensors.ts'
import type { OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, facts, MANY, MANY_TIMES_64 } from './case.ts'

const shapes: readonly Shape[] = [[1], [7], [3, 5], [13, 31], [2, 3, 5, 7], [2, 127], [1, 1021], [5, 1], [3, 256]]
const epsilon = 1e-5

const norms = (x: HostTensor, weight: HostTensor, bias: HostTensor): OpCall[] => [
  call('layerNorm', [x, weight, bias], { epsilon }, ['input', 'parameter', 'parameter']),
  call('rmsNorm', [x, weight], { epsilon }, ['input', 'parameter']),
]

export const compositeCases: readonly Case[] = [
  agreement('softmax: shapes', 'accumulated', () => {
    const random = new RandomTensors(51)
    return shapes.map((shape) => call('softmax', [random.normal(shape, 3)], {}))
  }),
  agreement('logSoftmax: shapes', 'accumulated', () => {
    const random = new RandomTensors(52)
    return shapes.map((shape) => call('logSoftmax', [random.normal(shape, 3)], {}))
  }),
  agreement('layerNorm and rmsNorm: shapes', 'accumulated', () => {
    const random = new RandomTensors(53)
    return shapes.flatMap((shape) => {
      const width = [shape.at(-1)!]
      return norms(random.normal(shape, 2, 1), random.normal(width), random.normal(width))
    })
  }),
  agreement('layerNorm and rmsNorm: operands that are all inputs', 'accumulated', () => {
    const random = new RandomTensors(54)
    const [x, weight, bias] = [random.normal([3, 5]), random.normal([5]), random.normal([5])]
    return [call('layerNorm', [x, weight, bias], { epsilon }), call('rmsNorm', [x, weight], { epsilon: 1e-6 })]
  }),
  agreement('layerNorm: a large offset cancels', 'model', () => {
    const random = new RandomTensors(55)
    const ones = cyclic([1], [127])
    return [call('layerNorm', [random.normal([3, 127], 1, 100), ones, cyclic([0], [127])], { epsilon })]
  }),
  facts('layerNorm and rmsNorm: constant rows', 'pointwise', [
    {
      call: call('layerNorm', [cyclic([5], [2, 3]), tensorOf([1, 2, 3]), tensorOf([4, 5, 6])], { epsilon }),
      results: [tensorOf([4, 5, 6, 4, 5, 6], [2, 3])],
    },
    {
      call: call('rmsNorm', [cyclic([0], [2, 3]), tensorOf([1, 2, 3])], { epsilon }),
      results: [cyclic([0], [2, 3])],
    },
    {
      call: call('rmsNorm', [cyclic([-3], [1, 5]), tensorOf([1, 2, 3, 4, 5])], { epsilon: 0 }),
      results: [tensorOf([-1, -2, -3, -4, -5], [1, 5])],
    },
  ]),
  agreement('gelu, silu: shapes', 'pointwise', () => {
    const random = new RandomTensors(56)
    return shapes.flatMap((shape) => [
      call('gelu', [random.normal(shape, 3)], { approximate: 'tanh' }),
      call('gelu', [random.normal(shape, 3)], { approximate: 'none' }),
      call('silu', [random.normal(shape, 5)], {}),
    ])
  }),
  agreement('crossEntropy: labels, and rows without one', 'accumulated', () => {
    const random = new RandomTensors(57)
    return [
      [1, 1],
      [1, 7],
      [5, 1],
      [13, 31],
      [3, 1021],
    ].map(([rows, vocabulary]) =>
      call('crossEntropy', [random.normal([rows!, vocabulary!], 3), random.integers([rows!], -1, vocabulary!)], {}),
    )
  }),
  facts('crossEntropy: ignored labels give zero', 'pointwise', [
    {
      call: call('crossEntropy', [tensorOf([0, 0, 5, 9, 3, 1], [3, 2]), tensorOf([1, -100, -1], [3], 'i32')], {}),
      results: [tensorOf([Math.log(2), 0, 0])],
    },
  ]),
  agreement('stopGradient: the value itself', 'exact', () => {
    const random = new RandomTensors(58)
    return [call('stopGradient', [random.normal([3, 5])], {}), call('stopGradient', [random.integers([3], 0, 9)], {})]
  }),
  agreement('composites: more than 65,535 rows', 'accumulated', () => {
    const x = cyclic([1, -2, 0.5, 3, 7, -8, 2], [MANY, 3])
    const [weight, bias] = [tensorOf([1, 2, 3]), tensorOf([0.5, -1, 2])]
    return [
      call('softmax', [x], {}),
      call('logSoftmax', [x], {}),
      ...norms(x, weight, bias),
      call('crossEntropy', [x, cyclic([0, 2, -1, 1], [MANY], 'i32')], {}),
    ]
  }),
  agreement('composites: beyond 65,535 workgroups of 64 rows', 'accumulated', () => [
    call('softmax', [cyclic([1, -2, 0.5], [MANY_TIMES_64, 2])], {}),
  ]),
]
