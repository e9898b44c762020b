/**
 * Graph → ONNX model. One rule per operation, in `elementwise.ts` and its neighbours; this page walks the graph, names
 * its values and binds its weights.
 */

import type { Graph, HostArray, Node, OpName, Tensor } from '@afterthought/core'
import { GraphError, sizeOf, UnsupportedOpError } from '@afterthought/core'
import type { Dimension, ExternalData } from '../model.ts'
import { ModelBuilder } from '../model.ts'
import type { Message } from '../proto.ts'
import { attention } from './attention.ts'
import { composites } from './composites.ts'
import { elementwise } from './elementwise.ts'
import { bytesOf, Emitter, type QuantizedWeight, type Rule, type Rules, type Target } from './emitter.ts'
import { indexing } from './indexing.ts'
import { layout } from './layout.ts'
import { isWeightProduct, linear, weightProduct } from './linear.ts'
import { reductions } from './reductions.ts'

const rules: Rules = { ...elementwise, ...reductions, ...linear, ...layout, ...indexing, ...composites, ...attention }

/** Operations with a rule: all that core does not have to spell out. */
export const nativeOps: ReadonlySet<OpName> = new Set(Object.keys(rules) as OpName[])

/** Where the bytes of a weight lie: as they are, in a file or in the model, or packed for a low-bit product. */
export type WeightBytes =
  | { readonly form: 'inline'; readonly bytes: Uint8Array }
  | { readonly form: 'plain'; readonly data: ExternalData }
  | {
      readonly form: 'packed'
      readonly packed: ExternalData
      readonly scales: ExternalData
      readonly bits: number
      readonly block: number
    }

export interface ConvertOptions {
  readonly target: Target
  /** How a graph input or output is called in the model. ONNX has one name space for both. */
  readonly inputName: (name: string) => string
  readonly outputName: (name: string) => string
  /** Bytes of a parameter, for products with it as weight matrix (`packed` if there is such a form) or for all else. */
  readonly weight: (name: string, use: WeightUse) => WeightBytes
  /** Inputs by name that come as int64 and are narrowed inside. */
  readonly wideInputs?: ReadonlySet<string>
}

export type WeightUse = { readonly kind: 'values' } | { readonly kind: 'product'; readonly transposed: boolean }

/**
 * @param graph lowered to `nativeOps`
 * @throws UnsupportedOpError for an operation without a rule
 */
export function convert(graph: Graph, options: ConvertOptions): Message {
  return new Conversion(graph, options).run()
}

/** Parameters that are read as weight matrices, once per way of reading. */
export function weightUses(graph: Graph): Map<string, WeightUse[]> {
  const names = new Map(graph.parameters.map(({ name, value }) => [value, name]))
  const uses = new Map<string, WeightUse[]>()
  const add = (tensor: Tensor, use: WeightUse): void => {
    const name = names.get(tensor)
    if (name === undefined) return
    const known = uses.get(name) ?? []
    if (!known.some((other) => JSON.stringify(other) === JSON.stringify(use))) known.push(use)
    uses.set(name, known)
  }
  for (const node of graph.nodes) {
    const isProduct = node.op === 'matmul' && isWeightProduct(node as Node<'matmul'>, (tensor) => names.has(tensor))
    node.inputs.forEach((input, i) => {
      if (isProduct && i === 1)
        add(input, { kind: 'product', transposed: (node as Node<'matmul'>).attributes.transposeB })
      else add(input, { kind: 'values' })
    })
  }
  for (const { value } of graph.outputs) add(value, { kind: 'values' })
  return uses
}

class Conversion {
  private readonly graph: Graph
  private readonly options: ConvertOptions
  private readonly model = new ModelBuilder()
  private readonly names = new Map<Tensor, string>()
  private readonly quantized = new Map<Tensor, QuantizedWeight>()
  private readonly emit: Emitter

  constructor(graph: Graph, options: ConvertOptions) {
    this.graph = graph
    this.options = options
    const parameters = new Set(graph.parameters.map(({ value }) => value))
    this.emit = new Emitter(this.model, options.target, parameters, this.quantized)
  }

  run(): Message {
    this.declareInputs()
    this.declareWeights()
    for (const { value, data } of this.graph.constants) this.names.set(value, this.constant(value, data))
    const biases = fusedBiases(this.graph)
    const fused = new Map([...biases].map(([product, { addition }]) => [addition, product]))
    for (const node of this.graph.nodes) {
      if (biases.has(node)) continue
      const product = fused.get(node)
      const outputs = product ? this.productWithBias(product, biases.get(product)!.bias) : this.apply(node)
      node.outputs.forEach((output, i) => this.names.set(output, outputs[i]!))
    }
    this.declareOutputs()
    return this.model.build(this.graph.name)
  }

  private declareInputs(): void {
    const used = usedTensors(this.graph)
    for (const { name, value } of this.graph.inputs) {
      if (!used.has(value)) continue
      const external = this.options.inputName(name)
      const wide = this.options.wideInputs?.has(name) ?? false
      this.model.input(external, wide ? 'i64' : value.dtype, this.dimensions(value))
      this.names.set(value, wide ? this.emit.cast(external, 'i32') : external)
    }
  }

  private declareWeights(): void {
    const uses = weightUses(this.graph)
    for (const { name, value } of this.graph.parameters) {
      for (const use of uses.get(name) ?? []) this.declareWeight(name, value, use)
    }
  }

