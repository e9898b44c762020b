/** Every operation of the backend, from node to kernels: one entry each. */

import {
  type Attributes,
  formatSpec,
  type Node,
  type OpName,
  sameShape,
  sizeOf,
  type Tensor,
  UnsupportedOpError,
} from '@afterthought/core'
import { attention, joinSplits, splitsOf } from '../kernels/attention.ts'
import { type ElementOp, elementOps } from '../kernels/element-ops.ts'
import { elementwise } from '../kernels/elementwise.ts'
import { gather, gatherWeight, type Placement, place, scatterAdd } from '../kernels/indexing.ts'
import { argmax, cumsum, type Extents, reduce, topK } from '../kernels/reduce.ts'
import { rotary } from '../kernels/rotary.ts'
import { crossEntropy, layerNorm, rmsNorm, softmax } from '../kernels/rows.ts'
import { costOf, type Expression, load, slotsOf } from './expression.ts'
import { changeViews, type Plan, type Value } from './plan.ts'
import { broadcast, narrowed, reshaped, sliced, transposed, type View } from './views.ts'

type Product = Value & { readonly kind: 'product' }
type Emit<Name extends OpName> = (plan: Plan, node: Node<Name>) => void

const elementNames = (Object.keys(elementOps) as ElementOp[]).filter((name) => name !== 'geluErf')

/** Repeating an expression of this price for every element of a broadcast is cheaper than storing it once. */
const CHEAP = 6
const MAX_SLOTS = 4

function elementOp(plan: Plan, node: Node): void {
  const output = node.outputs[0]!
  const isErf = node.op === 'gelu' && (node.attributes as Attributes['gelu']).approximate === 'none'
  const op = isErf ? 'geluErf' : node.op
  const product = extendable(plan, node)
  const operands = node.inputs.map((input) => {
    if (product && input === product.tensor) return product.value.epilogue
    const expression = plan.expression(input)
    const repeats = sizeOf(input.shape) < sizeOf(output.shape)
    return repeats && costOf(expression) > CHEAP ? load(plan.view(input)) : expression
  })
  const whole = apply(op, operands, output)
  if (slotsOf(whole).size > MAX_SLOTS) {
    const stored = node.inputs.map((input) => loadOf(plan, input))
    plan.setLazy(output, { kind: 'expression', expression: apply(op, stored, output), shape: output.shape })
  } else if (product) plan.setLazy(output, { ...product.value, epilogue: whole })
  else plan.setLazy(output, { kind: 'expression', expression: whole, shape: output.shape })
}

const apply = (op: ElementOp, inputs: readonly Expression[], output: Tensor): Expression => ({
  kind: 'apply',
  op,
  inputs,
  dtype: output.dtype,
})

/** The stored value, or the number itself. */
const loadOf = (plan: Plan, input: Tensor): Expression => {
  const value = plan.value(input)
  if (value.kind === 'expression' && value.expression.kind === 'literal') return value.expression
  return load(plan.view(input))
}

/** The operand whose pending product this operation can be computed at the end of: the latest, all others being stored. */
function extendable(plan: Plan, { inputs, outputs: [output] }: Node): { tensor: Tensor; value: Product } | undefined {
  const pending = [...new Set(inputs)].filter((input) => plan.value(input).kind === 'product')
  const tensor = pending.pop()
  for (const other of pending) plan.view(other)
  if (!tensor || output!.dtype !== 'f32' || !sameShape(tensor.shape, output!.shape)) return undefined
  return { tensor, value: plan.value(tensor) as Product }
}

/** A layout operation: on a view, or on the loads of a pending expression. */
function layoutOp(plan: Plan, node: Node, change: (view: View) => View | undefined): void {
  const [input, output] = [node.inputs[0]!, node.outputs[0]!]
  const value = plan.value(input)
  if (value.kind === 'expression') {
    if (value.expression.kind === 'literal') {
      plan.setLazy(output, { ...value, shape: output.shape })
      return
    }
    const grows = sizeOf(output.shape) > sizeOf(input.shape) && costOf(value.expression) > CHEAP
    const moved = grows ? undefined : changeViews(value.expression, input.shape, change)
    if (moved) {
      plan.setLazy(output, { kind: 'expression', expression: moved, shape: output.shape })
      return
    }
  }
  const view = plan.view(input)
  plan.set(output, change(view) ?? change(plan.denseView(view))!)
}

/** [outer, extent, inner] around axes that are neighbours; undefined if they are not. */
function around(shape: readonly number[], axes: readonly number[]): Extents | undefined {
  const sorted = [...axes].sort((a, b) => a - b)
  const first = sorted[0] ?? shape.length
  if (sorted.some((axis, i) => axis !== first + i)) return undefined
  return {
    outer: sizeOf(shape.slice(0, first)),
    extent: sizeOf(shape.slice(first, first + sorted.length)),
    inner: sizeOf(shape.slice(first + sorted.length)),
  }
}

