/**
 * Whole programs: where values live. Results own their storage unless they are declared to take over an input's; state
 * moves through aliases; weights are shared; nothing a caller holds changes behind its back.
 */

import type { Buffer } from '../../src/backend.ts'
import * as F from '../../src/tensor/functional.ts'
import type { Graph, Tensor } from '../../src/tensor/graph.ts'
import { constant, parameter, trace } from '../../src/tensor/trace.ts'
import { ConformanceError } from '../compare.ts'
import { parametersOf, RandomTensors, tensorOf } from '../tensors.ts'
import type { Trial } from '../trial.ts'
import { referenceResults } from '../trial.ts'
import type { Case } from './case.ts'

/** Adds `x` to `state` and hands the state back in its old storage. */
const accumulate = (extent: number): Graph =>
  trace('accumulate', { state: vector(extent), x: vector(extent) }, ({ state, x }) => ({
    outputs: { state: F.add(state!, x!) },
    aliases: { state: 'state' },
  }))

const vector = (extent: number): { shape: number[]; dtype: 'f32' } => ({ shape: [extent], dtype: 'f32' })
const matrix = (rows: number, columns: number): { shape: number[]; dtype: 'f32' } => ({
  shape: [rows, columns],
  dtype: 'f32',
})
const scalarIndex = { shape: [], dtype: 'i32' } as const

async function expectContents(trial: Trial, buffer: Buffer, values: readonly number[], where: string): Promise<void> {
  const actual = await trial.download(buffer)
  trial.expect(actual, tensorOf(values, buffer.shape, buffer.dtype), 'pointwise', where)
}

function expectSame(actual: unknown, expected: unknown, where: string): void {
  if (actual === expected) return
  throw new ConformanceError('an aliased output must be the buffer that was given for its input', { where })
}

const storage: readonly Case[] = [
  {
    name: 'storage: inputs, weights and constants passed straight through',
    async run(trial) {
      const x = tensorOf([1, 2, 3])
      const graph = trace('straight through', { x, count: scalarIndex }, (inputs) => ({
        outputs: {
          x: inputs.x!,
          again: inputs.x!,
          count: inputs.count!,
          weight: parameter('weight', [2]),
          constant: constant([7, 8]),
        },
      }))
      const executable = await trial.compile(graph, { weight: tensorOf([5, 6]) })
      const input = trial.upload(x)
      const first = await trial.run(executable, { x: input, count: trial.upload(tensorOf([41], [], 'i32')) })
      // Overwriting any result must leave the input, the weight, the constant and the other results alone.
      const [three, two] = [await trial.compile(accumulate(3)), await trial.compile(accumulate(2))]
      await trial.run(three, { state: first.x!, x: trial.upload(tensorOf([10, 10, 10])) })
      for (const name of ['weight', 'constant']) {
        await trial.run(two, { state: first[name]!, x: trial.upload(tensorOf([10, 10])) })
      }
      await expectContents(trial, first.x!, [11, 12, 13], 'the overwritten result')
      await expectContents(trial, first.again!, [1, 2, 3], 'the same value under another name')
      await expectContents(trial, input, [1, 2, 3], 'the input')
      await expectContents(trial, first.count!, [41], 'an i32 scalar')
      const second = await trial.run(executable, { x: input, count: first.count! })
      await expectContents(trial, second.weight!, [5, 6], 'the weight')
      await expectContents(trial, second.constant!, [7, 8], 'the constant')
    },
  },
  {
    name: 'storage: one computed value as two outputs',
    async run(trial) {
      const x = tensorOf([1, -2, 3])
      const graph = trace('twice', { x }, (inputs) => {
        const y = F.neg(inputs.x!)
        return { outputs: { a: y, b: y, flat: F.reshape(y, [3, 1]) } }
      })
      const outputs = await trial.run(await trial.compile(graph), { x: trial.upload(x) })
      const add = await trial.compile(accumulate(3))
      await trial.run(add, { state: outputs.a!, x: trial.upload(tensorOf([5, 5, 5])) })
      await expectContents(trial, outputs.a!, [4, 7, 2], 'the overwritten result')
      await expectContents(trial, outputs.b!, [-1, 2, -3], 'the same value under another name')
      await expectContents(trial, outputs.flat!, [-1, 2, -3], 'a reshaped view of it')
    },
  },
  {
    name: 'storage: results of earlier runs stay',
    async run(trial) {
      const graph = trace('square', { x: vector(5) }, ({ x }) => ({ outputs: { y: F.mul(x!, x!) } }))
      const executable = await trial.compile(graph)
      const results: Buffer[] = []
      for (let i = 0; i < 5; i++) {
        const input = trial.upload(tensorOf([i, 1, 2, 3, -i]))
        results.push((await trial.run(executable, { x: input })).y!)
        await expectContents(trial, input, [i, 1, 2, 3, -i], `the input of run ${i}`)
      }
      for (const [i, result] of results.entries()) {
        await expectContents(trial, result, [i * i, 1, 4, 9, i * i], `the result of run ${i}`)
      }
      results[0]!.dispose()
      await expectContents(trial, results[1]!, [1, 1, 4, 9, 1], 'a result after its neighbour was disposed of')
    },
  },
  {
    name: 'storage: the host arrays of upload and download are copies',
    async run(trial) {
      const tensor = tensorOf([1, 2, 3])
      const buffer = trial.upload(tensor)
      tensor.data.fill(9)
      const received = await trial.download(buffer)
      received.data.fill(8)
      await expectContents(trial, buffer, [1, 2, 3], 'the buffer')
    },
  },
  {
    name: 'storage: every element type, up and down',
    async run(trial) {
      const random = new RandomTensors(81)
      for (const shape of [[], [1], [3], [5, 7], [127], [2, 3, 5]]) {
        for (const tensor of [
          random.normal(shape),
          random.integers(shape, -2147483648, 2147483647),
          random.bools(shape),
        ]) {
          trial.expect(await trial.download(trial.upload(tensor)), tensor, 'exact', 'upload and download')
        }
      }
    },
  },
  {
    name: 'storage: many values alive at once, many reused',
    async run(trial) {
      const x = new RandomTensors(82).normal([7, 5])
      const graph = trace('chain', { x }, (inputs) => {
        let value = inputs.x!
        let late = F.mul(value, 0)
        const kept: Tensor[] = []
        for (let i = 0; i < 60; i++) {
          value = F.tanh(F.add(F.mul(value, 1.1), i % 3 === 0 ? F.reduceSum(value, [1], true) : 0.1))
          if (i % 4 === 0) kept.push(value)
        }
        for (const early of kept) late = F.add(F.mul(late, 0.5), F.sub(early, value))
        return { outputs: { value, late, middle: kept[7]! } }
      })
      await trial.agree(graph, 'model', { x })
    },
  },
]

