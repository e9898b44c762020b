/**
 * ONNX models, written node by node. A typed page over `proto.ts`: names, operators, attributes, initializers.
 *
 * Opset 20 and IR 10 by default: what every runtime of the last years reads, stock serving included
 * (Triton's ONNX Runtime 1.20 stops at opset 21 and IR 10). `com.microsoft` operators are ONNX Runtime's own.
 */

import { Message } from './proto.ts'

/** Numbers of `TensorProto.DataType`. */
export const dataTypes = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9, f64: 11 } as const
export type DataType = keyof typeof dataTypes

/** An extent, or the name of one that is known only at run time. */
export type Dimension = number | string

export type Attribute =
  | { readonly float: number }
  | { readonly int: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }

export const float = (value: number): Attribute => ({ float: value })
export const int = (value: number): Attribute => ({ int: value })
export const string = (value: string): Attribute => ({ string: value })
export const ints = (value: readonly number[]): Attribute => ({ ints: value })

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>
  /** Default: the standard operators. */
  readonly domain?: 'com.microsoft'
}

interface ModelNode extends NodeOptions {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** Bytes of an initializer in a file beside the model. */
export interface ExternalData {
  /** File name relative to the model's folder. */
  readonly location: string
  readonly offset: number
  readonly byteLength: number
}

export const IR_VERSION: number = 10
export const OPSET: number = 20
const DATA_EXTERNAL = 1

/** An omitted optional input. */
export const OMITTED = ''

/** A model under construction. Value names are unique: callers choose those of inputs, outputs and weights. */
export class ModelBuilder {
  private readonly nodes: ModelNode[] = []
  private readonly computed = new Set<string>()
  private readonly renamed = new Map<string, string>()
  private readonly initializers: Message[] = []
  private readonly inputs: Message[] = []
  private readonly outputs: Message[] = []
  private count = 0

  /** A fresh value name. */
  name(): string {
    return `%${this.count++}`
  }

  /** Appends a node and returns the names of its outputs. An output can be named by the caller. */
  node(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[] | number,
    options: NodeOptions = {},
  ): string[] {
    const names = typeof outputs === 'number' ? Array.from({ length: outputs }, () => this.name()) : [...outputs]
    this.nodes.push({ ...options, op, inputs: [...inputs], outputs: names })
    for (const name of names) this.computed.add(name)
    return names
  }

  /** Gives what a node computes another name, once. Whether it could: inputs and initializers keep theirs. */
  rename(value: string, to: string): boolean {
    if (!this.computed.has(value) || this.renamed.has(value)) return false
    this.renamed.set(value, to)
    return true
  }

  /** A value stored in the model itself, little-endian. */
  initializer(name: string, type: DataType, shape: readonly number[], bytes: Uint8Array): void {
    this.initializers.push(tensor(name, type, shape).bytes(9, bytes))
  }

  /** A value stored in a file beside the model. */
  externalInitializer(name: string, type: DataType, shape: readonly number[], data: ExternalData): void {
    const entries = { location: data.location, offset: `${data.offset}`, length: `${data.byteLength}` }
    const message = tensor(name, type, shape)
    for (const [key, value] of Object.entries(entries))
      message.message(13, new Message().string(1, key).string(2, value))
    this.initializers.push(message.varint(14, DATA_EXTERNAL))
  }

  input(name: string, type: DataType, shape: readonly Dimension[]): void {
    this.inputs.push(valueInfo(name, type, shape))
  }

  output(name: string, type: DataType, shape: readonly Dimension[]): void {
    this.outputs.push(valueInfo(name, type, shape))
  }

  /** The `ModelProto`. */
  build(graphName: string): Message {
    const graph = new Message()
    this.nodes.forEach((node, index) => graph.message(1, this.encoded(node, index)))
    graph.string(2, graphName)
    for (const initializer of this.initializers) graph.message(5, initializer)
    for (const input of this.inputs) graph.message(11, input)
    for (const output of this.outputs) graph.message(12, output)
    const model = new Message().varint(1, IR_VERSION).string(2, 'afterthought').message(7, graph)
    model.message(8, operatorSet('', OPSET))
    if (this.nodes.some(({ domain }) => domain)) model.message(8, operatorSet('com.microsoft', 1))
    return model
  }

  private encoded({ op, inputs, outputs, attributes = {}, domain }: ModelNode, index: number): Message {
    const node = new Message()
    const named = (value: string): string => this.renamed.get(value) ?? value
    for (const input of inputs) node.string(1, named(input))
    for (const output of outputs) node.string(2, named(output))
    node.string(3, `${op}.${index}`).string(4, op)
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value))
    return domain ? node.string(7, domain) : node
  }
}

function operatorSet(domain: string, version: number): Message {
  return new Message().string(1, domain).varint(2, version)
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().string(1, name)
  if ('float' in value) return message.float(2, value.float).varint(20, 1)
  if ('int' in value) return message.varint(3, value.int).varint(20, 2)
  if ('string' in value) return message.string(4, value.string).varint(20, 3)
  for (const element of value.ints) message.varint(8, element)
  return message.varint(20, 7)
}

function tensor(name: string, type: DataType, shape: readonly number[]): Message {
  const message = new Message()
  for (const extent of shape) message.varint(1, extent)
  return message.varint(2, dataTypes[type]).string(8, name)
}

function valueInfo(name: string, type: DataType, shape: readonly Dimension[]): Message {
  const dimensions = new Message()
  for (const extent of shape) {
    const dimension = typeof extent === 'number' ? new Message().varint(1, extent) : new Message().string(2, extent)
    dimensions.message(1, dimension)
  }
  const tensorType = new Message().varint(1, dataTypes[type]).message(2, dimensions)
  return new Message().string(1, name).message(2, new Message().message(1, tensorType))
}
