import { describe, expect, it } from 'vitest'
import { differentiable } from '../../testing/differentiable.ts'
import { allclose, RandomTensors, tensorOf } from '../../testing/index.ts'
import type { OpCall } from '../../testing/trial.ts'
import { call, programOf, referenceResults } from '../../testing/trial.ts'
import { GraphError, ShapeError } from '../errors.ts'
import type { Attributes, OpName } from './attributes.ts'
import * as F from './functional.ts'
import { operations, primitives } from './ops.ts'
import { trace } from './trace.ts'
import type { DType, HostTensor, Shape, TensorSpec } from './types.ts'
import { sizeOf, stridesOf } from './types.ts'

/**
 * Every operation once more, from its definition: the value at an index, in f64, by functions of indices. Slow and plain;
 * nothing here is shared with the op table.
 */
type Index = readonly number[]
type Values = (index: Index) => number

const read =
  ({ shape, data }: HostTensor): Values =>
  (index) =>
    data[index.reduce((offset, i, axis) => offset + i * stridesOf(shape)[axis]!, 0)]!

/** Reads an operand as if broadcast: leading axes dropped, extents of 1 repeated. */
const spread =
  (x: HostTensor): Values =>
  (index) =>
    read(x)(x.shape.map((extent, axis) => (extent === 1 ? 0 : index[index.length - x.shape.length + axis]!)))

function indicesOf(shape: Shape): Index[] {
  return shape.reduce<Index[]>(
    (found, extent) => found.flatMap((index) => Array.from({ length: extent }, (_, i) => [...index, i])),
    [[]],
  )
}

const replaced = (index: Index, axis: number, value: number): Index => index.map((i, a) => (a === axis ? value : i))
const range = (length: number): number[] => Array.from({ length }, (_, i) => i)
const sum = (terms: readonly number[]): number => terms.reduce((total, term) => total + term, 0)
const last = (x: HostTensor): number[] => range(x.shape.at(-1)!)
const rowOf = (x: HostTensor, index: Index): number[] => last(x).map((i) => read(x)([...index.slice(0, -1), i]))
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** erf by its Maclaurin series, which f64 bears up to |x| = 3. */
function erf(x: number): number {
  let [total, term] = [x, x]
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n
    total += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * total
}

const unary: Partial<Record<OpName, (x: number) => number>> = {
  neg: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  abs: Math.abs,
  tanh: Math.tanh,
  sigmoid,
  erf,
  softplus: (x) => Math.log(1 + Math.exp(x)),
  relu: (x) => Math.max(0, x),
  sin: Math.sin,
  cos: Math.cos,
  not: (x) => 1 - x,
  silu: (x) => x * sigmoid(x),
  stopGradient: (x) => x,
}

const binary: Partial<Record<OpName, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  equal: (a, b) => Number(a === b),
  less: (a, b) => Number(a < b),
  lessEqual: (a, b) => Number(a <= b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
}

type Definitions = { [Name in OpName]?: (operands: readonly HostTensor[], attributes: Attributes[Name]) => Values[] }

/** Descending, ties by lower index. */
const ranking = (row: readonly number[]): number[] => range(row.length).sort((i, j) => row[j]! - row[i]! || i - j)

/** Group of input indices that a reduced index stands for. */
function group(x: HostTensor, axes: readonly number[], keepDims: boolean, index: Index): number[] {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => keepDims || !axes.includes(axis))
  const fits = (full: Index): boolean => kept.every((axis, i) => axes.includes(axis) || full[axis] === index[i])
  return indicesOf(x.shape).filter(fits).map(read(x))
}

