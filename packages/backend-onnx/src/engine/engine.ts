/**
 * The engine: ONNX Runtime sessions, and tensors by number.
 *
 * ONNX Runtime reads host tensors where they lie and copies results out. So a host buffer's memory is ours, and rows are
 * appended to a cache in place (`appends.ts`). With the WebGPU provider results stay on the device instead; they are read
 * back through a session that does nothing but copy, because `getData()` of a device tensor ends the process in Node.
 */

import type { HostArray, HostTensor, TensorSpec } from '@afterthought/core'
import { ArgumentError, BackendError, DisposedError, formatSpec } from '@afterthought/core'
import type { InferenceSession, Tensor } from 'onnxruntime-common'
import { strideOf } from '../appends.ts'
import { ModelBuilder } from '../model.ts'
import { type Engine, type EngineProvider, ortTypes, type Program, type RunRequest } from './protocol.ts'
import type { Runtime } from './runtime.ts'

/** A program and its session, which must outlive the results it left on the device: their memory is the session's. */
class Loaded {
  readonly program: Program
  readonly session: InferenceSession
  private results = 0
  private released = false

  constructor(program: Program, session: InferenceSession) {
    this.program = program
    this.session = session
  }

  holdResult(): void {
    this.results++
  }

  async freeResult(): Promise<void> {
    this.results--
    await this.endIfUnused()
  }

  /** Nothing more will run. */
  async release(): Promise<void> {
    this.released = true
    await this.endIfUnused()
  }

  private async endIfUnused(): Promise<void> {
    if (this.released && this.results === 0) await this.session.release()
  }
}

/** What a buffer holds, and the program that it came from if its memory is that session's. */
interface Contents {
  readonly tensor: Tensor
  readonly origin?: Loaded
}

