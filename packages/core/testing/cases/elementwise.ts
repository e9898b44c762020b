/** Elementwise operations: shapes, broadcasting patterns, element types and bindings. */

import type { OpName } from '../../src/tensor/attributes.ts'
import type { HostTensor, Shape } from '../../src/tensor/types.ts'
import { cyclic, RandomTensors } from '../tensors.ts'
import type { Binding, OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, MANY, MANY_TIMES_64 } from './case.ts'

const shapes: readonly Shape[] = [[], [1], [7], [1, 1], [3, 5], [13, 31], [2, 3, 5, 7], [127], [1, 257, 1]]

/** Operations of one input and the range in which they are tried. */
const ranges: Readonly<Partial<Record<OpName, readonly [low: number, high: number]>>> = {
  neg: [-10, 10],
  exp: [-10, 10],
  log: [0.01, 50],
  sqrt: [0, 100],
  abs: [-10, 10],
  tanh: [-12, 12],
  sigmoid: [-20, 20],
  erf: [-5, 5],
  softplus: [-20, 40],
  relu: [-10, 10],
  sin: [-30, 30],
  cos: [-30, 30],
}

/** Pairs of shapes: equal, scalar on either side, rows, columns, both, middle axes, differing ranks. */
const pairs: readonly (readonly [Shape, Shape])[] = [
  [
    [3, 5],
    [3, 5],
  ],
  [[13, 31], []],
  [[], [13, 31]],
  [[127], [1]],
  [[3, 5], [5]],
  [[5], [3, 5]],
  [
    [3, 5],
    [3, 1],
  ],
  [
    [3, 1],
    [1, 5],
  ],
  [
    [2, 1, 4],
    [2, 3, 1],
  ],
  [[7], [2, 3, 5, 7]],
  [
    [2, 1, 5, 1],
    [3, 1, 7],
  ],
  [[1, 1, 1], []],
  [
    [2, 3, 5, 7, 2],
    [5, 1, 1],
  ],
]

const arithmetic: readonly OpName[] = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum']
const wholeArithmetic: readonly OpName[] = ['add', 'sub', 'mul', 'maximum', 'minimum']
const comparisons: readonly OpName[] = ['equal', 'less', 'lessEqual']

const apply = (op: OpName, operands: readonly HostTensor[], bindings?: readonly Binding[]): OpCall =>
  call(op, operands, {}, bindings)

const exactly = new Set<OpName>(['neg', 'abs', 'relu', 'maximum', 'minimum'])

const unaryCases = Object.entries(ranges).map(([op, [low, high]]) =>
  agreement(`${op}: shapes`, exactly.has(op as OpName) ? 'exact' : 'pointwise', () => {
    const random = new RandomTensors(1)
    return shapes.map((shape) => apply(op as OpName, [random.uniform(shape, low, high)]))
  }),
)

/** Values with many ties, so that comparisons meet equality. */
const f32Pairs = (seed: number): HostTensor[][] => {
  const random = new RandomTensors(seed)
  return pairs.map((shapes) => shapes.map((shape) => random.normal(shape)))
}
const i32Pairs = (seed: number): HostTensor[][] => {
  const random = new RandomTensors(seed)
  return pairs.map((shapes) => shapes.map((shape) => random.integers(shape, -5, 6)))
}
const boolPairs = (seed: number): HostTensor[][] => {
  const random = new RandomTensors(seed)
  return pairs.map((shapes) => shapes.map((shape) => random.bools(shape)))
}

const asFloats = ({ shape, data }: HostTensor): HostTensor => ({ shape, dtype: 'f32', data: Float32Array.from(data) })

const binaryCases: readonly Case[] = [
  ...arithmetic.map((op) =>
    agreement(`${op}: f32, broadcasting`, exactly.has(op) ? 'exact' : 'pointwise', () =>
      f32Pairs(2).map((operands) => apply(op, operands)),
    ),
  ),
  ...wholeArithmetic.map((op) =>
    agreement(`${op}: i32, broadcasting`, 'exact', () => i32Pairs(3).map((operands) => apply(op, operands))),
  ),
  ...comparisons.map((op) =>
    agreement(`${op}: f32 and i32, broadcasting`, 'exact', () =>
      i32Pairs(4).flatMap((operands) => [apply(op, operands), apply(op, operands.map(asFloats))]),
    ),
  ),
  ...(['and', 'or'] as const).map((op) =>
    agreement(`${op}: broadcasting`, 'exact', () => boolPairs(5).map((operands) => apply(op, operands))),
  ),
  agreement('not: shapes', 'exact', () => {
    const random = new RandomTensors(6)
    return shapes.map((shape) => apply('not', [random.bools(shape)]))
  }),
  agreement('arithmetic: constants and weights as operands', 'pointwise', () => {
    const random = new RandomTensors(7)
    const [x, row] = [random.normal([3, 5]), random.normal([5])]
    const [bindings, swapped]: Binding[][] = [
      ['input', 'parameter'],
      ['parameter', 'input'],
    ]
    return arithmetic.flatMap((op) => [
      apply(op, [x, row], bindings),
      apply(op, [row, x], swapped),
      apply(op, [x, row], ['input', 'constant']),
      apply(op, [x, row], ['parameter', 'constant']),
    ])
  }),
]

const whereCases: readonly Case[] = [
  agreement('where: three-way broadcasting, all types', 'exact', () => {
    const random = new RandomTensors(8)
    const triples: readonly (readonly [Shape, Shape, Shape])[] = [
      [
        [3, 5],
        [3, 5],
        [3, 5],
      ],
      [[], [3, 5], [3, 5]],
      [[3, 5], [], []],
      [[3, 1], [5], []],
      [
        [2, 1, 1],
        [1, 3, 1],
        [1, 1, 7],
      ],
      [[1], [1], [1]],
      [[13, 31], [31], [13, 1]],
    ]
    return triples.flatMap(([condition, a, b]) => [
      apply('where', [random.bools(condition), random.normal(a), random.normal(b)]),
      apply('where', [random.bools(condition), random.integers(a, -9, 9), random.integers(b, -9, 9)]),
      apply('where', [random.bools(condition), random.bools(a), random.bools(b)]),
    ])
  }),
  agreement('cast: every pair of types', 'exact', () => {
    const random = new RandomTensors(9)
    return shapes.flatMap((shape) =>
      [random.uniform(shape, -9, 9), random.integers(shape, -2, 3), random.bools(shape)].flatMap((x) =>
        (['f32', 'i32', 'bool'] as const).map((to) => call('cast', [x], { to })),
      ),
    )
  }),
]

const largeCases: readonly Case[] = [
  agreement('elementwise: beyond 65,535 workgroups of 64', 'pointwise', () => [
    apply('add', [cyclic([1, -2, 0.5, 7, 3], [MANY_TIMES_64]), cyclic([2, 3, -5], [MANY_TIMES_64])]),
    apply('mul', [cyclic([1, -2, 0.5, 7, 3, 11, -13], [MANY, 65]), cyclic([1, 2, 3], [65])]),
    apply('less', [cyclic([1, -2, 0.5], [MANY, 65]), cyclic([0.5, 2, 3, 1, -1], [MANY, 1])]),
  ]),
  agreement('elementwise: beyond 65,535 workgroups of 256', 'exact', () => [
    apply('relu', [cyclic([1, -2, 0.5, 7, -3, 11, -13], [MANY * 256 + 3])]),
  ]),
]

export const elementwiseCases: readonly Case[] = [...unaryCases, ...binaryCases, ...whereCases, ...largeCases]
