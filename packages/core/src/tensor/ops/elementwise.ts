/**
 * Elementwise operations: one input, two inputs with broadcasting, comparison, logic, choice and casts.
 *
 * Infinities and NaN follow IEEE 754. `maximum` and `minimum` give NaN if either side is NaN, as NumPy's do.
 */

import { ShapeError } from '../../errors.ts'
import type { OpName } from '../attributes.ts'
import * as F from '../functional.ts'
import type { Tensor } from '../graph.ts'
import type { Primitive } from '../ops.ts'
import type { DType, HostArray, HostTensor, TensorSpec } from '../types.ts'
import { allocate, sameShape, sizeOf } from '../types.ts'
import { broadcastShapes, broadcastStrides, expectInputs, forEachRow, formatSpecs } from './rules.ts'

function unary<Name extends OpName>(
  op: Name,
  f: (x: number) => number,
  gradient: (x: Tensor, y: Tensor, upstream: Tensor) => Tensor,
): Primitive<Name> {
  return {
    infer(inputs) {
      expectInputs(op, inputs, ['f32'])
      return [inputs[0]!]
    },
    gradient: ({ inputs, outputs, upstream }) => [gradient(inputs[0]!, outputs[0]!, upstream)],
    evaluate([x]) {
      const data = x!.data as Float32Array
      const result = new Float32Array(data.length)
      for (let i = 0; i < data.length; i++) result[i] = f(data[i]!)
      return [result]
    },
  }
}

function binary<Name extends OpName>(
  op: Name,
  types: readonly DType[],
  result: (operand: DType) => DType,
  f: (a: number, b: number) => number,
  gradient: Primitive<Name>['gradient'],
): Primitive<Name> {
  return {
    infer(inputs) {
      expectInputs(op, inputs, [undefined, undefined])
      const [a, b] = inputs as [TensorSpec, TensorSpec]
      if (a.dtype !== b.dtype || !types.includes(a.dtype)) {
        throw new ShapeError('operands do not fit', {
          where: op,
          expected: `two of one type out of ${types.join(', ')}`,
          actual: formatSpecs(inputs),
        })
      }
      return [{ shape: broadcastShapes(op, a.shape, b.shape), dtype: result(a.dtype) }]
    },
    gradient,
    evaluate([a, b], _attributes, [out]) {
      return [mapPairs(a!, b!, out!, f)]
    },
  }
}

function mapPairs(a: HostTensor, b: HostTensor, out: TensorSpec, f: (a: number, b: number) => number): HostArray {
  const result = allocate(out.dtype, sizeOf(out.shape))
  const left = a.data
  const right = b.data
  if (sameShape(a.shape, b.shape)) {
    for (let i = 0; i < result.length; i++) result[i] = f(left[i]!, right[i]!)
    return result
  }
  const strides = [broadcastStrides(a.shape, out.shape), broadcastStrides(b.shape, out.shape)]
  const width = out.shape[out.shape.length - 1] ?? 1
  const stepA = strides[0]![out.shape.length - 1] ?? 0
  const stepB = strides[1]![out.shape.length - 1] ?? 0
  forEachRow(out.shape, strides, ([fromA, fromB], to) => {
    for (let i = 0; i < width; i++) result[to + i] = f(left[fromA! + i * stepA]!, right[fromB! + i * stepB]!)
  })
  return result
}

const numbers: readonly DType[] = ['f32', 'i32']
const same = (type: DType): DType => type
const toBool = (): DType => 'bool'

const { exp, log, sqrt, tanh, abs } = Math
const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI)

/** erf to f64 rounding: Maclaurin series near zero, the continued fraction of erfc elsewhere (DLMF 7.6.1, 7.9.1). */
function erf(x: number): number {
  if (Number.isNaN(x)) return Number.NaN
  const magnitude = abs(x)
  if (magnitude < 0.5) {
    let term = x
    let sum = x
    for (let n = 1; n < 20; n++) {
      term *= (-x * x) / n
      sum += term / (2 * n + 1)
    }
    return TWO_OVER_SQRT_PI * sum
  }
  if (magnitude > 6) return Math.sign(x)
  // Evaluated backwards; the number of terms is enough for f64 from one half on.
  let fraction = 0
  const terms = Math.ceil(20 + 300 / (magnitude * magnitude))
  for (let n = terms; n > 0; n--) fraction = n / 2 / (magnitude + fraction)
  const complement = exp(-magnitude * magnitude) / Math.sqrt(Math.PI) / (magnitude + fraction)
  return Math.sign(x) * (1 - complement)
}

const sigmoid = (x: number): number => 1 / (1 + exp(-x))

/** Sums `gradient` over the axes along which `operand` was broadcast. */
function reduceTo(operand: Tensor, gradient: Tensor): Tensor {
  return F.sumTo(gradient, operand.shape)
}

type Elementwise =
  | 'neg'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'abs'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'softplus'
  | 'relu'
  | 'sin'
  | 'cos'
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'maximum'
  | 'minimum'
  | 'equal'
  | 'less'
  | 'lessEqual'
  | 'and'
  | 'or'
  | 'not'
  | 'where'
  | 'cast'

