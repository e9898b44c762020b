/** Matrix products: extents, transposes, broadcast batches, weights, and more rows or matrices than one dispatch holds. */

import type { Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors } from '../tensors.ts'
import type { Binding, OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, MANY, MANY_TIMES_64 } from './case.ts'

interface Extents {
  readonly rows: number
  readonly inner: number
  readonly columns: number
}

const extents: readonly Extents[] = [
  { rows: 1, inner: 1, columns: 1 },
  { rows: 1, inner: 7, columns: 1 },
  { rows: 2, inner: 1, columns: 3 },
  { rows: 3, inner: 5, columns: 7 },
  { rows: 13, inner: 31, columns: 7 },
  { rows: 1, inner: 64, columns: 33 },
  { rows: 31, inner: 127, columns: 65 },
  { rows: 65, inner: 66, columns: 67 },
  { rows: 4, inner: 128, columns: 256 },
]

const flags = [false, true]
const swap = ([first, second]: readonly [number, number], swapped: boolean): [number, number] =>
  swapped ? [second, first] : [first, second]

/** The product in all four ways of reading its operands. */
function allTransposes(
  random: RandomTensors,
  { rows, inner, columns }: Extents,
  batchA: Shape = [],
  batchB: Shape = [],
  bindings?: readonly Binding[],
): OpCall[] {
  return flags.flatMap((transposeA) =>
    flags.map((transposeB) => {
      const a = random.normal([...batchA, ...swap([rows, inner], transposeA)])
      const b = random.normal([...batchB, ...swap([inner, columns], transposeB)])
      return call('matmul', [a, b], { transposeA, transposeB }, bindings)
    }),
  )
}

const batches: readonly (readonly [Shape, Shape])[] = [
  [[2, 3], []],
  [[], [4]],
  [[5], [5]],
  [[1], [5]],
  [
    [2, 1],
    [1, 3],
  ],
  [[2, 3], [3]],
  [
    [3, 1, 2],
    [2, 1],
  ],
]

export const linearCases: readonly Case[] = [
  agreement('matmul: extents and transposes', 'accumulated', () => {
    const random = new RandomTensors(21)
    return extents.flatMap((shape) => allTransposes(random, shape))
  }),
  agreement('matmul: batches broadcast', 'accumulated', () => {
    const random = new RandomTensors(22)
    return batches.flatMap(([a, b]) =>
      [extents[1]!, extents[3]!].flatMap((shape) => allTransposes(random, shape, a, b)),
    )
  }),
  agreement('matmul: weights on the right', 'accumulated', () => {
    const random = new RandomTensors(23)
    return extents.flatMap((shape) => [
      ...allTransposes(random, shape, [], [], ['input', 'parameter']),
      ...allTransposes(random, shape, [2], [], ['input', 'parameter']),
    ])
  }),
  agreement('matmul: weights on the left, in batches, and constants', 'accumulated', () => {
    const random = new RandomTensors(24)
    const shape = extents[3]!
    return [
      ...allTransposes(random, shape, [], [], ['parameter', 'input']),
      ...allTransposes(random, shape, [], [3], ['input', 'parameter']),
      ...allTransposes(random, shape, [], [], ['parameter', 'parameter']),
      ...allTransposes(random, shape, [], [], ['input', 'constant']),
      ...allTransposes(random, shape, [2], [], ['constant', 'input']),
    ]
  }),
  agreement('matmul: one row by a wide weight', 'accumulated', () => {
    const random = new RandomTensors(25)
    const shape = { rows: 1, inner: 257, columns: 1021 }
    return [
      ...allTransposes(random, shape, [], [], ['input', 'parameter']),
      ...allTransposes(random, shape, [3], [], ['input', 'parameter']),
    ]
  }),
  agreement('matmul: more rows than one dispatch holds', 'accumulated', () => [
    call('matmul', [cyclic([1, -2, 0.5, 3, 7], [MANY_TIMES_64, 1]), cyclic([2], [1, 1])], {
      transposeA: false,
      transposeB: false,
    }),
    call('matmul', [cyclic([1, -2, 0.5], [2, 3]), cyclic([1, -2, 0.5, 3, 7], [MANY, 3])], {
      transposeA: false,
      transposeB: true,
    }),
  ]),
  agreement('matmul: more matrices than one dispatch holds', 'accumulated', () => [
    call('matmul', [cyclic([1, -2, 0.5, 3, 7], [MANY, 2, 3]), cyclic([1, -3, 0.5, 4, 7, 5, 2], [MANY, 3, 2])], {
      transposeA: false,
      transposeB: false,
    }),
  ]),
]
