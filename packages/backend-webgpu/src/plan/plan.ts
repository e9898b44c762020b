/**
 * The plan: a list of kernels over slots, as a graph becomes one. Values are lazy: views and elementwise chains are not
 * computed until somebody needs them in memory, and a product waits for what can still be added to its end.
 */

import type { Graph, HostArray, Node, Parameter, Tensor } from '@afterthought/core'
import { type DType, type Shape, sizeOf } from '@afterthought/core'
import { elementwise } from '../kernels/elementwise.ts'
import type { Kernel } from '../kernels/kernel.ts'
import { matmul, type WeightOperand } from '../kernels/matmul.ts'
import type { Target } from '../kernels/workgroup.ts'
import { type Expression, load, mapViews, slotsOf } from './expression.ts'
import { emit } from './operations.ts'
import { countUses } from './schedule.ts'
import { broadcast, isContiguous, narrowed, type Slot, type View, wholeView } from './views.ts'
import { slabsOf, type WeightFormat, type WeightView } from './weights.ts'

export interface PlanOptions {
  readonly target: Target
  readonly format: WeightFormat
  readonly maxBindingBytes: number
  readonly offsetAlignment: number
}

/** How a weight is to be brought to the device. */
export interface WeightUse {
  readonly parameter: Parameter
  readonly format: WeightFormat
  /** Stored [columns, rows]: swapped while it is uploaded. */
  readonly transpose: boolean
  readonly part: 'values' | 'scales'
}

/** A value of the graph while it is being planned. */
export type Value =
  | { readonly kind: 'view'; readonly view: View }
  | { readonly kind: 'expression'; readonly expression: Expression; readonly shape: Shape }
  | { readonly kind: 'product'; readonly product: PendingProduct; readonly epilogue: Expression; readonly shape: Shape }

interface PendingProduct {
  readonly a: View
  readonly b: View | WeightView
}

/** Storage one kernel can bind, less its output and what a product or a cache write needs itself. */
const MAX_OPERANDS = 4

/** How far behind a node its partner may stand. */
const LOOK_AHEAD = 6

export class Plan {
  readonly graph: Graph
  readonly options: PlanOptions
  readonly kernels: Kernel[] = []
  readonly uses: ReadonlyMap<Tensor, number>
  readonly inputs: Map<string, Slot> = new Map()
  readonly constants: Map<Slot, HostArray> = new Map()
  readonly weights: Map<Slot, WeightUse> = new Map()
  private readonly parameters: ReadonlyMap<string, Parameter>
  private readonly values = new Map<Tensor, Value>()
  private readonly matrices = new Map<Tensor, WeightView>()
  private readonly constantTensors = new Map<Tensor, HostArray>()
  private readonly homes = new Map<Tensor, View>()
  private readonly done = new Set<Node>()
  private upcoming: readonly Node[] = []
  private count = 0

  constructor(graph: Graph, parameters: ReadonlyMap<string, Parameter>, options: PlanOptions) {
    this.graph = graph
    this.options = options
    this.parameters = parameters
    this.uses = countUses(graph)
    for (const { name, value } of graph.inputs) {
      const slot = this.slot('input', value.shape, name)
      this.inputs.set(name, slot)
      this.set(value, wholeView(slot, value.shape, value.dtype))
    }
    for (const { value, data } of graph.constants) this.constantTensors.set(value, data)
    graph.nodes.forEach((node, i) => {
      if (this.done.has(node)) return
      this.upcoming = graph.nodes.slice(i + 1, i + 1 + LOOK_AHEAD)
      emit(this, node)
    })
  }

  /** A node close behind whose operands are known and that `fits`: it counts as emitted. */
  partner(fits: (node: Node) => boolean): Node[] {
    const found = this.upcoming.find(
      (node) => fits(node) && node.inputs.every((input) => this.isKnown(input)) && !this.done.has(node),
    )
    if (!found) return []
    this.done.add(found)
    return [found]
  }

  private isKnown(tensor: Tensor): boolean {
    return this.values.has(tensor) || !this.graph.nodes.some(({ outputs }) => outputs.includes(tensor))
  }