const definitions: Definitions = {
  where: ([condition, a, b]) => [(index) => (spread(condition!)(index) ? spread(a!)(index) : spread(b!)(index))],
  cast: ([x], { to }) => [
    (index) =>
      to === 'bool' ? Number(read(x!)(index) !== 0) : to === 'i32' ? Math.trunc(read(x!)(index)) : read(x!)(index),
  ],
  reduceSum: ([x], { axes, keepDims }) => [(index) => sum(group(x!, axes, keepDims, index))],
  reduceMax: ([x], { axes, keepDims }) => [(index) => Math.max(...group(x!, axes, keepDims, index))],
  argmax: ([x], { axis }) => [
    (index) => {
      const along = range(x!.shape[axis]!).map((i) => read(x!)([...index.slice(0, axis), i, ...index.slice(axis)]))
      return along.indexOf(Math.max(...along))
    },
  ],
  topK: ([x]) => [
    (index) => rowOf(x!, index)[ranking(rowOf(x!, index))[index.at(-1)!]!]!,
    (index) => ranking(rowOf(x!, index))[index.at(-1)!]!,
  ],
  cumsum: ([x], { axis }) => [(index) => sum(range(index[axis]! + 1).map((i) => read(x!)(replaced(index, axis, i))))],
  matmul: ([a, b], { transposeA, transposeB }) => [
    (index) => {
      const [batch, row, column] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!]
      const inner = a!.shape.at(transposeA ? -2 : -1)!
      const left = (k: number): number => spread(a!)([...batch, ...(transposeA ? [k, row] : [row, k])])
      const right = (k: number): number => spread(b!)([...batch, ...(transposeB ? [column, k] : [k, column])])
      return sum(range(inner).map((k) => left(k) * right(k)))
    },
  ],
  reshape: ([x], { shape }) => [
    (index) => x!.data[index.reduce((offset, i, axis) => offset + i * stridesOf(shape)[axis]!, 0)]!,
  ],
  transpose: ([x], { permutation }) => [
    (index) => read(x!)(x!.shape.map((_, axis) => index[permutation.indexOf(axis)]!)),
  ],
  broadcastTo: ([x]) => [spread(x!)],
  slice: ([x], { starts }) => [(index) => read(x!)(index.map((i, axis) => i + starts[axis]!))],
  concat: (parts, { axis }) => [
    (index) => {
      let at = index[axis]!
      for (const part of parts) {
        if (at < part.shape[axis]!) return read(part)(replaced(index, axis, at))
        at -= part.shape[axis]!
      }
      throw new Error('beyond the last part')
    },
  ],
  pad: ([x], { before, value }) => [
    (index) => {
      const inner = index.map((i, axis) => i - before[axis]!)
      return inner.every((i, axis) => i >= 0 && i < x!.shape[axis]!) ? read(x!)(inner) : value
    },
  ],
  gather: ([table, indices]) => [
    (index) => {
      const rank = indices!.shape.length
      return read(table!)([read(indices!)(index.slice(0, rank)), ...index.slice(rank)])
    },
  ],
  scatterAdd: ([indices, updates]) => [
    ([row, ...rest]) =>
      sum(indicesOf(indices!.shape).map((i) => (read(indices!)(i) === row ? read(updates!)([...i, ...rest]) : 0))),
  ],
  updateSlice: ([target, update, start], { axis }) => [
    (index) => {
      const at = index[axis]! - start!.data[0]!
      return at >= 0 && at < update!.shape[axis]! ? read(update!)(replaced(index, axis, at)) : read(target!)(index)
    },
  ],
  softmax: ([x]) => [(index) => Math.exp(read(x!)(index)) / sum(rowOf(x!, index).map(Math.exp))],
  logSoftmax: ([x]) => [(index) => read(x!)(index) - Math.log(sum(rowOf(x!, index).map(Math.exp)))],
  layerNorm: ([x, weight, bias], { epsilon }) => [
    (index) => {
      const row = rowOf(x!, index)
      const mean = sum(row) / row.length
      const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length
      const i = index.slice(-1)
      return ((read(x!)(index) - mean) / Math.sqrt(variance + epsilon)) * read(weight!)(i) + read(bias!)(i)
    },
  ],
  rmsNorm: ([x, weight], { epsilon }) => [
    (index) => {
      const row = rowOf(x!, index)
      const square = sum(row.map((value) => value ** 2)) / row.length
      return (read(x!)(index) / Math.sqrt(square + epsilon)) * read(weight!)(index.slice(-1))
    },
  ],
  gelu: ([x], { approximate }) => [
    (index) => {
      const value = read(x!)(index)
      const inner =
        approximate === 'tanh'
          ? Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3))
          : erf(value / Math.SQRT2)
      return (value / 2) * (1 + inner)
    },
  ],
  rotary: ([x, cos, sin]) => [
    ([b, h, t, i]) => {
      const half = x!.shape[3]! / 2
      const pair = [b!, t!, i! % half]
      const [first, second] = [read(x!)([b!, h!, t!, i! % half]), read(x!)([b!, h!, t!, (i! % half) + half])]
      const [c, s] = [read(cos!)(pair), read(sin!)(pair)]
      return i! < half ? first * c - second * s : second * c + first * s
    },
  ],
  attention: ([q, k, v, bias, pastK, pastV], { scale }) => [
    ([b, h, t, i]) => {
      const past = pastK?.shape[2] ?? 0
      const head = Math.floor((h! * k!.shape[1]!) / q!.shape[1]!)
      const at = (old: HostTensor | undefined, fresh: HostTensor, slot: number, j: number): number =>
        slot < past ? read(old!)([b!, head, slot, j]) : read(fresh)([b!, head, slot - past, j])
      const scores = range(past + k!.shape[2]!).map(
        (slot) =>
          sum(range(q!.shape[3]!).map((j) => read(q!)([b!, h!, t!, j]) * at(pastK, k!, slot, j))) * scale +
          read(bias!)([bias!.shape[0] === 1 ? 0 : b!, 0, t!, slot]),
      )
      const total = sum(scores.map(Math.exp))
      return sum(scores.map((score, slot) => (Math.exp(score) / total) * at(pastV, v!, slot, i!)))
    },
  ],
  crossEntropy: ([logits, labels]) => [
    ([n]) => {
      const label = read(labels!)([n!])
      const row = rowOf(logits!, [n!, 0])
      return label < 0 ? 0 : Math.log(sum(row.map(Math.exp))) - row[label]!
    },
  ],
}