const aliases: readonly Case[] = [
  {
    name: 'alias: the output is the input buffer, with new contents',
    async run(trial) {
      const executable = await trial.compile(accumulate(3))
      const state = trial.upload(tensorOf([1, 2, 3]))
      const x = trial.upload(tensorOf([10, 20, 30]))
      const { state: result } = await trial.run(executable, { state, x })
      expectSame(result, state, 'accumulate')
      await expectContents(trial, state, [11, 22, 33], 'the state')
      await expectContents(trial, x, [10, 20, 30], 'the other input')
    },
  },
  {
    name: 'alias: runs in a row append to a cache',
    async run(trial) {
      const graph = trace('append', { cache: matrix(7, 2), rows: matrix(1, 2), at: scalarIndex }, (inputs) => {
        const cache = F.updateSlice(inputs.cache!, inputs.rows!, inputs.at!, 0)
        return {
          outputs: { cache, next: F.add(inputs.at!, 1), sum: F.reduceSum(cache, [0, 1]) },
          aliases: { cache: 'cache' },
        }
      })
      const executable = await trial.compile(graph)
      const cache = trial.upload(tensorOf(new Array(14).fill(0), [7, 2]))
      let at = trial.upload(tensorOf([0], [], 'i32'))
      const sums: Buffer[] = []
      for (let i = 1; i <= 5; i++) {
        const outputs = await trial.run(executable, { cache, rows: trial.upload(tensorOf([i, -2 * i], [1, 2])), at })
        expectSame(outputs.cache, cache, `append ${i}`)
        at = outputs.next!
        sums.push(outputs.sum!)
      }
      await expectContents(trial, cache, [1, -2, 2, -4, 3, -6, 4, -8, 5, -10, 0, 0, 0, 0], 'the cache')
      await expectContents(trial, at, [5], 'the length')
      for (const [i, sum] of sums.entries()) {
        await expectContents(trial, sum, [(-(i + 1) * (i + 2)) / 2], `the sum after append ${i}`)
      }
    },
  },
  {
    name: 'alias: the old contents are read before and after the write',
    async run(trial) {
      const graph = trace('old and new', { cache: matrix(3, 2), row: matrix(1, 2), at: scalarIndex }, (inputs) => {
        const before = F.mul(inputs.cache!, 2)
        const cache = F.updateSlice(inputs.cache!, inputs.row!, inputs.at!, 0)
        const after = F.reduceSum(inputs.cache!, [0])
        return {
          outputs: { before, cache, after, sum: F.reduceSum(cache, [0]), old: inputs.cache! },
          aliases: { cache: 'cache' },
        }
      })
      const cache = trial.upload(tensorOf([1, 2, 3, 4, 5, 6], [3, 2]))
      const given = { cache, row: trial.upload(tensorOf([10, 20], [1, 2])), at: trial.upload(tensorOf([1], [], 'i32')) }
      const outputs = await trial.run(await trial.compile(graph), given)
      await expectContents(trial, outputs.before!, [2, 4, 6, 8, 10, 12], 'twice the old contents')
      await expectContents(trial, outputs.after!, [9, 12], 'the sum of the old contents')
      await expectContents(trial, outputs.sum!, [16, 28], 'the sum of the new contents')
      await expectContents(trial, outputs.old!, [1, 2, 3, 4, 5, 6], 'the old contents as an output')
      await expectContents(trial, cache, [1, 2, 10, 20, 5, 6], 'the cache')
    },
  },
  {
    name: 'alias: several writes in one graph',
    async run(trial) {
      const graph = trace('two writes', { cache: vector(5), a: vector(2), b: vector(1), at: scalarIndex }, (inputs) => {
        const once = F.updateSlice(inputs.cache!, inputs.a!, inputs.at!, 0)
        const twice = F.updateSlice(once, inputs.b!, F.add(inputs.at!, 1), 0)
        return { outputs: { cache: twice, between: F.reduceSum(once, [0]) }, aliases: { cache: 'cache' } }
      })
      const cache = trial.upload(tensorOf([1, 1, 1, 1, 1]))
      const [a, b, at] = [tensorOf([5, 6]), tensorOf([9]), tensorOf([2], [], 'i32')].map((each) => trial.upload(each))
      const outputs = await trial.run(await trial.compile(graph), { cache, a: a!, b: b!, at: at! })
      await expectContents(trial, cache, [1, 1, 5, 9, 1], 'the cache')
      await expectContents(trial, outputs.between!, [14], 'the sum between the writes')
    },
  },
  {
    name: 'alias: two caches in one graph',
    async run(trial) {
      const specs = { k: matrix(3, 2), v: matrix(2, 3), row: matrix(1, 2), column: matrix(2, 1), at: scalarIndex }
      const graph = trace('two caches', specs, (inputs) => ({
        outputs: {
          k: F.updateSlice(inputs.k!, inputs.row!, inputs.at!, 0),
          v: F.updateSlice(inputs.v!, inputs.column!, inputs.at!, 1),
        },
        aliases: { k: 'k', v: 'v' },
      }))
      const executable = await trial.compile(graph)
      const [k, v] = [
        trial.upload(tensorOf([1, 2, 3, 4, 5, 6], [3, 2])),
        trial.upload(tensorOf([1, 2, 3, 4, 5, 6], [2, 3])),
      ]
      for (const [i, position] of [0, 2].entries()) {
        const outputs = await trial.run(executable, {
          k,
          v,
          row: trial.upload(tensorOf([10 + i, 20 + i], [1, 2])),
          column: trial.upload(tensorOf([30 + i, 40 + i], [2, 1])),
          at: trial.upload(tensorOf([position], [], 'i32')),
        })
        expectSame(outputs.k, k, 'k')
        expectSame(outputs.v, v, 'v')
      }
      await expectContents(trial, k, [10, 20, 3, 4, 11, 21], 'k')
      await expectContents(trial, v, [30, 2, 31, 40, 5, 41], 'v')
    },
  },
  {
    name: 'alias: states that trade places',
    async run(trial) {
      const graph = trace('swap', { a: vector(3), b: vector(3) }, ({ a, b }) => ({
        outputs: { a: b!, b: F.add(a!, 1) },
        aliases: { a: 'a', b: 'b' },
      }))
      const [a, b] = [trial.upload(tensorOf([1, 2, 3])), trial.upload(tensorOf([7, 8, 9]))]
      const executable = await trial.compile(graph)
      await trial.run(executable, { a, b })
      await expectContents(trial, a, [7, 8, 9], 'a after one run')
      await expectContents(trial, b, [2, 3, 4], 'b after one run')
      await trial.run(executable, { a, b })
      await expectContents(trial, a, [2, 3, 4], 'a after two runs')
      await expectContents(trial, b, [8, 9, 10], 'b after two runs')
    },
  },
  {
    name: 'alias: results in which every element depends on all of the old ones',
    async run(trial) {
      const x = new RandomTensors(83).normal([5, 5], 0.5)
      const specs = { product: x, turned: x, normal: x, kept: x, shifted: x }
      const graph = trace('whole updates', specs, (inputs) => ({
        outputs: {
          product: F.matmul(inputs.product!, inputs.product!),
          turned: F.transpose(inputs.turned!, [1, 0]),
          normal: F.softmax(F.add(inputs.normal!, F.reduceSum(inputs.normal!, [0], true))),
          kept: inputs.kept!,
          shifted: F.concat([F.narrow(inputs.shifted!, 0, 1, 5), F.narrow(inputs.shifted!, 0, 0, 1)], 0),
        },
        aliases: { product: 'product', turned: 'turned', normal: 'normal', kept: 'kept', shifted: 'shifted' },
      }))
      const buffers = trial.uploadAll({ product: x, turned: x, normal: x, kept: x, shifted: x })
      await trial.run(await trial.compile(graph), buffers)
      const expected = await referenceResults(graph, { product: x, turned: x, normal: x, kept: x, shifted: x })
      trial.expectAll(await trial.downloadAll(buffers), expected, 'accumulated', 'the states after one run')
    },
  },
]

