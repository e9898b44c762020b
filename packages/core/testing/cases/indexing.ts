/** Look-up, its transpose, and writing at a position that is only known when the graph runs. */

import type { HostTensor, Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors, tensorOf } from '../tensors.ts'
import type { OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, facts, MANY } from './case.ts'

const indexShapes: readonly Shape[] = [[], [1], [7], [3, 5], [2, 1, 3]]
const rowShapes: readonly Shape[] = [[], [1], [5], [64], [2, 3]]

const scalar = (value: number): HostTensor => tensorOf([value], [], 'i32')

/** Writes at the front, in the middle and at the end of every axis. */
function updates(shape: Shape, draw: (shape: Shape) => HostTensor): OpCall[] {
  return shape.flatMap((extent, axis) => {
    const written = Math.max(1, extent >> 1)
    const target = draw(shape)
    const update = draw(shape.map((other, i) => (i === axis ? written : other)))
    return [0, (extent - written) >> 1, extent - written].map((start) =>
      call('updateSlice', [target, update, scalar(start)], { axis }),
    )
  })
}

export const indexingCases: readonly Case[] = [
  agreement('gather: shapes of tables and indices', 'exact', () => {
    const random = new RandomTensors(41)
    return rowShapes.flatMap((row) =>
      indexShapes.map((shape) => call('gather', [random.normal([13, ...row]), random.integers(shape, 0, 13)], {})),
    )
  }),
  agreement('gather: weights, constants, one row', 'exact', () => {
    const random = new RandomTensors(42)
    return [
      call('gather', [random.normal([31, 5]), random.integers([2, 7], 0, 31)], {}, ['parameter']),
      call('gather', [random.normal([31, 5]), random.integers([7], 0, 31)], {}, ['parameter', 'constant']),
      call('gather', [random.normal([31, 5]), random.integers([7], 0, 31)], {}, ['constant']),
      call('gather', [random.normal([1, 5]), random.integers([7], 0, 1)], {}),
    ]
  }),
  agreement('gather: many rows', 'exact', () => [
    call('gather', [new RandomTensors(43).normal([127, 65]), cyclic([5, 0, 126, 3, 64], [MANY], 'i32')], {}),
  ]),
  agreement('scatterAdd: rows named once, several times, never', 'accumulated', () => {
    const random = new RandomTensors(44)
    return rowShapes.flatMap((row) =>
      indexShapes.flatMap((shape) =>
        [1, 5, 31].map((rows) =>
          call('scatterAdd', [random.integers(shape, 0, rows), random.normal([...shape, ...row])], { rows }),
        ),
      ),
    )
  }),
  agreement('scatterAdd: many updates, many rows', 'accumulated', () => {
    const updates = cyclic([1, -2, 0.5, 3, 7, -8, 11], [MANY, 65])
    return [
      call('scatterAdd', [cyclic([5, 0, 6, 3, 2], [MANY], 'i32'), updates], { rows: 7 }),
      call('scatterAdd', [cyclic([5, 0, MANY - 1, 3, 64], [MANY], 'i32'), updates], { rows: MANY }),
    ]
  }),
  agreement('updateSlice: every axis, at the front, within, at the end', 'exact', () => {
    const random = new RandomTensors(45)
    return [
      ...updates([7], (shape) => random.normal(shape)),
      ...updates([3, 5, 7], (shape) => random.normal(shape)),
      ...updates([2, 3, 31, 4], (shape) => random.normal(shape)),
      ...updates([3, 5], (shape) => random.integers(shape, -9, 9)),
      ...updates([3, 5], (shape) => random.bools(shape)),
    ]
  }),
  agreement('updateSlice: large targets', 'exact', () => [
    call('updateSlice', [cyclic([1, 2, 3, 4, 5, 6, 7], [MANY, 65]), cyclic([-1, -2, -3], [MANY, 2]), scalar(62)], {
      axis: 1,
    }),
    call('updateSlice', [cyclic([1, 2, 3, 4, 5, 6, 7], [MANY, 65]), cyclic([-1, -2, -3], [2, 65]), scalar(MANY - 2)], {
      axis: 0,
    }),
  ]),
  facts('updateSlice: the whole target, one element', 'exact', [
    {
      call: call('updateSlice', [tensorOf([1, 2, 3]), tensorOf([7, 8, 9]), scalar(0)], { axis: 0 }),
      results: [tensorOf([7, 8, 9])],
    },
    {
      call: call('updateSlice', [tensorOf([1, 2, 3]), tensorOf([9]), scalar(2)], { axis: 0 }),
      results: [tensorOf([1, 2, 9])],
    },
  ]),
]
