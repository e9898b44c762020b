/**
 * NaN, infinities, huge and tiny values, and tensors without elements: what each operation must make of them.
 *
 * IEEE 754 throughout. `maximum`, `minimum` and `reduceMax` pass NaN on; every comparison with NaN is false; `where` lets
 * nothing through from the branch that is not chosen; saturating functions saturate and never overflow into NaN. `argmax`
 * and `topK` among NaN give some index in range. Parts are separate cases, because a device whose shading language does
 * not promise IEEE semantics has to say which of them it does not keep.
 */

import type { OpName } from '../../src/tensor/attributes.ts'
import type { HostTensor } from '../../src/tensor/types.ts'
import { ConformanceError } from '../compare.ts'
import { cyclic, RandomTensors, tensorOf } from '../tensors.ts'
import { call, programOf } from '../trial.ts'
import type { Case, Fact } from './case.ts'
import { agreement, facts } from './case.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

const bools = (...values: number[]): HostTensor => tensorOf(values, [values.length], 'bool')

/** f of the values, element by element. */
const map = (op: OpName, values: readonly number[], results: readonly number[]): Fact => ({
  call: call(op, [tensorOf(values)], {}),
  results: [tensorOf(results)],
})

const pairs = (op: OpName, a: readonly number[], b: readonly number[], results: HostTensor): Fact => ({
  call: call(op, [tensorOf(a), tensorOf(b)], {}),
  results: [results],
})

const choice = (condition: readonly number[], a: readonly number[], b: readonly number[], result: number[]): Fact => ({
  call: call('where', [bools(...condition), tensorOf(a), tensorOf(b)], {}),
  results: [tensorOf(result)],
})

const saturation: readonly Case[] = [
  facts('saturation: tanh, sigmoid, erf, softplus far out', 'pointwise', [
    map('tanh', [-1e4, -90, 90, 1e4], [-1, -1, 1, 1]),
    map('sigmoid', [-1e4, -200, 200, 1e4], [0, 0, 1, 1]),
    map('erf', [-1e4, -10, 10, 1e4], [-1, -1, 1, 1]),
    map('softplus', [-1e4, -200, 200, 1e4], [0, 0, 200, 1e4]),
    map('exp', [-1e4, -200], [0, 0]),
  ]),
  facts('saturation: gelu and silu far out', 'pointwise', [
    {
      call: call('gelu', [tensorOf([-1e4, -50, 50, 1e4])], { approximate: 'tanh' }),
      results: [tensorOf([0, 0, 50, 1e4])],
    },
    {
      call: call('gelu', [tensorOf([-1e4, -50, 50, 1e4])], { approximate: 'none' }),
      results: [tensorOf([0, 0, 50, 1e4])],
    },
    map('silu', [-1e4, -200, 200, 1e4], [0, 0, 200, 1e4]),
  ]),
  facts('softmax and logSoftmax: huge values', 'pointwise', [
    map('softmax', [1e30, 1e30], [0.5, 0.5]),
    map('softmax', [1e30, -1e30, 0], [1, 0, 0]),
    map('softmax', [-3.4028234663852886e38, -3.4028234663852886e38], [0.5, 0.5]),
    map('softmax', [500, 0, -500], [1, 0, 0]),
    map('logSoftmax', [1000, 0, -1000], [0, -1000, -2000]),
    map('logSoftmax', [1e30, 1e30], [-Math.LN2, -Math.LN2]),
  ]),
  facts('crossEntropy: huge logits', 'pointwise', [
    {
      call: call('crossEntropy', [tensorOf([1000, 0, 0, 1000], [2, 2]), tensorOf([0, 0], [2], 'i32')], {}),
      results: [tensorOf([0, 1000])],
    },
  ]),
]