const reduction =
  (op: 'reduceSum' | 'reduceMax'): Emit<'reduceSum' | 'reduceMax'> =>
  (plan, { inputs: [x], outputs: [output], attributes }) => {
    const shape = x!.shape
    const axes = attributes.axes.filter((axis) => shape[axis] !== 1)
    const together = around(shape, axes)
    // Axes that are apart are brought together at the end.
    const order = [...shape.keys()].filter((axis) => !axes.includes(axis)).concat(axes)
    const moved = order.map((axis) => shape[axis]!)
    const last = axes.map((_, n) => shape.length - axes.length + n)
    const extents = together ?? around(moved, last)!
    const expression = plan.expression(x!)
    const operand = together ? expression : changeViews(expression, shape, (view) => transposed(view, order))!
    const out = plan.result(output!, op)
    plan.push(reduce(plan.options.target, op, operand, together ? shape : moved, extents, out))
  }

const rowOp =
  <Name extends OpName>(
    kernel: (plan: Plan, operands: View[], out: View, attributes: Attributes[Name]) => Parameters<Plan['push']>[0],
  ): Emit<Name> =>
  (plan, { inputs, outputs: [output], attributes, op }) => {
    const operands = inputs.map((input) => plan.dense(input))
    plan.push(kernel(plan, operands, plan.result(output!, op), attributes))
  }

/** Whether `other` does the same to tensors of the same types. */
const isTwin = (node: Node, other: Node): boolean =>
  [other.op, JSON.stringify(other.attributes), ...other.inputs.map(formatSpec)].join() ===
  [node.op, JSON.stringify(node.attributes), ...node.inputs.map(formatSpec)].join()