const running: readonly Case[] = [
  {
    name: 'run: a result of one program feeds another at once',
    async run(trial) {
      const double = await trial.compile(
        trace('double', { x: vector(3) }, ({ x }) => ({ outputs: { y: F.mul(x!, 2) } })),
      )
      const total = await trial.compile(
        trace('total', { y: vector(3) }, ({ y }) => ({ outputs: { sum: F.reduceSum(y!, [0]) } })),
      )
      let x = trial.upload(tensorOf([1, 2, 3]))
      for (let i = 0; i < 7; i++) x = (await trial.run(double, { x })).y!
      await expectContents(trial, (await trial.run(total, { y: x })).sum!, [6 * 128], 'the sum')
    },
  },
  {
    name: 'run: several at the same time',
    async run(trial) {
      const graph = trace('square', { x: vector(3) }, ({ x }) => ({ outputs: { y: F.mul(x!, x!) } }))
      const executable = await trial.compile(graph)
      const inputs = [1, 2, 3, 4].map((i) => trial.upload(tensorOf([i, 0, -i])))
      const outputs = await Promise.all(inputs.map((x) => trial.run(executable, { x })))
      for (const [i, { y }] of outputs.entries()) {
        await expectContents(trial, y!, [(i + 1) ** 2, 0, (i + 1) ** 2], `run ${i}`)
      }
    },
  },
  {
    name: 'run: one buffer for two inputs, an unused input, no inputs, no operations',
    async run(trial) {
      const specs = { a: vector(3), b: vector(3), unused: vector(2) }
      const add = trace('add', specs, ({ a, b }) => ({ outputs: { sum: F.add(a!, b!) } }))
      const x = trial.upload(tensorOf([1, 2, 3]))
      const given = { a: x, b: x, unused: trial.upload(tensorOf([0, 0])) }
      await expectContents(trial, (await trial.run(await trial.compile(add), given)).sum!, [2, 4, 6], 'the sum')
      const fixed = trace('fixed', {}, () => ({
        outputs: { three: F.add(constant(1), constant(2)), twice: F.mul(parameter('w', [2]), 2) },
      }))
      const outputs = await trial.results(fixed, {}, { w: tensorOf([4, 5]) })
      trial.expectAll(outputs, { three: tensorOf([3], []), twice: tensorOf([8, 10]) }, 'pointwise', 'no inputs')
    },
  },
  {
    name: 'run: names of every kind, outputs called like inputs',
    async run(trial) {
      const names = ['x', 'main.k.0', 'main/h.0.attn', 'ein Wert', '值', '0', '__proto', 'a-b', 'constructor']
      const inputs = Object.fromEntries(names.map((name, i) => [name, tensorOf([i, i + 1])]))
      const graph = trace('names', inputs, (values) => ({
        outputs: Object.fromEntries(names.map((name) => [name, F.add(values[name]!, parameter(`w/${name}`, [2]))])),
      }))
      const weights = Object.fromEntries(names.map((name, i) => [`w/${name}`, tensorOf([10 * i, 1])]))
      await trial.agree(graph, 'pointwise', inputs, weights)
    },
  },
  {
    name: 'run: many inputs, weights and outputs',
    async run(trial) {
      const random = new RandomTensors(84)
      const indices = Array.from({ length: 40 }, (_, i) => i)
      const inputs = Object.fromEntries(indices.map((i) => [`x${i}`, random.normal([3, 5])]))
      const weights = Object.fromEntries(indices.map((i) => [`w${i}`, random.normal([5])]))
      const graph = trace('many', inputs, (values) => ({
        outputs: Object.fromEntries(indices.map((i) => [`y${i}`, F.mul(values[`x${i}`]!, parameter(`w${i}`, [5]))])),
      }))
      await trial.agree(graph, 'pointwise', inputs, weights)
    },
  },
  {
    name: 'run: the same numbers every time',
    async run(trial) {
      const random = new RandomTensors(85)
      const inputs = { x: random.normal([13, 127]), w: random.normal([127, 31]) }
      const graph = trace('repeat', inputs, ({ x, w }) => ({ outputs: { y: F.softmax(F.matmul(x!, w!)) } }))
      const executable = await trial.compile(graph)
      const buffers = trial.uploadAll(inputs)
      const first = await trial.download((await trial.run(executable, buffers)).y!)
      for (let i = 0; i < 3; i++) {
        trial.expect(await trial.download((await trial.run(executable, buffers)).y!), first, 'exact', `repetition ${i}`)
      }
    },
  },
]