const infinities: readonly Case[] = [
  facts('infinity: functions and arithmetic', 'exact', [
    map('exp', [-inf, inf], [0, inf]),
    map('log', [0, inf], [-inf, inf]),
    map('sqrt', [0, inf], [0, inf]),
    map('abs', [-inf, inf], [inf, inf]),
    map('neg', [-inf, inf], [inf, -inf]),
    map('relu', [-inf, inf], [0, inf]),
    pairs('add', [inf, 1, inf], [1, -inf, inf], tensorOf([inf, -inf, inf])),
    pairs('mul', [inf, -2], [2, inf], tensorOf([inf, -inf])),
    pairs('div', [1, -1, 1], [0, 0, inf], tensorOf([inf, -inf, 0])),
    pairs('maximum', [-inf, inf], [1, 1], tensorOf([1, inf])),
    pairs('minimum', [-inf, inf], [1, 1], tensorOf([-inf, 1])),
  ]),
  facts('infinity: comparisons', 'exact', [
    pairs('equal', [inf, -inf, inf], [inf, inf, 1], bools(1, 0, 0)),
    pairs('less', [1, -inf, inf], [inf, inf, inf], bools(1, 1, 0)),
    pairs('lessEqual', [1, -inf, inf], [inf, inf, inf], bools(1, 1, 1)),
  ]),
  facts('infinity: reductions and choices', 'exact', [
    {
      call: call('reduceMax', [tensorOf([-inf, -inf])], { axes: [0], keepDims: false }),
      results: [tensorOf([-inf], [])],
    },
    {
      call: call('reduceMax', [tensorOf([1, inf, 2])], { axes: [0], keepDims: false }),
      results: [tensorOf([inf], [])],
    },
    { call: call('argmax', [tensorOf([-inf, -inf, -inf])], { axis: 0 }), results: [tensorOf([0], [], 'i32')] },
    { call: call('argmax', [tensorOf([-inf, 3, inf])], { axis: 0 }), results: [tensorOf([2], [], 'i32')] },
    {
      call: call('topK', [tensorOf([-inf, 2, -inf, inf])], { k: 4 }),
      results: [tensorOf([inf, 2, -inf, -inf]), tensorOf([3, 1, 0, 2], [4], 'i32')],
    },
  ]),
  facts('infinity: masked by −∞', 'pointwise', [
    map('softmax', [-inf, 0, 0], [0, 0.5, 0.5]),
    map('logSoftmax', [-inf, 0, 0], [-inf, -Math.LN2, -Math.LN2]),
    {
      call: call('crossEntropy', [tensorOf([-inf, 0, 0], [1, 3]), tensorOf([1], [1], 'i32')], {}),
      results: [tensorOf([Math.LN2])],
    },
  ]),
]

const notNumbers: readonly Case[] = [
  facts('NaN: functions and arithmetic pass it on', 'exact', [
    ...(['neg', 'exp', 'log', 'sqrt', 'abs', 'tanh', 'sigmoid', 'sin', 'cos'] as const).map((op) =>
      map(op, [nan], [nan]),
    ),
    ...(['add', 'sub', 'mul', 'div'] as const).flatMap((op) => [pairs(op, [nan, 1], [1, nan], tensorOf([nan, nan]))]),
  ]),
  facts('NaN: erf, softplus, relu, gelu, silu pass it on', 'exact', [
    ...(['erf', 'softplus', 'relu', 'silu'] as const).map((op) => map(op, [nan], [nan])),
    { call: call('gelu', [tensorOf([nan])], { approximate: 'tanh' }), results: [tensorOf([nan])] },
    { call: call('gelu', [tensorOf([nan])], { approximate: 'none' }), results: [tensorOf([nan])] },
  ]),
  facts('NaN: made by invalid operations', 'exact', [
    map('log', [-1], [nan]),
    map('sqrt', [-1], [nan]),
    pairs('sub', [inf], [inf], tensorOf([nan])),
    pairs('mul', [0], [inf], tensorOf([nan])),
    pairs('div', [0], [0], tensorOf([nan])),
  ]),
  facts('NaN: maximum and minimum pass it on', 'exact', [
    pairs('maximum', [nan, 1, nan], [1, nan, nan], tensorOf([nan, nan, nan])),
    pairs('minimum', [nan, 1, nan], [1, nan, nan], tensorOf([nan, nan, nan])),
  ]),
  facts('NaN: every comparison is false', 'exact', [
    pairs('equal', [nan, nan, 1], [nan, 1, nan], bools(0, 0, 0)),
    pairs('less', [nan, nan, 1], [nan, 1, nan], bools(0, 0, 0)),
    pairs('lessEqual', [nan, nan, 1], [nan, 1, nan], bools(0, 0, 0)),
  ]),
  facts('NaN: reductions pass it on', 'exact', [
    {
      call: call('reduceSum', [tensorOf([1, nan, 2])], { axes: [0], keepDims: false }),
      results: [tensorOf([nan], [])],
    },
    ...[
      [nan, 1, 2],
      [1, nan, 2],
      [1, 2, nan],
    ].map((values) => ({
      call: call('reduceMax', [tensorOf(values)], { axes: [0], keepDims: false }),
      results: [tensorOf([nan], [])],
    })),
    {
      call: call('reduceMax', [tensorOf([1, 2, nan, 4], [2, 2])], { axes: [1], keepDims: false }),
      results: [tensorOf([2, nan])],
    },
  ]),
  facts('NaN: where and relu let nothing through from the other branch', 'exact', [
    choice([1, 0], [1, nan], [nan, 2], [1, 2]),
    choice([1, 0], [nan, 1], [2, nan], [nan, nan]),
    choice([1, 0], [1, inf], [-inf, 2], [1, 2]),
  ]),
  facts('NaN: one bad row of a product leaves the others alone', 'exact', [
    {
      call: call('matmul', [tensorOf([nan, 1, 1, 1], [2, 2]), tensorOf([1, 2, 3, 4], [2, 2])], {
        transposeA: false,
        transposeB: false,
      }),
      results: [tensorOf([nan, nan, 4, 6], [2, 2])],
    },
  ]),
  indicesStayInRange(),
]