function define({ op, operands, attributes }: OpCall): Values[] {
  const [single, double] = [unary[op], binary[op]]
  if (single) return [(index) => single(read(operands[0]!)(index))]
  if (double) return [(index) => double(spread(operands[0]!)(index), spread(operands[1]!)(index))]
  const definition = definitions[op] as ((given: readonly HostTensor[], options: unknown) => Values[]) | undefined
  return definition!(operands, attributes)
}

/** The operations that `differentiable` leaves out, and integer forms. */
function otherCalls(): OpCall[] {
  const random = new RandomTensors(7)
  const whole = (shape: Shape): HostTensor => random.integers(shape, -3, 4)
  const comparisons: readonly OpName[] = ['equal', 'less', 'lessEqual', 'add', 'sub', 'mul', 'maximum', 'minimum']
  return [
    ...comparisons.map((op) => call(op, [whole([3, 1, 5]), whole([7, 1])], {})),
    ...(['and', 'or'] as const).map((op) => call(op, [random.bools([3, 5]), random.bools([5])], {})),
    call('not', [random.bools([3, 5])], {}),
    call('where', [random.bools([3, 1]), whole([5]), whole([])], {}),
    ...(['f32', 'i32', 'bool'] as const).flatMap((to) => [
      call('cast', [random.normal([13], 2)], { to }),
      call('cast', [whole([13])], { to }),
    ]),
    call('argmax', [random.normal([2, 7, 3])], { axis: 1 }),
    call('argmax', [{ ...whole([3, 13]), dtype: 'f32', data: Float32Array.from(whole([3, 13]).data) }], { axis: 1 }),
    call('cumsum', [whole([3, 5])], { axis: 0 }),
    call('stopGradient', [random.normal([3])], {}),
    call('transpose', [whole([2, 3, 5, 7])], { permutation: [3, 1, 0, 2] }),
  ]
}