export const elementwise: { readonly [Name in Elementwise]: Primitive<Name> } = {
  neg: unary(
    'neg',
    (x) => -x,
    (_x, _y, g) => F.neg(g),
  ),
  exp: unary('exp', exp, (_x, y, g) => F.mul(g, y)),
  log: unary('log', log, (x, _y, g) => F.div(g, x)),
  sqrt: unary('sqrt', sqrt, (_x, y, g) => F.div(g, F.mul(y, 2))),
  // At zero, where the slope is any number from −1 to 1, it is taken as 0.
  abs: unary('abs', abs, (x, _y, g) => F.where(F.less(0, x), g, F.where(F.less(x, 0), F.neg(g), 0))),
  tanh: unary('tanh', tanh, (_x, y, g) => F.mul(g, F.sub(1, F.mul(y, y)))),
  sigmoid: unary('sigmoid', sigmoid, (_x, y, g) => F.mul(g, F.mul(y, F.sub(1, y)))),
  erf: unary('erf', erf, (x, _y, g) => F.mul(g, F.mul(F.exp(F.neg(F.mul(x, x))), TWO_OVER_SQRT_PI))),
  softplus: unary(
    'softplus',
    (x) => Math.max(x, 0) + Math.log1p(exp(-abs(x))),
    (x, _y, g) => F.mul(g, F.sigmoid(x)),
  ),
  relu: unary(
    'relu',
    (x) => (x > 0 ? x : x < 0 ? 0 : x),
    (x, _y, g) => F.where(F.less(0, x), g, 0),
  ),
  sin: unary('sin', Math.sin, (x, _y, g) => F.mul(g, F.cos(x))),
  cos: unary('cos', Math.cos, (x, _y, g) => F.neg(F.mul(g, F.sin(x)))),

  add: binary(
    'add',
    numbers,
    same,
    (a, b) => a + b,
    ({ inputs: [a, b], upstream }) => [reduceTo(a!, upstream), reduceTo(b!, upstream)],
  ),
  sub: binary(
    'sub',
    numbers,
    same,
    (a, b) => a - b,
    ({ inputs: [a, b], upstream }) => [reduceTo(a!, upstream), reduceTo(b!, F.neg(upstream))],
  ),
  mul: binary(
    'mul',
    numbers,
    same,
    (a, b) => a * b,
    ({ inputs: [a, b], upstream }) => [reduceTo(a!, F.mul(upstream, b!)), reduceTo(b!, F.mul(upstream, a!))],
  ),
  div: binary(
    'div',
    ['f32'],
    same,
    (a, b) => a / b,
    ({ inputs: [a, b], outputs: [y], upstream }) => [
      reduceTo(a!, F.div(upstream, b!)),
      reduceTo(b!, F.neg(F.div(F.mul(upstream, y!), b!))),
    ],
  ),
  // At a tie the whole gradient goes to the first operand.
  maximum: binary('maximum', numbers, same, Math.max, ({ inputs: [a, b], upstream }) => {
    const second = F.less(a!, b!)
    return [reduceTo(a!, F.where(second, 0, upstream)), reduceTo(b!, F.where(second, upstream, 0))]
  }),
  minimum: binary('minimum', numbers, same, Math.min, ({ inputs: [a, b], upstream }) => {
    const second = F.less(b!, a!)
    return [reduceTo(a!, F.where(second, 0, upstream)), reduceTo(b!, F.where(second, upstream, 0))]
  }),

  equal: binary('equal', numbers, toBool, (a, b) => (a === b ? 1 : 0), 'none'),
  less: binary('less', numbers, toBool, (a, b) => (a < b ? 1 : 0), 'none'),
  lessEqual: binary('lessEqual', numbers, toBool, (a, b) => (a <= b ? 1 : 0), 'none'),
  and: binary('and', ['bool'], same, (a, b) => (a && b ? 1 : 0), 'none'),
  or: binary('or', ['bool'], same, (a, b) => (a || b ? 1 : 0), 'none'),

  not: {
    infer(inputs) {
      expectInputs('not', inputs, ['bool'])
      return [inputs[0]!]
    },
    gradient: 'none',
    evaluate: ([x]) => [Uint8Array.from(x!.data as Uint8Array, (bit) => (bit ? 0 : 1))],
  } as Primitive<'not'>,

  where: {
    infer(inputs) {
      expectInputs('where', inputs, ['bool', undefined, undefined])
      const [condition, a, b] = inputs as [TensorSpec, TensorSpec, TensorSpec]
      if (a.dtype !== b.dtype) {
        throw new ShapeError('both branches must have one type', { where: 'where', actual: formatSpecs([a, b]) })
      }
      const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', a.shape, b.shape))
      return [{ shape, dtype: a.dtype }]
    },
    gradient: ({ inputs: [condition, a, b], upstream }) => [
      undefined,
      reduceTo(a!, F.where(condition!, upstream, 0)),
      reduceTo(b!, F.where(condition!, 0, upstream)),
    ],
    evaluate([condition, a, b], _attributes, [out]) {
      const result = allocate(out!.dtype, sizeOf(out!.shape))
      const strides = [condition!, a!, b!].map((operand) => broadcastStrides(operand.shape, out!.shape))
      const last = out!.shape.length - 1
      const width = out!.shape[last] ?? 1
      const [stepC, stepA, stepB] = strides.map((stride) => stride[last] ?? 0) as [number, number, number]
      forEachRow(out!.shape, strides, ([c, fromA, fromB], to) => {
        for (let i = 0; i < width; i++) {
          result[to + i] = condition!.data[c! + i * stepC] ? a!.data[fromA! + i * stepA]! : b!.data[fromB! + i * stepB]!
        }
      })
      return [result]
    },
  } as Primitive<'where'>,

  cast: {
    infer(inputs, { to }) {
      expectInputs('cast', inputs, [undefined])
      return [{ shape: inputs[0]!.shape, dtype: to }]
    },
    gradient: ({ inputs: [x], upstream, attributes: { to } }) => [
      x!.dtype === 'f32' && to === 'f32' ? upstream : undefined,
    ],
    evaluate([x], { to }) {
      const result = allocate(to, x!.data.length)
      if (to === 'bool') for (let i = 0; i < result.length; i++) result[i] = x!.data[i] !== 0 ? 1 : 0
      else result.set(x!.data)
      return [result]
    },
  } as Primitive<'cast'>,
}
