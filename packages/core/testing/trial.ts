/**
 * A trial: one conformance case on one backend. It compiles graphs there and on the reference backend, runs both on the
 * same numbers, and compares. Whatever it uploads or receives it also disposes of.
 */

import type { Backend, Buffer, Executable } from '../src/backend.ts'
import { reference } from '../src/reference/backend.ts'
import type { Attributes, OpName } from '../src/tensor/attributes.ts'
import type { Graph, Tensor } from '../src/tensor/graph.ts'
import { builder, constant, parameter, trace } from '../src/tensor/trace.ts'
import type { HostTensor } from '../src/tensor/types.ts'
import { formatSpec } from '../src/tensor/types.ts'
import type { Tolerance } from './compare.ts'
import { ConformanceError, expectClose } from './compare.ts'
import { parametersOf } from './tensors.ts'

/**
 * How near to the reference a result must come.
 * `exact`: moved, compared or chosen, not computed. `pointwise`: one function per element. `accumulated`: sums of
 * products. `model`: a chain of many operations.
 */
export type Precision = 'exact' | 'pointwise' | 'accumulated' | 'model'

/** For 32-bit floats throughout. */
export const f32Tolerances: Readonly<Record<Precision, Tolerance>> = {
  exact: { absolute: 0, relative: 0 },
  pointwise: { absolute: 2e-6, relative: 1e-5 },
  accumulated: { absolute: 2e-5, relative: 2e-5 },
  model: { absolute: 2e-4, relative: 2e-4 },
}

export type HostTensors = Readonly<Record<string, HostTensor>>

export class Trial {
  readonly backend: Backend
  private readonly tolerances: Readonly<Record<Precision, Tolerance>>
  private readonly held: { dispose(): void }[] = []

  constructor(backend: Backend, tolerances: Readonly<Record<Precision, Tolerance>>) {
    this.backend = backend
    this.tolerances = tolerances
  }

  upload(tensor: HostTensor): Buffer {
    return this.hold(this.backend.upload(tensor))
  }

  uploadAll(tensors: HostTensors): Record<string, Buffer> {
    return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, this.upload(tensor)]))
  }

  async download(buffer: Buffer): Promise<HostTensor> {
    const data = await this.backend.download(buffer)
    return { shape: buffer.shape, dtype: buffer.dtype, data }
  }

  async downloadAll(buffers: Readonly<Record<string, Buffer>>): Promise<Record<string, HostTensor>> {
    const tensors: Record<string, HostTensor> = {}
    for (const [name, buffer] of Object.entries(buffers)) tensors[name] = await this.download(buffer)
    return tensors
  }

  async compile(graph: Graph, weights: HostTensors = {}): Promise<Executable> {
    return this.hold(await this.backend.compile(graph, parametersOf(weights)))
  }

  /** Runs, and remembers the results for disposal. */
  async run(
    executable: Executable,
    inputs: Readonly<Record<string, Buffer>>,
  ): Promise<Readonly<Record<string, Buffer>>> {
    const outputs = await executable.run(inputs)
    for (const buffer of Object.values(outputs)) this.hold(buffer)
    return outputs
  }

  /** Compiles, runs once and reads all outputs. */
  async results(graph: Graph, inputs: HostTensors, weights: HostTensors = {}): Promise<Record<string, HostTensor>> {
    const executable = await this.compile(graph, weights)
    return this.downloadAll(await this.run(executable, this.uploadAll(inputs)))
  }

  /** @throws ConformanceError if any output of the graph differs from the reference backend's */
  async agree(graph: Graph, precision: Precision, inputs: HostTensors, weights: HostTensors = {}): Promise<void> {
    const actual = await this.results(graph, inputs, weights)
    const expected = await referenceResults(graph, inputs, weights)
    this.expectAll(actual, expected, precision, graph.name)
  }

  expect(actual: HostTensor, expected: HostTensor, precision: Precision, where: string): void {
    expectClose(actual, expected, this.tolerances[precision], where)
  }

  expectAll(actual: HostTensors, expected: HostTensors, precision: Precision, where: string): void {
    const [got, wanted] = [actual, expected].map((tensors) => Object.keys(tensors).sort().join(', '))
    if (got !== wanted) {
      throw new ConformanceError('the outputs have other names', { where, expected: wanted!, actual: got! })
    }
    for (const [name, tensor] of Object.entries(expected)) {
      this.expect(actual[name]!, tensor, precision, `${where}: ${name}`)
    }
  }

  dispose(): void {
    for (const resource of this.held.splice(0).reverse()) resource.dispose()
  }

  private hold<Resource extends { dispose(): void }>(resource: Resource): Resource {
    if (!this.held.includes(resource)) this.held.push(resource)
    return resource
  }
}

/** What the reference backend makes of a graph. */
export async function referenceResults(
  graph: Graph,
  inputs: HostTensors,
  weights: HostTensors = {},
): Promise<Record<string, HostTensor>> {
  const trial = new Trial(reference(), f32Tolerances)
  return trial.results(graph, inputs, weights)
}

/** How an operand reaches its operation: fed, bound at compile time, or part of the graph. */
export type Binding = 'input' | 'parameter' | 'constant'

/** One application of one operation. */
export interface OpCall {
  readonly op: OpName
  readonly operands: readonly HostTensor[]
  readonly attributes: Attributes[OpName]
  readonly bindings: readonly Binding[]
}

/** @param bindings of the operands in order; the rest are inputs */
export function call<Name extends OpName>(
  op: Name,
  operands: readonly HostTensor[],
  attributes: Attributes[Name],
  bindings: readonly Binding[] = [],
): OpCall {
  return { op, operands, attributes, bindings }
}

export interface Program {
  readonly graph: Graph
  readonly inputs: HostTensors
  readonly weights: HostTensors
}

/** All calls in one graph, each with operands and outputs of its own: `3.reduceSum f32[3,5]` and so on. */
export function programOf(name: string, calls: readonly OpCall[]): Program {
  const inputs: Record<string, HostTensor> = {}
  const weights: Record<string, HostTensor> = {}
  calls.forEach(({ operands, bindings }, i) => {
    operands.forEach((operand, j) => {
      const binding = bindings[j] ?? 'input'
      if (binding === 'input') inputs[`${i}.${j}`] = operand
      if (binding === 'parameter') weights[`${i}.${j}`] = operand
    })
  })
  const graph = trace(name, inputs, (values) => ({
    outputs: Object.fromEntries(
      calls.flatMap((step, i) => {
        const operands = step.operands.map((operand, j) => bindOperand(operand, `${i}.${j}`, step.bindings[j], values))
        const results = builder().apply(step.op, operands, step.attributes as never)
        return results.map((result, k) => [outputName(step, i, k), result])
      }),
    ),
  }))
  return { graph, inputs, weights }
}

function outputName({ op, operands }: OpCall, index: number, output: number): string {
  return `${index}.${op}(${operands.map(formatSpec).join(', ')})${output === 0 ? '' : `.${output}`}`
}

function bindOperand(
  operand: HostTensor,
  name: string,
  binding: Binding | undefined,
  inputs: Readonly<Record<string, Tensor>>,
): Tensor {
  if (binding === 'parameter') return parameter(name, operand.shape, operand.dtype)
  if (binding === 'constant') return constant(operand.data, operand.shape, operand.dtype)
  return inputs[name]!
}