describe('operations against their definitions', () => {
  const calls = [...differentiable(), ...otherCalls()]

  for (const [i, step] of calls.entries()) {
    it(`${i}: ${step.op} ${step.operands.map(({ shape }) => `[${shape}]`).join(' ')}`, async () => {
      const { graph, inputs } = programOf('definition', [step])
      const results = Object.values(await referenceResults(graph, inputs))
      const expected = define(step)
      results.forEach(({ shape, data, dtype }, output) => {
        const values = indicesOf(shape).map(expected[output]!)
        expect(data.length).toBe(values.length)
        const tolerance = dtype === 'f32' ? { absolute: 1e-6, relative: 2e-6 } : { absolute: 0, relative: 0 }
        expect(allclose(data, values, tolerance), `${data} for ${values}`).toBe(true)
      })
    })
  }

  it('leaves out no operation', () => {
    expect([...new Set(calls.map(({ op }) => op))].sort()).toEqual(Object.keys(operations).sort())
  })
})

describe('the table', () => {
  it('has primitives, which are evaluated, and composites, which are spelled out', () => {
    for (const [name, operation] of Object.entries(operations)) {
      expect('evaluate' in operation, name).toBe(primitives.has(name as OpName))
      expect('decompose' in operation, name).toBe(!primitives.has(name as OpName))
    }
    expect(primitives.has('matmul')).toBe(true)
    expect(primitives.has('attention')).toBe(false)
  })
})

const f32 = (...shape: number[]): TensorSpec => ({ shape, dtype: 'f32' })
const i32 = (...shape: number[]): TensorSpec => ({ shape, dtype: 'i32' })
const bool = (...shape: number[]): TensorSpec => ({ shape, dtype: 'bool' })

function infer<Name extends OpName>(
  op: Name,
  inputs: readonly TensorSpec[],
  attributes: Attributes[Name],
): TensorSpec[] {
  return operations[op].infer(inputs, attributes as never)
}

interface Refused {
  readonly op: OpName
  readonly inputs: readonly TensorSpec[]
  readonly attributes?: object
  /** What the message must hold besides the operation's name. */
  readonly says: readonly string[]
}

