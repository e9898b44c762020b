/**
 * Tracing: running a TypeScript function once over values without data, and writing down what it does.
 *
 * `trace()` opens a builder, calls the function, and closes the builder into a Graph. While it is open, every operation
 * of `functional.ts` appends a node to it. There is nothing eager: outside a trace, operations throw.
 */

import { ArgumentError, GraphError } from '../errors.ts'
import type { Attributes, OpName } from './attributes.ts'
import type { Constant, Graph, Named, Node, Output, Tensor } from './graph.ts'
import { operations } from './ops.ts'
import type { DType, HostArray, Shape, TensorSpec } from './types.ts'
import { allocate, dtypeOf, formatSpec, sizeOf } from './types.ts'

/** Equal constants up to this many elements are one value, so that what is computed from them is shared as well. */
const SHARED_CONSTANT_LIMIT = 4096

/** The bits of an array as text: −0 is not 0, NaN is itself. */
function bitsOf(data: HostArray): string {
  const words = data instanceof Float32Array ? new Uint32Array(data.buffer, data.byteOffset, data.length) : data
  return words.join()
}

/** A graph under construction. */
export class GraphBuilder {
  readonly inputs: Named[] = []
  readonly parameters: Named[] = []
  readonly constants: Constant[] = []
  readonly nodes: Node[] = []
  private count = 0
  private readonly parameterByName = new Map<string, Tensor>()
  private readonly constantByContent = new Map<string, Tensor>()
  private readonly owned = new Set<Tensor>()
  private readonly constantData = new Map<Tensor, HostArray>()

  value(spec: TensorSpec): Tensor {
    const tensor: Tensor = { id: this.count++, shape: [...spec.shape], dtype: spec.dtype }
    this.owned.add(tensor)
    return tensor
  }

  input(name: string, spec: TensorSpec): Tensor {
    if (this.inputs.some((entry) => entry.name === name)) throw new GraphError(`input '${name}' is declared twice`)
    const value = this.value(spec)
    this.inputs.push({ name, value })
    return value
  }

  parameter(name: string, spec: TensorSpec): Tensor {
    const known = this.parameterByName.get(name)
    if (known) {
      if (formatSpec(known) !== formatSpec(spec)) {
        throw new GraphError('a parameter is declared with two types', {
          where: name,
          expected: formatSpec(known),
          actual: formatSpec(spec),
        })
      }
      return known
    }
    const value = this.value(spec)
    this.parameterByName.set(name, value)
    this.parameters.push({ name, value })
    return value
  }

  constant(data: HostArray, spec: TensorSpec): Tensor {
    if (data.length !== sizeOf(spec.shape) || dtypeOf(data) !== spec.dtype) {
      throw new GraphError('constant data does not fit its type', {
        expected: `${sizeOf(spec.shape)} elements for ${formatSpec(spec)}`,
        actual: `${data.length} of ${dtypeOf(data)}`,
      })
    }
    const key = data.length <= SHARED_CONSTANT_LIMIT ? `${formatSpec(spec)}:${bitsOf(data)}` : ''
    const known = this.constantByContent.get(key)
    if (known) return known
    const value = this.value(spec)
    this.constants.push({ value, data })
    this.constantData.set(value, data)
    if (key) this.constantByContent.set(key, value)
    return value
  }

  /** Whether `value` was made by this builder. */
  owns(value: Tensor): boolean {
    return this.owned.has(value)
  }

  /** Data of `value` if it is a constant of this graph. */
  dataOf(value: Tensor): HostArray | undefined {
    return this.constantData.get(value)
  }

  apply<Name extends OpName>(op: Name, inputs: readonly Tensor[], attributes: Attributes[Name]): Tensor[] {
    for (const tensor of inputs) {
      if (!this.owned.has(tensor)) {
        throw new GraphError('an operand belongs to another trace', {
          where: op,
          hint: 'Pass values between graphs as inputs and outputs',
        })
      }
    }
    const outputs = operations[op].infer(inputs, attributes).map((spec) => this.value(spec))
    this.nodes.push({ op, inputs: [...inputs], outputs, attributes } as unknown as Node)
    return outputs
  }

  finish(name: string, outputs: readonly Output[]): Graph {
    const names = new Set<string>()
    for (const output of outputs) {
      if (names.has(output.name)) throw new GraphError(`output '${output.name}' is declared twice`, { where: name })
      names.add(output.name)
    }
    return {
      name,
      inputs: this.inputs,
      parameters: this.parameters,
      constants: this.constants,
      nodes: this.nodes,
      outputs,
    }
  }
}

let current: GraphBuilder | undefined

/** The builder of the trace under way. @throws GraphError outside a trace */
export function builder(): GraphBuilder {
  if (!current) {
    throw new GraphError('tensor operations only work while tracing', { hint: 'Wrap the computation in trace()' })
  }
  return current
}

/** Runs `body` with `target` as the open trace. */
export function withBuilder<Result>(target: GraphBuilder, body: () => Result): Result {
  const outer = current
  current = target
  try {
    return body()
  } finally {
    current = outer
  }
}

export interface Traced {
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Output name → name of the input whose storage it takes over. */
  readonly aliases?: Readonly<Record<string, string>>
}

/**
 * Traces `body` over inputs of the given specifications.
 *
 * @throws ShapeError, GraphError from the operations; the message names the operation
 */
export function trace(
  name: string,
  inputs: Readonly<Record<string, TensorSpec>>,
  body: (inputs: Readonly<Record<string, Tensor>>) => Traced,
): Graph {
  const target = new GraphBuilder()
  return withBuilder(target, () => {
    const values: Record<string, Tensor> = {}
    for (const [key, spec] of Object.entries(inputs)) values[key] = target.input(key, spec)
    const { outputs, aliases = {} } = body(values)
    for (const key of Object.keys(aliases)) {
      if (!Object.hasOwn(outputs, key))
        throw new GraphError(`alias of an output that does not exist: '${key}'`, { where: name })
    }
    return target.finish(
      name,
      Object.entries(outputs).map(([key, value]) =>
        Object.hasOwn(aliases, key) ? { name: key, value, alias: aliases[key]! } : { name: key, value },
      ),
    )
  })
}

/** A weight, bound by name when the graph is compiled. */
export function parameter(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
  return builder().parameter(name, { shape, dtype })
}

/** Values fixed in the graph. A plain number is an f32 scalar. */
export function constant(data: number | readonly number[] | HostArray, shape?: Shape, dtype: DType = 'f32'): Tensor {
  if (typeof data === 'number') {
    const array = allocate(dtype, 1)
    array[0] = data
    return builder().constant(array, { shape: shape ?? [], dtype })
  }
  const extents = shape ?? [data.length]
  if (Array.isArray(data)) {
    const array = allocate(dtype, data.length)
    array.set(data)
    return builder().constant(array, { shape: extents, dtype })
  }
  const given = dtypeOf(data as HostArray)
  if (given !== dtype) {
    throw new ArgumentError('data of another type', { where: 'constant', expected: dtype, actual: given })
  }
  return builder().constant(data as HostArray, { shape: extents, dtype })
}