  /**
   * Where a concatenation is put if another one continues it: at the front of that one's storage. A cache that grows by
   * concatenation thus grows in place.
   */
  home(tensor: Tensor): View | undefined {
    const known = this.homes.get(tensor)
    if (known) return known
    const producer = this.graph.nodes.find(({ outputs }) => outputs[0] === tensor) as Node<'concat'>
    const { axis } = producer.attributes
    const parent = this.graph.nodes.find(
      ({ op, inputs, attributes }) =>
        op === 'concat' && inputs[0] === tensor && (attributes as typeof producer.attributes).axis === axis,
    )
    if (!parent) return undefined
    const whole = parent.outputs[0]!
    const storage = this.home(whole) ?? this.allocate(whole.shape, whole.dtype, 'concat')
    this.homes.set(whole, storage)
    const front = narrowed(storage, axis, 0, tensor.shape[axis]!)
    this.homes.set(tensor, front)
    return front
  }

  /** Whether a value already lies where `view` is. */
  isAt(tensor: Tensor, view: View): boolean {
    const value = this.value(tensor)
    if (value.kind !== 'view') return false
    const { slot, offset, strides } = value.view
    return slot === view.slot && offset === view.offset && `${strides}` === `${view.strides}`
  }

  slot(kind: Slot['kind'], shape: Shape, label: string): Slot {
    return { id: this.count++, kind, size: sizeOf(shape), label }
  }

  /** Fresh storage, dense. */
  allocate(shape: Shape, dtype: DType, label: string): View {
    return wholeView(this.slot('scratch', shape, label), shape, dtype)
  }

  /** Fresh storage for the result of a node. */
  result(tensor: Tensor, label: string): View {
    const view = this.allocate(tensor.shape, tensor.dtype, label)
    this.set(tensor, view)
    return view
  }

  push(kernel: Kernel): void {
    if (kernel.groups > 0) this.kernels.push(kernel)
  }

  set(tensor: Tensor, view: View): void {
    this.values.set(tensor, { kind: 'view', view })
  }

  setLazy(tensor: Tensor, value: Value): void {
    this.values.set(tensor, value)
    // Computed once if it is read more than once; a view costs nothing either way.
    if (value.kind !== 'view' && (this.uses.get(tensor) ?? 0) > 1 && !isLiteral(value)) this.view(tensor)
  }

  value(tensor: Tensor): Value {
    let value = this.values.get(tensor)
    if (!value) {
      value = this.bind(tensor)
      this.values.set(tensor, value)
    }
    return value
  }

  /** The value in memory, possibly strided. */
  view(tensor: Tensor): View {
    const value = this.value(tensor)
    if (value.kind === 'view') return value.view
    const view = this.result(tensor, 'value')
    this.store(value, view)
    return view
  }

  /** The value in memory, dense from the view's offset on. */
  dense(tensor: Tensor): View {
    return this.denseView(this.view(tensor))
  }

  denseView(view: View): View {
    if (isContiguous(view)) return view
    const copy = this.allocate(view.shape, view.dtype, 'copy')
    this.push(elementwise(load(view), copy))
    return copy
  }

  /** The value as an operand of an elementwise kernel. */
  expression(tensor: Tensor): Expression {
    const value = this.value(tensor)
    if (value.kind === 'expression' && slotsOf(value.expression).size <= MAX_OPERANDS) return value.expression
    return load(this.view(tensor))
  }

  /** Stores tensors of one shape that do not lie there yet: two of them by one kernel. */
  storeAll(stores: readonly (readonly [Tensor, View])[]): void {
    const missing = stores.filter(([tensor, target]) => !this.isAt(tensor, target))
    if (missing.length !== 2) for (const [tensor, target] of missing) this.store(this.value(tensor), target)
    else {
      const [first, second] = missing.map(([tensor, target]) => ({ expression: this.narrowExpression(tensor), target }))
      this.push(elementwise(first!.expression, first!.target, second))
    }
  }

  /** Of two operands at most, for kernels that compute several. */
  narrowExpression(tensor: Tensor): Expression {
    const expression = this.expression(tensor)
    return slotsOf(expression).size > 2 ? load(this.view(tensor)) : expression
  }

  /** Computes a value into `target`, which may be strided. */
  store(value: Value, target: View): void {
    if (value.kind === 'view') this.push(elementwise(load(value.view), target))
    else if (value.kind === 'expression') this.push(elementwise(value.expression, target))
    else if (isContiguous(target)) this.product(value, target)
    else {
      const dense = this.allocate(target.shape, target.dtype, 'product')
      this.product(value, dense)
      this.push(elementwise(load(dense), target))
    }
  }