const weights: readonly Case[] = [
  {
    name: 'weights: shared by identity between programs, whichever is disposed of',
    async run(trial) {
      const random = new RandomTensors(86)
      const [w, x] = [random.normal([31, 13]), random.normal([2, 13])]
      const shared = parametersOf({ w }).get('w')!
      const programs = [false, true].map((doubled) =>
        trace(`doubled ${doubled}`, { x }, (inputs) => {
          const y = F.matmul(inputs.x!, parameter(doubled ? 'main/w' : 'w', [31, 13]), { transposeB: true })
          return { outputs: { y: doubled ? F.mul(y, 2) : y } }
        }),
      )
      const first = await trial.backend.compile(programs[0]!, new Map([['w', shared]]))
      const second = await trial.backend.compile(programs[1]!, new Map([['main/w', shared]]))
      const input = trial.upload(x)
      await trial.run(first, { x: input })
      first.dispose()
      const { y } = await trial.run(second, { x: input })
      const expected = await referenceResults(programs[1]!, { x }, { 'main/w': w })
      trial.expect(await trial.download(y!), expected.y!, 'accumulated', 'the second program')
      second.dispose()
      const third = await trial.backend.compile(programs[0]!, new Map([['w', shared]]))
      const again = await trial.run(third, { x: input })
      const plain = await referenceResults(programs[0]!, { x }, { w })
      trial.expect(await trial.download(again.y!), plain.y!, 'accumulated', 'the first program, compiled again')
      third.dispose()
    },
  },
  {
    name: 'weights: one weight used in several ways',
    async run(trial) {
      const random = new RandomTensors(87)
      const inputs = { ids: random.integers([5], 0, 31), x: random.normal([5, 13]) }
      const graph = trace('tied', inputs, ({ ids, x }) => {
        const table = parameter('table', [31, 13])
        const rows = F.add(F.gather(table, ids!), x!)
        return { outputs: { rows, logits: F.matmul(rows, table, { transposeB: true }), norms: F.norm(table) } }
      })
      await trial.agree(graph, 'accumulated', inputs, { table: random.normal([31, 13]) })
    },
  },
]

export const programCases: readonly Case[] = [...storage, ...aliases, ...running, ...weights]