const refused: readonly Refused[] = [
  { op: 'exp', inputs: [i32(2)], says: ['1 of type f32', 'i32[2]'] },
  { op: 'exp', inputs: [f32(2), f32(2)], says: ['f32[2] and f32[2]'] },
  { op: 'add', inputs: [f32(2), f32(3)], says: ['equal extents, or 1', '[2] and [3]'] },
  { op: 'add', inputs: [f32(2), i32(2)], says: ['two of one type', 'f32[2] and i32[2]'] },
  { op: 'add', inputs: [f32(2)], says: ['f32[2]'] },
  { op: 'div', inputs: [i32(2), i32(2)], says: ['f32', 'i32[2]'] },
  { op: 'and', inputs: [f32(2), f32(2)], says: ['bool', 'f32[2]'] },
  { op: 'not', inputs: [f32(2)], says: ['bool', 'f32[2]'] },
  { op: 'where', inputs: [f32(2), f32(2), f32(2)], says: ['bool', 'f32[2]'] },
  { op: 'where', inputs: [bool(2), f32(2), i32(2)], says: ['one type', 'f32[2] and i32[2]'] },
  { op: 'where', inputs: [bool(2), f32(3), f32(3)], says: ['[2] and [3]'] },
  { op: 'reduceSum', inputs: [f32(2)], attributes: { axes: [1], keepDims: false }, says: ['0 … 0', '1'] },
  { op: 'reduceSum', inputs: [f32(2, 3)], attributes: { axes: [1, 1], keepDims: false }, says: ['twice', '[1,1]'] },
  { op: 'reduceSum', inputs: [i32(2)], attributes: { axes: [0], keepDims: false }, says: ['f32', 'i32[2]'] },
  {
    op: 'reduceMax',
    inputs: [f32(2, 0)],
    attributes: { axes: [1], keepDims: false },
    says: ['no elements', 'f32[2,0]'],
  },
  { op: 'argmax', inputs: [f32(2)], attributes: { axis: -1 }, says: ['0 … 0', '-1'] },
  { op: 'argmax', inputs: [f32(0)], attributes: { axis: 0 }, says: ['no elements', 'f32[0]'] },
  { op: 'topK', inputs: [f32(2, 3)], attributes: { k: 4 }, says: ['1 … 3', '4'] },
  { op: 'topK', inputs: [f32(2, 3)], attributes: { k: 0 }, says: ['1 … 3', '0'] },
  { op: 'cumsum', inputs: [bool(2)], attributes: { axis: 0 }, says: ['bool[2]'] },
  { op: 'cumsum', inputs: [f32(2)], attributes: { axis: 0.5 }, says: ['0 … 0', '0.5'] },
  {
    op: 'matmul',
    inputs: [f32(2, 3), f32(4, 5)],
    attributes: { transposeA: false, transposeB: false },
    says: ['inner extents differ', '[…,2,3] · […,3,5]', 'f32[2,3] and f32[4,5]'],
  },
  {
    op: 'matmul',
    inputs: [f32(2, 3), f32(4, 2)],
    attributes: { transposeA: true, transposeB: false },
    says: ['first transposed'],
  },
  {
    op: 'matmul',
    inputs: [f32(3), f32(3, 2)],
    attributes: { transposeA: false, transposeB: false },
    says: ['two axes', 'f32[3]'],
  },
  {
    op: 'matmul',
    inputs: [f32(2, 1, 3), f32(3, 3, 1)],
    attributes: { transposeA: false, transposeB: false },
    says: ['[2] and [3]'],
  },
  { op: 'reshape', inputs: [f32(2, 3)], attributes: { shape: [4] }, says: ['6 elements', '[4]'] },
  { op: 'reshape', inputs: [f32(2, 3)], attributes: { shape: [-2, -3] }, says: ['[-2,-3]'] },
  { op: 'transpose', inputs: [f32(2, 3)], attributes: { permutation: [0, 0] }, says: ['rank 2', '[0,0]'] },
  { op: 'transpose', inputs: [f32(2, 3)], attributes: { permutation: [0] }, says: ['rank 2', '[0]'] },
  { op: 'broadcastTo', inputs: [f32(2, 3)], attributes: { shape: [3] }, says: ['[2,3]', '[3]'] },
  { op: 'broadcastTo', inputs: [f32(3)], attributes: { shape: [1] }, says: ['[3]', '[1]'] },
  { op: 'slice', inputs: [f32(3)], attributes: { starts: [2], ends: [1] }, says: ['f32[3]', '[2] … [1]'] },
  { op: 'slice', inputs: [f32(3)], attributes: { starts: [0], ends: [4] }, says: ['[0] … [4]'] },
  { op: 'slice', inputs: [f32(3)], attributes: { starts: [0.5], ends: [1.5] }, says: ['[0.5] … [1.5]'] },
  { op: 'slice', inputs: [f32(3, 3)], attributes: { starts: [0], ends: [1] }, says: ['f32[3,3]'] },
  { op: 'concat', inputs: [], attributes: { axis: 0 }, says: ['one or more operands', 'none'] },
  { op: 'concat', inputs: [f32(2, 3), f32(2, 4)], attributes: { axis: 0 }, says: ['f32[2,3]', 'f32[2,4]'] },
  { op: 'concat', inputs: [f32(2), i32(2)], attributes: { axis: 0 }, says: ['i32[2]'] },
  { op: 'concat', inputs: [f32()], attributes: { axis: 0 }, says: ['axis out of range'] },
  { op: 'pad', inputs: [f32(2)], attributes: { before: [-1], after: [0], value: 0 }, says: ['f32[2]', '[-1]'] },
  { op: 'pad', inputs: [f32(2)], attributes: { before: [], after: [], value: 0 }, says: ['f32[2]'] },
  { op: 'gather', inputs: [f32(), i32(2)], says: ['axis', 'f32[]'] },
  { op: 'gather', inputs: [f32(3), f32(2)], says: ['f32, i32', 'f32[2]'] },
  { op: 'scatterAdd', inputs: [i32(2), f32(3, 4)], attributes: { rows: 5 }, says: ['i32[2] and f32[3,4]'] },
  { op: 'updateSlice', inputs: [f32(2, 3), f32(2, 4), i32()], attributes: { axis: 1 }, says: ['f32[2,3]', 'f32[2,4]'] },
  { op: 'updateSlice', inputs: [f32(2, 3), f32(1, 2), i32()], attributes: { axis: 1 }, says: ['f32[1,2]'] },
  { op: 'updateSlice', inputs: [f32(3), f32(1), i32(1)], attributes: { axis: 0 }, says: ['scalar start', 'i32[1]'] },
  { op: 'updateSlice', inputs: [f32(3), i32(1), i32()], attributes: { axis: 0 }, says: ['i32[1]'] },
  { op: 'softmax', inputs: [f32()], says: ['last axis', 'f32[]'] },
  { op: 'softmax', inputs: [f32(3, 0)], says: ['last axis', 'f32[3,0]'] },
  { op: 'logSoftmax', inputs: [i32(2)], says: ['f32', 'i32[2]'] },
  { op: 'layerNorm', inputs: [f32(2, 3), f32(3), f32(2)], attributes: { epsilon: 1 }, says: ['f32[3]', 'f32[2]'] },
  { op: 'rmsNorm', inputs: [f32(2, 3), f32(1, 3)], attributes: { epsilon: 1 }, says: ['f32[3]', 'f32[1,3]'] },
  { op: 'gelu', inputs: [i32(2)], attributes: { approximate: 'tanh' }, says: ['f32', 'i32[2]'] },
  { op: 'silu', inputs: [bool(2)], says: ['f32', 'bool[2]'] },
  { op: 'rotary', inputs: [f32(1, 2, 3, 5), f32(1, 3, 2), f32(1, 3, 2)], says: ['[B,T,d/2]', 'f32[1,2,3,5]'] },
  { op: 'rotary', inputs: [f32(1, 2, 3, 4), f32(1, 2, 2), f32(1, 3, 2)], says: ['f32[1,2,2]'] },
  {
    op: 'attention',
    inputs: [f32(1, 3, 2, 4), f32(1, 2, 2, 4), f32(1, 2, 2, 4), f32(1, 1, 2, 2)],
    attributes: { scale: 1 },
    says: ['q [B,H,T,d]', 'f32[1,3,2,4]'],
  },
  {
    op: 'attention',
    inputs: [f32(1, 2, 2, 4), f32(1, 2, 2, 4), f32(1, 2, 2, 4), f32(1, 1, 2, 3)],
    attributes: { scale: 1 },
    says: ['bias [B|1,1,T,S+R]', 'f32[1,1,2,3]'],
  },
  { op: 'attention', inputs: [f32(2, 4)], attributes: { scale: 1 }, says: ['f32[2,4]'] },
  { op: 'crossEntropy', inputs: [f32(2, 3), i32(3)], says: ['logits [N, V]', 'i32[3]'] },
  { op: 'crossEntropy', inputs: [f32(2, 3), f32(2)], says: ['i32', 'f32[2]'] },
]