  private product({ product: { a, b }, epilogue, shape }: Value & { kind: 'product' }, out: View): void {
    const parts: (View | WeightOperand)[] = 'slot' in b ? [b] : this.slabs(b).map((slab) => ({ weight: b, slab }))
    for (const part of parts) this.push(matmul(this.options.target, { a, b: part, epilogue, shape, out }))
  }

  slabs(weight: WeightView): ReturnType<typeof slabsOf> {
    return slabsOf(weight, this.options.maxBindingBytes, this.options.offsetAlignment)
  }

  /**
   * A parameter as a matrix of weights in its storage format: [N, K] as a product reads it, or the rows of a table.
   * Undefined if the tensor is no parameter, or is used in ways that need its plain values.
   */
  matrix(tensor: Tensor): WeightView | undefined {
    const known = this.matrices.get(tensor)
    if (known) return known
    const entry = this.graph.parameters.find(({ value }) => value === tensor)
    const layout = entry && matrixLayout(this.graph, tensor)
    if (!layout) return undefined
    const [rows, columns] = layout.transpose
      ? [tensor.shape[1]!, tensor.shape[0]!]
      : [tensor.shape[0]!, tensor.shape[1]!]
    const format = fittingFormat(this.options.format, columns)
    if (!format || rows === 0) return undefined
    const parameter = this.parameters.get(entry.name)!
    const weightSlot = (part: WeightUse['part']): Slot => {
      const slot = this.slot('weight', tensor.shape, entry.name)
      this.weights.set(slot, { parameter, format, transpose: layout.transpose, part })
      return slot
    }
    const scales = format === 'int8' || format === 'int4' ? weightSlot('scales') : undefined
    const matrix = { format, rows, columns, values: weightSlot('values'), scales }
    this.matrices.set(tensor, matrix)
    return matrix
  }

  /** First use of a parameter or constant as plain values. */
  private bind(tensor: Tensor): Value {
    const data = this.constantTensors.get(tensor)
    if (data?.length === 1) {
      const expression = { kind: 'literal', value: Number(data[0]), dtype: tensor.dtype } as const
      return { kind: 'expression', expression, shape: tensor.shape }
    }
    const entry = this.graph.parameters.find(({ value }) => value === tensor)
    const slot = this.slot(data ? 'constant' : 'weight', tensor.shape, entry?.name ?? 'constant')
    if (data) this.constants.set(slot, data)
    else {
      const parameter = this.parameters.get(entry!.name)!
      this.weights.set(slot, { parameter, format: 'f32', transpose: false, part: 'values' })
    }
    return { kind: 'view', view: wholeView(slot, tensor.shape, tensor.dtype) }
  }
}

const isLiteral = (value: Value): boolean => value.kind === 'expression' && value.expression.kind === 'literal'

/** How a parameter of two axes is read, if only as a product's right operand, all one way round, or as a table. */
function matrixLayout(graph: Graph, tensor: Tensor): { transpose: boolean } | undefined {
  if (tensor.shape.length !== 2 || tensor.dtype !== 'f32') return undefined
  if (graph.outputs.some(({ value }) => value === tensor)) return undefined
  const ways = new Set<boolean>()
  for (const node of graph.nodes) {
    if (!node.inputs.includes(tensor)) continue
    if (node.op === 'matmul' && node.inputs[0] !== tensor) {
      ways.add(!(node as Node<'matmul'>).attributes.transposeB)
    } else if (node.op === 'gather') ways.add(false)
    else return undefined
  }
  return ways.size === 1 ? { transpose: [...ways][0]! } : undefined
}

/** The asked-for format, or the narrowest one that the row length allows. */
function fittingFormat(format: WeightFormat, columns: number): WeightFormat | undefined {
  if (columns === 0 || columns % 4 !== 0) return undefined
  return (format === 'int8' || format === 'int4') && columns % 32 !== 0 ? 'f16' : format
}

/** Views of an expression changed alike; undefined if one cannot be. */
export function changeViews(
  expression: Expression,
  shape: Shape,
  change: (view: View) => View | undefined,
): Expression | undefined {
  return mapViews(expression, (view) => change(broadcast(view, shape)))
}