/** An engine in this thread, over whichever build of ONNX Runtime it is given. */
export class LocalEngine implements Engine {
  private readonly runtime: Runtime
  private readonly buffers = new Map<number, Contents>()
  private readonly programs = new Map<number, Loaded>()
  private readonly readers = new Map<string, Promise<InferenceSession>>()
  private last: Promise<unknown> = Promise.resolve()

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }

  upload(id: number, { data, shape, dtype }: HostTensor): Promise<void> {
    return this.inOrder(() => {
      this.buffers.set(id, { tensor: new this.runtime.Tensor(ortTypes[dtype], data, shape) })
    })
  }

  download(id: number): Promise<HostArray> {
    return this.inOrder(async () => {
      const tensor = this.tensor(id, 'download')
      const result = tensor.location === 'cpu' ? tensor : await this.copyToHost(tensor)
      return (result.data as HostArray).slice()
    })
  }

  free(ids: readonly number[]): Promise<void> {
    return this.inOrder(async () => {
      for (const id of ids) await this.empty(id)
    })
  }

  compile(id: number, program: Program): Promise<void> {
    return this.inOrder(async () => {
      const session = await this.createSession(program).catch((cause: Error) => {
        throw new BackendError(`ONNX Runtime refuses the graph: ${firstLine(cause)}`, { where: program.name, cause })
      })
      this.programs.set(id, new Loaded(program, session))
    })
  }

  run(request: RunRequest): Promise<void> {
    return this.inOrder(() => this.evaluate(request))
  }

  release(id: number): Promise<void> {
    return this.inOrder(async () => {
      const loaded = this.programs.get(id)
      this.programs.delete(id)
      await loaded?.release()
    })
  }

  tryProvider(provider: EngineProvider): Promise<string | undefined> {
    return this.inOrder(async () => {
      const copied = await this.copySession({ shape: [1], dtype: 'f32' }, provider)
      try {
        const { y } = await copied.run({ x: new this.runtime.Tensor('float32', Float32Array.of(1), [1]) })
        return y!.data[0] === 1 ? undefined : 'it computes wrong numbers'
      } finally {
        await copied.release()
      }
    }).catch(firstLine)
  }

  close(): Promise<void> {
    return this.inOrder(async () => {
      for (const id of [...this.buffers.keys()]) await this.empty(id)
      for (const loaded of this.programs.values()) await loaded.release()
      for (const reader of this.readers.values()) await (await reader).release()
      this.programs.clear()
      this.readers.clear()
    })
  }

  /** One call after another, whether or not the earlier ones succeeded. */
  private inOrder<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    const result = this.last.then(work)
    this.last = result.catch(() => undefined)
    return result
  }

  private tensor(id: number, where: string): Tensor {
    const contents = this.buffers.get(id)
    if (!contents) throw new DisposedError('the buffer has been disposed of, or its run failed', { where })
    return contents.tensor
  }

  private async evaluate({ program: id, inputs, outputs }: RunRequest): Promise<void> {
    const loaded = this.programs.get(id)
    if (!loaded) throw new DisposedError('the executable has been disposed of', { where: 'run' })
    const { program, session } = loaded
    const feeds: Record<string, Tensor> = {}
    for (const [name, modelName] of Object.entries(program.inputs)) {
      feeds[modelName] = this.tensor(inputs[name]!, `${program.name}: input '${name}'`)
    }
    const results = await session.run(feeds).catch((cause: Error) => {
      throw new BackendError(`ONNX Runtime failed: ${firstLine(cause)}`, { where: program.name, cause })
    })
    const result = (name: string): Tensor => results[program.outputs[name]!]!
    for (const { name, alias, appends } of program.appended) {
      const target = this.tensor(inputs[alias]!, `${program.name}: input '${alias}'`)
      for (const { update, start, axis } of appends) {
        const at =
          'constant' in start
            ? start.constant
            : Number(('input' in start ? this.tensor(inputs[start.input]!, start.input) : result(start.output)).data[0])
        writeRows(target, result(update), at, axis, `${program.name}: output '${name}'`)
      }
    }
    for (const [name, buffer] of Object.entries(outputs)) {
      if (!program.appended.some((appended) => appended.name === name)) await this.store(buffer, result(name), loaded)
    }
  }

  private async store(id: number, tensor: Tensor, origin: Loaded): Promise<void> {
    await this.empty(id)
    if (tensor.location !== 'cpu') origin.holdResult()
    this.buffers.set(id, tensor.location === 'cpu' ? { tensor } : { tensor, origin })
  }

  private async empty(id: number): Promise<void> {
    const contents = this.buffers.get(id)
    this.buffers.delete(id)
    contents?.tensor.dispose()
    await contents?.origin?.freeResult()
  }

  private createSession(program: Program): Promise<InferenceSession> {
    const { provider, threads, prepack, weightsRoot } = program
    return this.runtime.InferenceSession.create(program.model, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      graphOptimizationLevel: 'all',
      // The planned block for all intermediate values comes on top of what the first run took piece by piece: without it a
      // training step needs a third to a half less memory, a trajectory a little less, and neither takes longer.
      enableMemPattern: provider !== 'cpu',
      logSeverityLevel: 4,
      ...(provider === 'webgpu' && { preferredOutputLocation: 'gpu-buffer' as const }),
      extra: {
        session: {
          disable_prepacking: prepack ? '0' : '1',
          // Threads that wait for the next operator spin (without, a trajectory takes 7 % longer), but not beyond the run:
          // those of one session would take the processor from the next.
          force_spinning_stop: '1',
          model_external_initializers_file_folder_path: weightsRoot,
        },
        // One Gemm of a product and the sum behind it takes 2 to 4 % longer in a training step of GPT-2. Weights and their
        // biases are a Gemm from the start (`linear.ts`).
        ...(provider === 'cpu' && { optimization: { disable_specified_optimizers: 'MatMulAddFusion' } }),
      },
    })
  }

  private async copyToHost(tensor: Tensor): Promise<Tensor> {
    const dtype = tensor.type === 'float32' ? 'f32' : tensor.type === 'int32' ? 'i32' : 'bool'
    const spec: TensorSpec = { shape: tensor.dims, dtype }
    const key = formatSpec(spec)
    const reader = this.readers.get(key) ?? this.copySession(spec, 'webgpu')
    this.readers.set(key, reader)
    return (await (await reader).run({ x: tensor })).y!
  }

  /** A session that copies one tensor to the host. */
  private copySession({ shape, dtype }: TensorSpec, provider: EngineProvider): Promise<InferenceSession> {
    const model = new ModelBuilder()
    model.input('x', dtype, shape)
    model.node('Identity', ['x'], ['y'])
    model.output('y', dtype, shape)
    return this.runtime.InferenceSession.create(model.build('copy').encode(), {
      executionProviders: [provider],
      preferredOutputLocation: 'cpu',
      logSeverityLevel: 4,
    })
  }
}

/** Writes `update` into `target` at row `start` of `axis`. */
function writeRows(target: Tensor, update: Tensor, start: number, axis: number, where: string): void {
  const rows = update.dims[axis]!
  const room = target.dims[axis]! - rows
  if (start < 0 || start > room) {
    throw new ArgumentError('rows do not fit', { where, expected: `a start of 0 … ${room}`, actual: `${start}` })
  }
  const { count, run, toStep, row } = strideOf(target.dims, rows, axis)
  const [to, from] = [target.data as Float32Array, update.data as Float32Array]
  for (let i = 0; i < count; i++) to.set(from.subarray(i * run, (i + 1) * run), i * toStep + start * row)
}

/** The sentence of a message, without the C++ place before it and the stack below. */
function firstLine(cause: Error): string {
  return cause.message
    .split('\n')[0]!
    .replace(/^.*\bwas false\. /, '')
    .slice(0, 400)
}