const emitters: { readonly [Name in OpName]?: Emit<Name> } = {
  reshape: (plan, node) => layoutOp(plan, node, (view) => reshaped(view, node.attributes.shape)),
  transpose: (plan, node) => layoutOp(plan, node, (view) => transposed(view, node.attributes.permutation)),
  broadcastTo: (plan, node) => layoutOp(plan, node, (view) => broadcast(view, node.attributes.shape)),
  slice: (plan, node) => layoutOp(plan, node, (view) => sliced(view, node.attributes.starts, node.attributes.ends)),

  /** Keys and values grow by one kernel. */
  concat(plan, node) {
    const { axis } = node.attributes
    const nodes = [node, ...plan.partner((other) => isTwin(node, other))]
    const outs = nodes.map(({ outputs: [output] }) => plan.home(output!) ?? plan.result(output!, 'concat'))
    let from = 0
    node.inputs.forEach(({ shape }, i) => {
      const to = from + shape[axis]!
      plan.storeAll(nodes.map(({ inputs }, n) => [inputs[i]!, narrowed(outs[n]!, axis, from, to)]))
      from = to
    })
    for (const [n, { outputs }] of nodes.entries()) plan.set(outputs[0]!, outs[n]!)
  },

  pad(plan, { inputs: [x], outputs: [output], attributes: { before, value } }) {
    const out = plan.result(output!, 'pad')
    const expression = { kind: 'literal', value, dtype: output!.dtype } as const
    plan.store({ kind: 'expression', expression, shape: output!.shape }, out)
    const ends = before.map((count, i) => count + x!.shape[i]!)
    plan.store(plan.value(x!), sliced(out, before, ends))
  },

  reduceSum: reduction('reduceSum') as Emit<'reduceSum'>,
  reduceMax: reduction('reduceMax') as Emit<'reduceMax'>,

  argmax: rowOp((_plan, [x], out, { axis }) => argmax(x!, around(x!.shape, [axis])!, out)),

  topK: (plan, { inputs: [x], outputs: [values, indices], attributes: { k } }) =>
    plan.push(topK(plan.dense(x!), k, plan.result(values!, 'topK'), plan.result(indices!, 'topK'))),

  cumsum(plan, { inputs: [x], outputs: [output], attributes: { axis } }) {
    const expression = plan.expression(x!)
    plan.push(cumsum(expression, x!.shape, around(x!.shape, [axis])!, plan.result(output!, 'cumsum')))
  },

  matmul(plan, { inputs: [a, b], outputs: [output], attributes: { transposeA, transposeB } }) {
    const shape = output!.shape
    const epilogue = { kind: 'accumulator', dtype: 'f32' } as const
    const left = swappedIf(transposeA, plan.view(a!))
    const weight = transposeA ? undefined : plan.matrix(b!)
    const rows = [sizeOf(left.shape.slice(0, -1)), left.shape.at(-1)!]
    const product = weight
      ? { a: reshaped(left, rows) ?? reshaped(plan.denseView(left), rows)!, b: weight }
      : { a: left, b: swappedIf(transposeB, plan.view(b!)) }
    plan.setLazy(output!, { kind: 'product', product, epilogue, shape })
  },

  gather(plan, { inputs: [table, indices], outputs: [output] }) {
    const places = plan.dense(indices!)
    const weight = plan.matrix(table!)
    const dense = weight ? undefined : plan.dense(table!)
    const out = plan.result(output!, 'gather')
    if (dense) plan.push(gather(dense, places, out))
    for (const slab of weight ? plan.slabs(weight) : []) {
      plan.push(gatherWeight(plan.options.target, weight!, slab, places, out))
    }
  },

  scatterAdd(plan, { inputs: [indices, updates], outputs: [output], attributes: { rows } }) {
    const [places, values] = [plan.dense(indices!), plan.dense(updates!)]
    plan.push(scatterAdd(places, values, rows, plan.result(output!, 'scatterAdd')))
  },

  /** Keys and values are written by one kernel. The copies in front fall away where the storage is taken over. */
  updateSlice(plan, node) {
    const [target, update, start] = node.inputs as [Tensor, Tensor, Tensor]
    const { axis } = node.attributes
    const partner = plan.partner(
      (other) => isTwin(node, other) && other.inputs[2] === start && other.inputs[0] !== target,
    )
    const placements = [node, ...partner].map(({ inputs, outputs }): Placement => {
      const source = loadOf(plan, inputs[0]!)
      const out = plan.result(outputs[0]!, 'updateSlice')
      plan.push(elementwise(source, out))
      return { target: out, update: plan.narrowExpression(inputs[1]!) }
    })
    plan.push(place(placements, update.shape, plan.dense(start), axis))
  },

  softmax: rowOp((plan, [x], out) => softmax(plan.options.target, 'softmax', x!, out)),
  logSoftmax: rowOp((plan, [x], out) => softmax(plan.options.target, 'logSoftmax', x!, out)),
  layerNorm: rowOp((plan, operands, out, { epsilon }) => layerNorm(plan.options.target, operands, epsilon, out)),
  rmsNorm: rowOp((plan, operands, out, { epsilon }) => rmsNorm(plan.options.target, operands, epsilon, out)),
  crossEntropy: rowOp((plan, [logits, labels], out) => crossEntropy(plan.options.target, logits!, labels!, out)),

  /** Queries and keys are turned by one kernel. */
  rotary(plan, node) {
    const [x, cos, sin] = node.inputs as [Tensor, Tensor, Tensor]
    const partner = plan.partner(
      ({ op, inputs }) =>
        op === 'rotary' && inputs[1] === cos && inputs[2] === sin && inputs[0]!.shape[2] === x.shape[2],
    )
    const angles = [plan.dense(cos), plan.dense(sin)] as const
    const items = [node, ...partner].map(({ inputs, outputs }) => {
      return { x: plan.view(inputs[0]!), out: plan.result(outputs[0]!, 'rotary') }
    })
    plan.push(rotary(items, ...angles))
  },

  attention(plan, { inputs, outputs: [output], attributes: { scale } }) {
    const [q, k, v, bias, pastK, pastV] = inputs
    const heads = (tensor: Tensor): View => {
      const view = plan.view(tensor)
      return view.strides[3] === 1 || view.shape[3] === 1 ? view : plan.denseView(view)
    }
    const [batch, count, rows, width] = output!.shape as [number, number, number, number]
    const merged = plan.allocate([batch, rows, count, width], 'f32', 'attention')
    const out = transposed(merged, [0, 2, 1, 3])
    const past = pastK && { k: heads(pastK), v: heads(pastV!) }
    const problem = { q: heads(q!), k: heads(k!), v: heads(v!), bias: plan.dense(bias!), past, scale, out }
    plan.set(output!, out)
    if (sizeOf(output!.shape) === 0) return
    const { target } = plan.options
    const splits = splitsOf(target, problem)
    if (splits === 1) {
      plan.push(attention(target, problem))
      return
    }
    const partial = plan.allocate([batch * count * rows, splits, width + 2], 'f32', 'attention')
    plan.push(attention(target, problem, splits, partial))
    plan.push(joinSplits(problem, splits, partial))
  },
}

function swappedIf(swap: boolean, view: View): View {
  if (!swap) return view
  const order = view.shape.map((_, axis) => axis)
  order.push(...order.splice(-2).reverse())
  return transposed(view, order)
}

/** What core need not lower. */
export const nativeOps: ReadonlySet<OpName> = new Set([...elementNames, ...(Object.keys(emitters) as OpName[])])

const lazyOps: ReadonlySet<OpName> = new Set([
  ...elementNames,
  'reshape',
  'transpose',
  'broadcastTo',
  'slice',
  'matmul',
])

/** Whether a node is only written down when it is emitted, and read by whoever needs its result. */
export const isLazy = ({ op }: Node): boolean => lazyOps.has(op)

/** @throws UnsupportedOpError for an operation that lowering should have removed */
export function emit(plan: Plan, node: Node): void {
  const emitter = elementNames.includes(node.op) ? elementOp : (emitters[node.op] as Emit<OpName> | undefined)
  if (!emitter) throw new UnsupportedOpError('no kernel', { where: node.op })
  emitter(plan, node)
}
