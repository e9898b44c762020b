/**
 * The backend: core's interface over an engine in this thread or another.
 *
 * Compiling lowers the graph, splits off cache appends, binds weights and writes the model; the engine makes a session of
 * it. Buffers are numbers: their contents live with the engine, and calls take effect in the order they were made.
 */

import type {
  Backend,
  Buffer,
  DType,
  Executable,
  Graph,
  HostArray,
  HostTensor,
  OpName,
  Parameter,
  TensorSpec,
} from '@afterthought/core'
import { DisposedError, formatSpec, lower, ShapeError, sizeOf } from '@afterthought/core'
import { planAppends } from './appends.ts'
import { convert, nativeOps } from './convert/convert.ts'
import type { Engine, EngineProvider, Program } from './engine/protocol.ts'
import type { WeightStore } from './weights/store.ts'

export interface BackendSettings {
  readonly provider: EngineProvider
  readonly threads: number
  readonly prepack: boolean
}

/** Where weights come from: files on a disk ({@link WeightStore}), or memory in a browser. */
export type WeightBinder = Pick<WeightStore, 'bind' | 'dispose'>

const arrays = { f32: Float32Array, i32: Int32Array, bool: Uint8Array } as const

class EngineBuffer implements Buffer {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly id: number
  readonly owner: OnnxBackend
  disposed = false

  constructor(owner: OnnxBackend, id: number, spec: TensorSpec) {
    this.owner = owner
    this.id = id
    this.shape = spec.shape
    this.dtype = spec.dtype
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    this.owner.free(this)
  }
}

export class OnnxBackend implements Backend {
  readonly name: string
  readonly ops: ReadonlySet<OpName> = nativeOps
  readonly dtypes: ReadonlySet<DType> = new Set<DType>(['f32', 'i32', 'bool'])
  private readonly engine: Engine
  private readonly settings: BackendSettings
  private readonly weights: WeightBinder
  private count = 0
  private disposed = false

  constructor(engine: Engine, settings: BackendSettings, weights: WeightBinder) {
    this.name = `onnx:${settings.provider}`
    this.engine = engine
    this.settings = settings
    this.weights = weights
  }

  upload(tensor: HostTensor): Buffer {
    this.checkAlive()
    const { shape, dtype, data } = tensor
    if (data.length !== sizeOf(shape) || !(data instanceof arrays[dtype])) {
      throw new ShapeError('data does not fill its shape', {
        where: 'upload',
        expected: `${sizeOf(shape)} elements in ${arrays[dtype].name} for ${formatSpec(tensor)}`,
        actual: `${data.length} in ${data.constructor.name}`,
      })
    }
    const buffer = this.buffer(tensor)
    // A failure shows where the buffer is used.
    this.engine.upload(buffer.id, { shape: [...shape], dtype, data: data.slice() }).catch(() => undefined)
    return buffer
  }

  async download(buffer: Buffer): Promise<HostArray> {
    return this.engine.download(this.own(buffer, 'download').id)
  }

  async compile(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<Executable> {
    this.checkAlive()
    const { provider, threads, prepack } = this.settings
    const lowered = lower(graph, nativeOps)
    // Device tensors cannot be written to from here: there the step computes the whole cache, on the device.
    const plan = planAppends(lowered, provider !== 'webgpu')
    const bound = await this.weights.bind(plan.graph, parameters)
    const names = modelNames(plan.graph)
    const model = convert(plan.graph, {
      target: { cpuOnly: provider === 'cpu' || provider === 'wasm' },
      inputName: (name) => names.inputs[name]!,
      outputName: (name) => names.outputs[name]!,
      weight: bound.weight,
    })
    const program: Program = {
      name: graph.name,
      model: model.encode(),
      weightsRoot: bound.root,
      provider,
      threads,
      prepack,
      ...names,
      appended: plan.appended,
    }
    const id = this.count++
    await this.engine.compile(id, program)
    return new OnnxExecutable(this, this.engine, id, lowered, bound.verified)
  }

  async dispose(): Promise<void> {
    if (this.disposed) return
    this.disposed = true
    await this.engine.close()
    await this.weights.dispose()
  }

  /** A buffer that the next call to the engine fills. */
  buffer(spec: TensorSpec): EngineBuffer {
    return new EngineBuffer(this, this.count++, spec)
  }

  free(buffer: EngineBuffer): void {
    if (!this.disposed) this.engine.free([buffer.id]).catch(() => undefined)
  }

  /** @throws ShapeError if the buffer belongs to another backend, DisposedError */
  own(buffer: Buffer | undefined, where: string): EngineBuffer {
    this.checkAlive()
    if (!(buffer instanceof EngineBuffer) || buffer.owner !== this) {
      throw new ShapeError(buffer ? 'the buffer belongs to another backend' : 'the input is missing', { where })
    }
    if (buffer.disposed) throw new DisposedError('the buffer has been disposed of', { where })
    return buffer
  }

  private checkAlive(): void {
    if (this.disposed) throw new DisposedError('the backend has been disposed of', { where: this.name })
  }
}

class OnnxExecutable implements Executable {
  private readonly backend: OnnxBackend
  private readonly engine: Engine
  private readonly id: number
  private readonly graph: Graph
  private readonly verified: Promise<void>
  private disposed = false

  constructor(backend: OnnxBackend, engine: Engine, id: number, graph: Graph, verified: Promise<void>) {
    this.backend = backend
    this.engine = engine
    this.id = id
    this.graph = graph
    this.verified = verified
  }

  async run(inputs: Readonly<Record<string, Buffer>>): Promise<Record<string, Buffer>> {
    const { name: graphName } = this.graph
    if (this.disposed) throw new DisposedError('the executable has been disposed of', { where: graphName })
    const given: Record<string, EngineBuffer> = {}
    for (const { name, value } of this.graph.inputs) {
      const where = `${graphName}: input '${name}'`
      const buffer = this.backend.own(inputs[name], where)
      if (formatSpec(buffer) !== formatSpec(value)) {
        const parts = { where, expected: formatSpec(value), actual: formatSpec(buffer) }
        throw new ShapeError('the input has another type', parts)
      }
      given[name] = buffer
    }
    const results: Record<string, EngineBuffer> = {}
    for (const { name, value, alias } of this.graph.outputs) {
      results[name] = alias === undefined ? this.backend.buffer(value) : given[alias]!
    }
    await this.engine.run({ program: this.id, inputs: idsOf(given), outputs: idsOf(results) })
    await this.verified
    return results
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    this.engine.release(this.id).catch(() => undefined)
  }
}

function idsOf(buffers: Readonly<Record<string, EngineBuffer>>): Record<string, number> {
  return Object.fromEntries(Object.entries(buffers).map(([name, { id }]) => [name, id]))
}

/** ONNX has one name space for inputs, outputs and all between; inputs that nothing reads are not declared. */
function modelNames(graph: Graph): Pick<Program, 'inputs' | 'outputs'> {
  const read = new Set([...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ value }) => value)])
  const inputs = graph.inputs.filter(({ value }) => read.has(value)).map(({ name }) => [name, `<${name}`])
  const outputs = graph.outputs.map(({ name }) => [name, `>${name}`])
  return { inputs: Object.fromEntries(inputs), outputs: Object.fromEntries(outputs) }
}