describe('shape rules refuse, and say what they expect and what they got', () => {
  for (const [i, { op, inputs, attributes = {}, says }] of refused.entries()) {
    it(`${i}: ${op}`, () => {
      let error: unknown
      try {
        infer(op, inputs, attributes as never)
      } catch (caught) {
        error = caught
      }
      expect(error).toBeInstanceOf(ShapeError)
      const { message } = error as ShapeError
      expect(message.startsWith(`${op}: `), message).toBe(true)
      for (const part of says) expect(message).toContain(part)
    })
  }

  it('for every operation', () => {
    const without = (Object.keys(unary) as OpName[]).concat(Object.keys(binary) as OpName[], 'cast')
    const tried = new Set(refused.map(({ op }) => op))
    expect(Object.keys(operations).filter((op) => !tried.has(op as OpName) && !without.includes(op as OpName))).toEqual(
      [],
    )
  })
})

describe('shape rules', () => {
  it('give the types of results', () => {
    const types: readonly (readonly [OpName, readonly TensorSpec[], object, DType[]])[] = [
      ['less', [i32(2), i32(2)], {}, ['bool']],
      ['add', [i32(2), i32()], {}, ['i32']],
      ['argmax', [f32(2, 3)], { axis: 0 }, ['i32']],
      ['topK', [f32(2, 3)], { k: 2 }, ['f32', 'i32']],
      ['where', [bool(2), bool(2), bool()], {}, ['bool']],
      ['cast', [f32(2)], { to: 'i32' }, ['i32']],
    ]
    for (const [op, inputs, attributes, expected] of types) {
      expect(infer(op, inputs, attributes as never).map(({ dtype }) => dtype)).toEqual(expected)
    }
  })

  it('keep or drop reduced axes', () => {
    const shapeOf = (axes: number[], keepDims: boolean): Shape =>
      infer('reduceSum', [f32(2, 3, 5)], { axes, keepDims })[0]!.shape
    expect(shapeOf([], false)).toEqual([2, 3, 5])
    expect(shapeOf([1], false)).toEqual([2, 5])
    expect(shapeOf([2, 0], true)).toEqual([1, 3, 1])
    expect(shapeOf([0, 1, 2], false)).toEqual([])
  })
})

