/** Operations that move elements: nothing is computed, so every result is exact. */

import type { HostTensor, Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors } from '../tensors.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, MANY } from './case.ts'

/** One tensor of each type. */
function ofAllTypes(random: RandomTensors, shape: Shape): HostTensor[] {
  return [random.normal(shape), random.integers(shape, -99, 99), random.bools(shape)]
}

function permutations(axes: readonly number[]): number[][] {
  if (axes.length === 0) return [[]]
  return axes.flatMap((axis) => permutations(axes.filter((other) => other !== axis)).map((rest) => [axis, ...rest]))
}

export const layoutCases: readonly Case[] = [
  agreement('reshape', 'exact', () => {
    const random = new RandomTensors(31)
    const pairs: readonly (readonly [Shape, Shape])[] = [
      [[3, 5], [15]],
      [[15], [5, 3]],
      [[1], []],
      [[], [1, 1, 1]],
      [
        [2, 3, 5, 7],
        [6, 35],
      ],
      [[127], [127, 1]],
    ]
    return pairs.flatMap(([from, shape]) => ofAllTypes(random, from).map((x) => call('reshape', [x], { shape })))
  }),
  agreement('transpose: every permutation of up to four axes', 'exact', () => {
    const random = new RandomTensors(32)
    const shapes: readonly Shape[] = [[7], [13, 31], [2, 3, 5], [2, 3, 5, 7], [1, 3, 1, 5]]
    return shapes.flatMap((shape) => {
      const x = random.normal(shape)
      return permutations(shape.map((_, axis) => axis)).map((permutation) => call('transpose', [x], { permutation }))
    })
  }),
  agreement('transpose: types, rank 5, large', 'exact', () => {
    const random = new RandomTensors(33)
    return [
      ...ofAllTypes(random, [5, 3, 7]).map((x) => call('transpose', [x], { permutation: [2, 0, 1] })),
      call('transpose', [random.normal([2, 3, 1, 5, 2])], { permutation: [4, 3, 2, 1, 0] }),
      call('transpose', [cyclic([1, 2, 3, 4, 5, 6, 7], [MANY, 65])], { permutation: [1, 0] }),
      call('transpose', [cyclic([1, 2, 3, 4, 5, 6, 7], [MANY, 2, 3])], { permutation: [0, 2, 1] }),
    ]
  }),
  agreement('broadcastTo', 'exact', () => {
    const random = new RandomTensors(34)
    const pairs: readonly (readonly [Shape, Shape])[] = [
      [[], [7]],
      [[1], [3, 5]],
      [[5], [3, 5]],
      [
        [3, 1],
        [3, 5],
      ],
      [
        [1, 3, 1],
        [2, 3, 4],
      ],
      [
        [3, 5],
        [3, 5],
      ],
      [
        [2, 1, 1, 3],
        [2, 5, 7, 3],
      ],
    ]
    return [
      ...pairs.flatMap(([from, shape]) => ofAllTypes(random, from).map((x) => call('broadcastTo', [x], { shape }))),
      call('broadcastTo', [random.normal([1, 65])], { shape: [MANY, 65] }),
    ]
  }),
  agreement('slice', 'exact', () => {
    const random = new RandomTensors(35)
    const [small, large] = [[5], [3, 5, 7]]
    return [
      ...ofAllTypes(random, small).map((x) => call('slice', [x], { starts: [1], ends: [4] })),
      ...ofAllTypes(random, large).flatMap((x) => [
        call('slice', [x], { starts: [0, 0, 0], ends: [3, 5, 7] }),
        call('slice', [x], { starts: [2, 4, 6], ends: [3, 5, 7] }),
        call('slice', [x], { starts: [1, 0, 3], ends: [2, 5, 6] }),
        call('slice', [x], { starts: [0, 3, 0], ends: [3, 4, 7] }),
      ]),
      call('slice', [cyclic([1, 2, 3, 4, 5, 6, 7], [MANY + 2, 66])], { starts: [1, 1], ends: [MANY + 1, 66] }),
    ]
  }),
  agreement('concat: each axis, unequal parts, one part, many parts', 'exact', () => {
    const random = new RandomTensors(36)
    const along = (axis: number, extents: readonly number[]): HostTensor[] =>
      extents.map((extent) => random.normal([3, 5, 7].map((other, i) => (i === axis ? extent : other))))
    return [
      ...[0, 1, 2].map((axis) => call('concat', along(axis, [1, 2, 5]), { axis })),
      call('concat', along(1, [4]), { axis: 1 }),
      call('concat', along(1, [1, 2, 3, 1, 5, 1, 2, 7, 1, 1, 3]), { axis: 1 }),
      call('concat', [random.integers([2], 0, 9), random.integers([3], 0, 9)], { axis: 0 }),
      call('concat', [random.bools([2, 3]), random.bools([2, 1])], { axis: 1 }),
      call('concat', [cyclic([1, 2, 3], [MANY, 2]), cyclic([4, 5, 6, 7], [MANY, 63])], { axis: 1 }),
    ]
  }),
  agreement('concat: a value joined with itself', 'exact', () => {
    const x = new RandomTensors(37).normal([3, 5])
    return [call('concat', [x, x, x], { axis: 0 }), call('concat', [x, x], { axis: 1 })]
  }),
  agreement('pad', 'exact', () => {
    const random = new RandomTensors(38)
    return [
      ...ofAllTypes(random, [3, 5]).flatMap((x) => [
        call('pad', [x], { before: [0, 0], after: [0, 0], value: 1 }),
        call('pad', [x], { before: [1, 0], after: [0, 2], value: 0 }),
        call('pad', [x], { before: [2, 3], after: [1, 4], value: 1 }),
      ]),
      call('pad', [random.normal([2, 1, 3])], { before: [0, 2, 0], after: [0, 1, 0], value: Number.NEGATIVE_INFINITY }),
      call('pad', [random.normal([7])], { before: [1], after: [1], value: -2.5 }),
      call('pad', [random.normal([])], { before: [], after: [], value: 3 }),
      call('pad', [cyclic([1, 2, 3, 4, 5], [MANY, 63])], { before: [1, 0], after: [0, 2], value: -1 }),
    ]
  }),
]