/** Which index is not defined, but a look-up by it must be possible. */
function indicesStayInRange(): Case {
  const name = 'NaN: argmax and topK give indices in range'
  return {
    name,
    async run(trial) {
      const rows = tensorOf([nan, nan, nan, nan, 1, 2, 1, nan, 2, 1, 2, nan], [4, 3])
      const { graph, inputs } = programOf(name, [call('argmax', [rows], { axis: 1 }), call('topK', [rows], { k: 2 })])
      for (const [output, { dtype, data }] of Object.entries(await trial.results(graph, inputs))) {
        if (dtype === 'i32' && data.some((index) => index < 0 || index > 2)) {
          throw new ConformanceError('an index out of range', {
            where: `${name}: ${output}`,
            expected: '0 … 2',
            actual: `${data}`,
          })
        }
      }
    },
  }
}

const wholeNumbers = facts('i32: exact to the ends of the range', 'exact', [
  {
    call: call('add', [tensorOf([2147483646, -2147483647], [2], 'i32'), tensorOf([1, -1], [2], 'i32')], {}),
    results: [tensorOf([2147483647, -2147483648], [2], 'i32')],
  },
  {
    call: call(
      'maximum',
      [tensorOf([16777217, -16777217], [2], 'i32'), tensorOf([16777216, -16777216], [2], 'i32')],
      {},
    ),
    results: [tensorOf([16777217, -16777216], [2], 'i32')],
  },
  {
    call: call('equal', [tensorOf([16777217], [1], 'i32'), tensorOf([16777216], [1], 'i32')], {}),
    results: [bools(0)],
  },
  {
    call: call('cast', [tensorOf([2.9, -2.9, 0.5, -0.5, 16777216])], { to: 'i32' }),
    results: [tensorOf([2, -2, 0, 0, 16777216], [5], 'i32')],
  },
  { call: call('cast', [tensorOf([0.25, 0, -0, -3, inf])], { to: 'bool' }), results: [bools(1, 0, 0, 1, 1)] },
])

const withoutElements: readonly Case[] = [
  agreement('no elements: elementwise, layout, look-up', 'exact', () => [
    call('neg', [cyclic([], [0, 3])], {}),
    call('add', [cyclic([], [0, 3]), tensorOf([1, 2, 3])], {}),
    call('transpose', [cyclic([], [0, 3])], { permutation: [1, 0] }),
    call('reshape', [cyclic([], [0, 3])], { shape: [5, 0] }),
    call('slice', [tensorOf([1, 2, 3])], { starts: [1], ends: [1] }),
    call('concat', [cyclic([], [0, 3]), tensorOf([1, 2, 3], [1, 3])], { axis: 0 }),
    call('pad', [cyclic([], [0])], { before: [1], after: [2], value: 7 }),
    call('gather', [tensorOf([1, 2, 3, 4], [2, 2]), cyclic([], [0], 'i32')], {}),
  ]),
  agreement('no elements: sums over nothing are zero', 'exact', () => [
    call('reduceSum', [cyclic([], [3, 0])], { axes: [1], keepDims: false }),
    call('matmul', [cyclic([], [3, 0]), cyclic([], [0, 5])], { transposeA: false, transposeB: false }),
    call('scatterAdd', [cyclic([], [0], 'i32'), cyclic([], [0, 2])], { rows: 3 }),
  ]),
  agreement('no elements: attention over a cache of no slots', 'accumulated', () => {
    const random = new RandomTensors(71)
    const draw = (rows: number): HostTensor => random.normal([1, 2, rows, 4])
    return [call('attention', [draw(3), draw(3), draw(3), cyclic([0], [1, 1, 3, 3]), draw(0), draw(0)], { scale: 0.5 })]
  }),
]

export const specialValueCases: readonly Case[] = [
  ...saturation,
  ...infinities,
  ...notNumbers,
  wholeNumbers,
  ...withoutElements,
]