describe('functions spelled out in operations', () => {
  const x = tensorOf([3, 4, 0, 0, 5, 12], [3, 2])

  it('mean, norm, sumTo, oneHot, iota, narrow', async () => {
    const ids = tensorOf([2, -1, 0], [3], 'i32')
    const graph = trace('helpers', { x, ids }, (inputs) => ({
      outputs: {
        mean: F.mean(inputs.x!, [0]),
        norm: F.norm(inputs.x!),
        sumTo: F.sumTo(inputs.x!, [1, 2]),
        lower: F.sumTo(inputs.x!, [2]),
        oneHot: F.oneHot(inputs.ids!, 3),
        iota: F.iota(3),
        narrow: F.narrow(inputs.x!, 0, 1, 3),
      },
    }))
    const results = await referenceResults(graph, { x, ids })
    const data = Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, [...tensor.data]]))
    expect(data).toEqual({
      mean: [Math.fround(8 / 3), Math.fround(16 / 3)],
      norm: [5, 0, 13],
      sumTo: [8, 16],
      lower: [8, 16],
      oneHot: [0, 0, 1, 0, 0, 0, 1, 0, 0],
      iota: [0, 1, 2],
      narrow: [0, 0, 5, 12],
    })
    expect(results.lower!.shape).toEqual([2])
  })

  it('append no node where nothing changes', () => {
    const graph = trace('nothing', { x }, (inputs) => {
      const y = inputs.x!
      const same = [
        F.reshape(y, [3, 2]),
        F.transpose(y, [0, 1]),
        F.broadcastTo(y, [3, 2]),
        F.cast(y, 'f32'),
        F.concat([y], 0),
        F.narrow(y, 1, 0, 2),
        F.sumTo(y, [3, 2]),
      ]
      for (const value of same) expect(value).toBe(y)
      return { outputs: { y } }
    })
    expect(graph.nodes).toEqual([])
  })

  it('refuse to sum to a higher rank', () => {
    expect(() => trace('bad', { x }, (inputs) => ({ outputs: { y: F.sumTo(inputs.x!, [1, 3, 2]) } }))).toThrow(
      ShapeError,
    )
  })

  it('are nothing outside a trace', () => {
    expect(() => F.neg({ id: 0, shape: [], dtype: 'f32' })).toThrow(GraphError)
    expect(sizeOf([])).toBe(1)
  })
})