  private declareWeight(name: string, value: Tensor, use: WeightUse): void {
    const bytes = this.options.weight(name, use)
    if (bytes.form !== 'packed') {
      if (this.names.has(value)) return
      this.names.set(value, name)
      if (bytes.form === 'inline') this.model.initializer(name, value.dtype, value.shape, bytes.bytes)
      else this.model.externalInitializer(name, value.dtype, value.shape, bytes.data)
      return
    }
    const { packed, scales, bits, block } = bytes
    const [rows, columns] = value.shape as [number, number]
    const [inner, outer] = use.kind === 'product' && use.transposed ? [columns, rows] : [rows, columns]
    const blocks = Math.ceil(inner / block)
    const suffix = `${bits}bit${use.kind === 'product' && use.transposed ? '' : 'T'}`
    this.model.externalInitializer(`${name}.${suffix}`, 'u8', [outer, blocks, (block * bits) / 8], packed)
    this.model.externalInitializer(`${name}.${suffix}.scales`, 'f32', [outer * blocks], scales)
    this.quantized.set(value, {
      packed: `${name}.${suffix}`,
      scales: `${name}.${suffix}.scales`,
      bits,
      block,
      inner,
      columns: outer,
    })
  }

  private constant(value: Tensor, data: HostArray): string {
    const { shape } = value
    const rows = shape.findIndex((extent) => this.emit.isDynamic(extent))
    if (rows < 0) {
      const name = this.model.name()
      this.model.initializer(name, value.dtype, shape, bytesOf(data))
      return name
    }
    return this.repeatedConstant(value, data)
  }

  /** A constant with a batch axis is one row, repeated: the batch is not known yet. */
  private repeatedConstant(value: Tensor, data: HostArray): string {
    const { shape, dtype } = value
    const first = data.subarray(0, sizeOf(shape.slice(1)))
    const repeats = data.every((element, i) => element === first[i % first.length])
    if (!this.emit.isDynamic(shape[0]!) || !repeats) {
      throw new GraphError('a constant depends on the batch size', {
        where: this.graph.name,
        hint: 'Export with a fixed batch',
      })
    }
    const name = this.model.name()
    this.model.initializer(name, dtype, [1, ...shape.slice(1)], bytesOf(first))
    return this.emit.op('Expand', [name, this.emit.runtimeShape(shape)])
  }

  private apply(node: Node): readonly string[] {
    if (isKnownZero(node)) return node.outputs.map((output) => this.emit.filled(output, 0))
    const rule = rules[node.op] as Rule<OpName> | undefined
    if (!rule) throw new UnsupportedOpError('no ONNX form', { where: `${this.graph.name}: ${node.op}` })
    const result = rule(
      this.emit,
      node.inputs.map((input) => this.names.get(input)!),
      node,
    )
    return typeof result === 'string' ? [result] : result
  }

  private productWithBias(node: Node, bias: Tensor): readonly string[] {
    const [rows, weight] = node.inputs.map((input) => this.names.get(input) ?? '')
    return [weightProduct(this.emit, rows!, weight!, this.names.get(bias)!, node as Node<'matmul'>)]
  }

  private declareOutputs(): void {
    for (const { name, value } of this.graph.outputs) {
      const external = this.options.outputName(name)
      const source = sizeOf(value.shape) === 0 ? this.emit.filled(value, 0) : this.names.get(value)!
      if (!this.model.rename(source, external)) this.model.node('Identity', [source], [external])
      this.model.output(external, value.dtype, this.dimensions(value))
    }
  }

  private dimensions({ shape }: Tensor): Dimension[] {
    const { batch } = this.options.target
    return shape.map((extent) => {
      if (!batch || !this.emit.isDynamic(extent)) return extent
      return extent === batch.extent ? batch.name : `${extent / batch.extent}*${batch.name}`
    })
  }
}

/** Operations whose results are sums of products or elements of their inputs. */
const sums: ReadonlySet<OpName> = new Set<OpName>(['reduceSum', 'matmul', 'scatterAdd'])

/**
 * Whether the results have no elements, or are sums over none: nothing is left to compute, and a kernel of the WebGPU
 * provider that meets a tensor without elements ends the process.
 */
function isKnownZero({ op, inputs, outputs }: Node): boolean {
  const isEmpty = ({ shape }: Tensor): boolean => sizeOf(shape) === 0
  return outputs.every(isEmpty) || (sums.has(op) && inputs.some(isEmpty))
}

function usedTensors(graph: Graph): Set<Tensor> {
  const used = new Set(graph.outputs.map(({ value }) => value))
  for (const node of graph.nodes) for (const input of node.inputs) used.add(input)
  return used
}

/** Weight products whose only use is the addition of a 1-D parameter: the bias joins the product. */
function fusedBiases(graph: Graph): Map<Node, { readonly bias: Tensor; readonly addition: Node }> {
  const parameters = new Set(graph.parameters.map(({ value }) => value))
  const isParameter = (tensor: Tensor): boolean => parameters.has(tensor)
  const users = new Map<Tensor, Node[]>()
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) users.set(input, [...(users.get(input) ?? []), node])
  }
  const exported = new Set(graph.outputs.map(({ value }) => value))
  const found = new Map<Node, { bias: Tensor; addition: Node }>()
  for (const node of graph.nodes) {
    const result = node.outputs[0]!
    const [addition, ...others] = users.get(result) ?? []
    if (node.op !== 'matmul' || addition?.op !== 'add' || others.length > 0 || exported.has(result)) continue
    const bias = addition.inputs.find((input) => input !== result)
    const fits =
      bias !== undefined && isParameter(bias) && bias.shape.length === 1 && bias.shape[0] === result.shape.at(-1)
    if (fits && isWeightProduct(node as Node<'matmul'>, isParameter)) found.set(node, { bias, addition })
  }
  return found
}
