/**
 * The reference backend: an interpreter in plain TypeScript that runs wherever JavaScript does. It evaluates the op
 * table's own definitions, so it is the oracle of every other backend, and the fallback that is always there.
 */

import type { Backend, Buffer, Executable, Parameter } from '../backend.ts'
import { lower } from '../compile/lower.ts'
import { DisposedError, ShapeError } from '../errors.ts'
import type { Graph, Tensor } from '../tensor/graph.ts'
import type { Primitive } from '../tensor/ops.ts'
import { operations, primitives } from '../tensor/ops.ts'
import type { DType, HostArray, HostTensor, TensorSpec } from '../tensor/types.ts'
import { dtypeOf, formatSpec, sizeOf } from '../tensor/types.ts'

class HostBuffer implements Buffer {
  readonly shape: readonly number[]
  readonly dtype: DType
  private data: HostArray | undefined

  constructor(spec: TensorSpec, data: HostArray) {
    this.shape = [...spec.shape]
    this.dtype = spec.dtype
    this.data = data
  }

  get contents(): HostArray {
    if (!this.data) throw new DisposedError('the buffer has been disposed of', { where: formatSpec(this) })
    return this.data
  }

  replace(data: HostArray): void {
    this.data = data
  }

  dispose(): void {
    this.data = undefined
  }
}

/** @throws ShapeError if the buffer belongs to another backend */
function own(buffer: Buffer | undefined, where: string): HostBuffer {
  if (!(buffer instanceof HostBuffer)) {
    throw new ShapeError(buffer ? 'the buffer belongs to another backend' : 'the input is missing', { where })
  }
  return buffer
}

class Interpreter implements Executable {
  private readonly graph: Graph
  private readonly parameters: ReadonlyMap<Tensor, HostTensor>
  private readonly lastUse: ReadonlyMap<Tensor, number>
  private disposed = false

  constructor(graph: Graph, parameters: ReadonlyMap<Tensor, HostTensor>) {
    this.graph = graph
    this.parameters = parameters
    this.lastUse = lastUses(graph)
  }

  /** Reads its inputs at once, as a queue would: they may be disposed of as soon as it returns. */
  async run(inputs: Readonly<Record<string, Buffer>>): Promise<Record<string, Buffer>> {
    return this.evaluate(inputs)
  }

  dispose(): void {
    this.disposed = true
  }

  private evaluate(inputs: Readonly<Record<string, Buffer>>): Record<string, Buffer> {
    const { graph } = this
    if (this.disposed) throw new DisposedError('the executable has been disposed of', { where: graph.name })
    const values = new Map<Tensor, HostTensor>(this.parameters)
    for (const { value, data } of graph.constants) values.set(value, { ...value, data })
    const given = new Map<string, HostBuffer>()
    for (const { name, value } of graph.inputs) {
      const buffer = own(inputs[name], `${graph.name}: input '${name}'`)
      if (formatSpec(buffer) !== formatSpec(value)) {
        throw new ShapeError('the input has another type', {
          where: `${graph.name}: input '${name}'`,
          expected: formatSpec(value),
          actual: formatSpec(buffer),
        })
      }
      given.set(name, buffer)
      values.set(value, { ...value, data: buffer.contents })
    }
    graph.nodes.forEach((node, step) => {
      const operands = node.inputs.map((input) => values.get(input)!)
      const results = (operations[node.op] as Primitive<never>).evaluate(
        operands,
        node.attributes as never,
        node.outputs,
      )
      node.outputs.forEach((output, i) => values.set(output, { ...output, data: results[i]! }))
      for (const input of node.inputs) if (this.lastUse.get(input) === step) values.delete(input)
    })
    return this.collect(values, given)
  }

  /** Outputs own their storage: views of inputs, weights, constants or each other are copied. */
  private collect(
    values: ReadonlyMap<Tensor, HostTensor>,
    given: ReadonlyMap<string, HostBuffer>,
  ): Record<string, Buffer> {
    const taken = new Set<ArrayBufferLike>([...given.values()].map((buffer) => buffer.contents.buffer))
    for (const { data } of this.parameters.values()) taken.add(data.buffer)
    for (const { data } of this.graph.constants) taken.add(data.buffer)
    const results: Record<string, Buffer> = {}
    for (const { name, value, alias } of this.graph.outputs) {
      const { data } = values.get(value)!
      const storage = taken.has(data.buffer) ? data.slice() : data
      taken.add(storage.buffer)
      const target = alias === undefined ? undefined : given.get(alias)!
      target?.replace(storage)
      results[name] = target ?? new HostBuffer(value, storage)
    }
    return results
  }
}

/** Step after which a value can be dropped, for values that are no outputs. */
function lastUses(graph: Graph): Map<Tensor, number> {
  const uses = new Map<Tensor, number>()
  graph.nodes.forEach((node, step) => {
    for (const input of node.inputs) uses.set(input, step)
  })
  for (const { value } of graph.outputs) uses.delete(value)
  return uses
}

/** Reads each weight once, however many graphs use it. */
class WeightStore {
  private readonly known = new Map<string, Promise<HostArray>>()

  read(parameter: Parameter): Promise<HostArray> {
    let data = this.known.get(parameter.identity)
    if (!data) {
      data = parameter.read()
      data.catch(() => this.known.delete(parameter.identity))
      this.known.set(parameter.identity, data)
    }
    return data
  }
}

/** Binds a lowered graph's parameters. @throws ShapeError naming a missing or mis-shaped weight */
async function bind(
  graph: Graph,
  parameters: ReadonlyMap<string, Parameter>,
  store: WeightStore,
): Promise<Map<Tensor, HostTensor>> {
  const bound = new Map<Tensor, HostTensor>()
  for (const { name, value } of graph.parameters) {
    const parameter = parameters.get(name)
    if (!parameter || formatSpec(parameter) !== formatSpec(value)) {
      throw new ShapeError(parameter ? 'the weight has another type' : 'the weight is missing', {
        where: `${graph.name}: parameter '${name}'`,
        expected: formatSpec(value),
        actual: parameter ? formatSpec(parameter) : 'nothing',
      })
    }
    bound.set(value, { ...value, data: await store.read(parameter) })
  }
  return bound
}

/** @throws ShapeError unless the array has the tensor's element type and fills its shape */
function expectData(tensor: HostTensor): void {
  const { data } = tensor
  if (data.length === sizeOf(tensor.shape) && dtypeOf(data) === tensor.dtype) return
  throw new ShapeError('the data does not fit its type', {
    where: 'upload',
    expected: formatSpec(tensor),
    actual: `${data.length} elements of ${dtypeOf(data)}`,
  })
}

/** An interpreter of the op table. Slow, exact, readable; needs nothing. */
export function reference(): Backend {
  const store = new WeightStore()
  let disposed = false
  const expectAlive = (where: string): void => {
    if (disposed) throw new DisposedError('the backend has been disposed of', { where })
  }
  return {
    name: 'reference',
    ops: primitives,
    dtypes: new Set<DType>(['f32', 'i32', 'bool']),
    upload(tensor) {
      expectAlive('upload')
      expectData(tensor)
      return new HostBuffer(tensor, tensor.data.slice())
    },
    async download(buffer) {
      return own(buffer, 'download').contents.slice()
    },
    async compile(graph, parameters) {
      expectAlive('compile')
      const lowered = lower(graph, primitives)
      return new Interpreter(lowered, await bind(lowered, parameters, store))
    },
    async dispose() {
      disposed = true
    },
  }
}
