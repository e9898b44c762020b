/** Reductions, arg-max, top-k and running sums: every choice of axes, ties, long and many groups. */

import type { HostTensor, Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors, tensorOf } from '../tensors.ts'
import type { OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, facts, MANY, MANY_TIMES_64 } from './case.ts'

const shapes: readonly Shape[] = [[], [1], [127], [3, 5, 7], [13, 31], [2, 1, 3, 5], [1, 1021], [1021, 1]]

/** All subsets of the axes, the empty one included. */
function subsets(rank: number): number[][] {
  return Array.from({ length: 2 ** rank }, (_, bits) =>
    Array.from({ length: rank }, (_, axis) => axis).filter((axis) => bits & (1 << axis)),
  )
}

function reduceCalls(op: 'reduceSum' | 'reduceMax'): OpCall[] {
  const random = new RandomTensors(11)
  return shapes.flatMap((shape) => {
    const x = random.normal(shape, 1, op === 'reduceMax' ? -5 : 0)
    return subsets(shape.length).flatMap((axes) => [
      call(op, [x], { axes, keepDims: false }),
      call(op, [x], { axes, keepDims: true }),
    ])
  })
}

const axesOf = (shape: Shape): number[] => shape.map((_, axis) => axis)
const ranked = shapes.filter((shape) => shape.length > 0)

/** Few distinct values: nearly every group has ties. */
const tied = (random: RandomTensors, shape: Shape): HostTensor => ({
  shape,
  dtype: 'f32',
  data: Float32Array.from(random.integers(shape, -2, 3).data),
})

export const reductionCases: readonly Case[] = [
  agreement('reduceSum: all axes, none, kept or not', 'accumulated', () => reduceCalls('reduceSum')),
  agreement('reduceMax: all axes, none, kept or not', 'exact', () => reduceCalls('reduceMax')),
  agreement('reduceSum: one long group', 'accumulated', () => [
    call('reduceSum', [new RandomTensors(12).uniform([65_537], 0, 1)], { axes: [0], keepDims: false }),
    call('reduceSum', [new RandomTensors(13).uniform([3, 65_537], 0, 1)], { axes: [1], keepDims: true }),
    call('reduceSum', [new RandomTensors(14).uniform([20_011, 3], 0, 1)], { axes: [0], keepDims: false }),
  ]),
  agreement('reductions: more than 65,535 groups', 'accumulated', () => {
    const x = cyclic([1, -2, 0.5, 7, 3, 11, -13], [MANY, 3])
    const wide = cyclic([1, -2, 0.5, 7, 3, 11, -13], [3, MANY])
    return [
      call('reduceSum', [x], { axes: [1], keepDims: false }),
      call('reduceMax', [x], { axes: [1], keepDims: false }),
      call('reduceSum', [wide], { axes: [0], keepDims: false }),
      call('reduceMax', [wide], { axes: [0], keepDims: false }),
      call('argmax', [x], { axis: 1 }),
      call('topK', [x], { k: 2 }),
      call('cumsum', [x], { axis: 1 }),
      call('cumsum', [wide], { axis: 0 }),
    ]
  }),
  agreement('reductions: beyond 65,535 workgroups of 64 groups', 'accumulated', () => [
    call('reduceSum', [cyclic([1, -2, 0.5], [MANY_TIMES_64, 2])], { axes: [1], keepDims: false }),
    call('argmax', [cyclic([1, -2, 0.5], [MANY_TIMES_64, 2])], { axis: 1 }),
  ]),
  agreement('argmax: every axis', 'exact', () => {
    const random = new RandomTensors(15)
    return ranked.flatMap((shape) =>
      axesOf(shape).flatMap((axis) => [
        call('argmax', [random.normal(shape)], { axis }),
        call('argmax', [tied(random, shape)], { axis }),
      ]),
    )
  }),
  facts('argmax: the first of equals wins', 'exact', [
    { call: call('argmax', [tensorOf([2, 7, 7, 1, 7])], { axis: 0 }), results: [tensorOf([1], [], 'i32')] },
    { call: call('argmax', [tensorOf([0, 0, 0])], { axis: 0 }), results: [tensorOf([0], [], 'i32')] },
    { call: call('argmax', [tensorOf([-3, -1, -1])], { axis: 0 }), results: [tensorOf([1], [], 'i32')] },
    {
      call: call('argmax', [tensorOf([1, 2, 2, 1, 2, 2], [2, 3])], { axis: 0 }),
      results: [tensorOf([0, 0, 0], [3], 'i32')],
    },
  ]),
  agreement('topK: one, some, all', 'exact', () => {
    const random = new RandomTensors(16)
    const widths = [1, 2, 7, 31, 127, 1021]
    return widths.flatMap((width) =>
      [1, Math.ceil(width / 3), width].flatMap((k) => [
        call('topK', [random.normal([3, width])], { k }),
        call('topK', [tied(random, [2, 1, width])], { k }),
      ]),
    )
  }),
  facts('topK: equals by lower index', 'exact', [
    {
      call: call('topK', [tensorOf([1, 5, 3, 5, 5, -1])], { k: 4 }),
      results: [tensorOf([5, 5, 5, 3]), tensorOf([1, 3, 4, 2], [4], 'i32')],
    },
    {
      call: call('topK', [tensorOf([0, 0, 0, 0], [2, 2])], { k: 2 }),
      results: [tensorOf([0, 0, 0, 0], [2, 2]), tensorOf([0, 1, 0, 1], [2, 2], 'i32')],
    },
  ]),
  agreement('cumsum: every axis, f32', 'accumulated', () => {
    const random = new RandomTensors(17)
    return ranked.flatMap((shape) => axesOf(shape).map((axis) => call('cumsum', [random.normal(shape)], { axis })))
  }),
  agreement('cumsum: every axis, i32', 'exact', () => {
    const random = new RandomTensors(18)
    return ranked.flatMap((shape) =>
      axesOf(shape).map((axis) => call('cumsum', [random.integers(shape, -9, 9)], { axis })),
    )
  }),
]
