/**
 * What conversion rules write with: operators in, value names out, small constants shared.
 *
 * A rule turns one node of our graph into a few ONNX operators. Shapes go through `shape()` and never straight into a
 * constant, because an exported graph may have a batch extent that is known only at run time.
 */

import type { DType, Node, OpName, Shape, Tensor, TensorSpec } from '@afterthought/core'
import { GraphError, sizeOf } from '@afterthought/core'
import type { Attribute, DataType, ModelBuilder } from '../model.ts'
import { dataTypes } from '../model.ts'

/** What the graph is written for. */
export interface Target {
  /** Operators and element types that only the CPU provider has may be used, where they save a copy or add precision. */
  readonly cpuOnly: boolean
  /** Name of a run-time extent, the number that stands for it in the graph, and the input to read it from. */
  readonly batch?: { readonly name: string; readonly extent: number; readonly input: string }
}

/** How a weight is stored: as it is, or in blocks of low-bit integers for `MatMulNBits`. */
export interface QuantizedWeight {
  readonly packed: string
  readonly scales: string
  readonly bits: number
  readonly block: number
  /** K */
  readonly inner: number
  /** N */
  readonly columns: number
}

export type Rule<Name extends OpName> = (
  emit: Emitter,
  inputs: readonly string[],
  node: Node<Name>,
) => string | readonly string[]

export type Rules = { readonly [Name in OpName]?: Rule<Name> }

type Attributes = Readonly<Record<string, Attribute>>

export class Emitter {
  readonly model: ModelBuilder
  readonly target: Target
  /** Weights that are held in low-bit blocks when a product reads them, by tensor. */
  readonly quantized: ReadonlyMap<Tensor, QuantizedWeight>
  private readonly parameters: ReadonlySet<Tensor>
  private readonly constants = new Map<string, string>()

  constructor(
    model: ModelBuilder,
    target: Target,
    parameters: ReadonlySet<Tensor>,
    quantized: ReadonlyMap<Tensor, QuantizedWeight>,
  ) {
    this.model = model
    this.target = target
    this.parameters = parameters
    this.quantized = quantized
  }

  /** A standard operator with one output. */
  op(name: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.model.node(name, inputs, 1, { attributes })[0]!
  }

  /** One of ONNX Runtime's own operators, with one output. */
  microsoft(name: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.model.node(name, inputs, 1, { attributes, domain: 'com.microsoft' })[0]!
  }

  cast(value: string, to: DataType): string {
    return this.op('Cast', [value], { to: { int: dataTypes[to] } })
  }

  /** `a` where `condition` is true, `b` elsewhere. */
  where(condition: string, a: string, b: string, type: DType): string {
    if (type !== 'bool') return this.op('Where', [condition, a, b])
    // There is no kernel for booleans.
    const [kept, other] = [this.op('And', [condition, a]), this.op('And', [this.op('Not', [condition]), b])]
    return this.op('Or', [kept, other])
  }

  /** A tensor of one value, whose shape may hold the batch, or no elements. */
  filled({ shape, dtype }: TensorSpec, value: number): string {
    return this.op('Expand', [this.scalar(dtype, value), this.runtimeShape(shape)])
  }

  isParameter(tensor: Tensor): boolean {
    return this.parameters.has(tensor)
  }

  /** A list of int64: axes, permutations, bounds. */
  ints(values: readonly number[]): string {
    const bytes = (): Uint8Array => bytesOf(BigInt64Array.from(values, BigInt))
    return this.constant(`i64:${values}`, 'i64', [values.length], bytes)
  }

  scalar(type: DType | 'i64', value: number): string {
    const arrays = {
      f32: () => Float32Array.of(value),
      i32: () => Int32Array.of(value),
      bool: () => Uint8Array.of(Number(value !== 0)),
      i64: () => BigInt64Array.of(BigInt(value)),
    }
    return this.constant(`${type} scalar:${Object.is(value, -0) ? '-0' : value}`, type, [], () =>
      bytesOf(arrays[type]()),
    )
  }

  /** 0, 1, 2, … */
  iota(type: 'i32' | 'i64', shape: Shape): string {
    const length = sizeOf(shape)
    const numbers = Int32Array.from({ length }, (_, i) => i)
    const bytes = (): Uint8Array => bytesOf(type === 'i32' ? numbers : BigInt64Array.from(numbers, BigInt))
    return this.constant(`${type} iota:${shape}`, type, shape, bytes)
  }

  /** `shape` as an operand of Reshape. */
  shape(shape: Shape): string {
    const dynamic = this.dynamicAxes(shape)
    if (dynamic.length === 0) return this.ints(shape)
    if (dynamic.length === 1) return this.ints(shape.map((extent, axis) => (axis === dynamic[0] ? -1 : extent)))
    return this.runtimeShape(shape)
  }

  /** `shape` as an operand of Expand or ConstantOfShape, where −1 has no meaning. */
  runtimeShape(shape: Shape): string {
    const { batch } = this.target
    if (!batch || this.dynamicAxes(shape).length === 0) return this.ints(shape)
    return this.cached(`shape:${shape}`, () => {
      const parts = shape.map((extent) =>
        this.isDynamic(extent)
          ? this.op('Mul', [this.batchExtent(), this.ints([extent / batch.extent])])
          : this.ints([extent]),
      )
      return this.model.node('Concat', parts, 1, { attributes: { axis: { int: 0 } } })[0]!
    })
  }

  /** Whether `extent` is a multiple of the run-time batch. */
  isDynamic(extent: number): boolean {
    const { batch } = this.target
    return batch !== undefined && extent > 0 && extent % batch.extent === 0
  }

  /** @throws GraphError if the batch is known only at run time and one of `axes` of `shape` holds it */
  refuseDynamic(op: string, shape: Shape, axes: readonly number[]): void {
    if (!axes.some((axis) => this.isDynamic(shape[axis]!))) return
    throw new GraphError('works across the rows of a batch whose size is known only at run time', {
      where: op,
      hint: 'Export with a fixed batch',
    })
  }

  /** Interns a constant under `key`. */
  constant(key: string, type: DataType, shape: Shape, bytes: () => Uint8Array): string {
    return this.cached(key, () => {
      const name = this.model.name()
      this.model.initializer(name, type, shape, bytes())
      return name
    })
  }

  private cached(key: string, create: () => string): string {
    const known = this.constants.get(key)
    if (known !== undefined) return known
    const name = create()
    this.constants.set(key, name)
    return name
  }

  private dynamicAxes(shape: Shape): number[] {
    return shape.flatMap((extent, axis) => (this.isDynamic(extent) ? [axis] : []))
  }

  private batchExtent(): string {
    const { input } = this.target.batch!
    return this.cached('batch', () => this.op('Shape', [input], { start: { int: 0 }, end: { int: 1 } }))
  }
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}
