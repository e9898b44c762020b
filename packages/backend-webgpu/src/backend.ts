/**
 * The WebGPU backend: `Backend` of core over one GPUDevice. Runs only enqueue; `download` waits.
 *
 * From graph to replay: lower (core) → merge and hoist (plan/schedule) → kernels (plan/plan) → storage (plan/allocate) →
 * pipelines and bind groups (executable).
 */

import {
  type Backend,
  BackendError,
  type Buffer,
  type DType,
  formatSpec,
  type Graph,
  type HostTensor,
  lower,
  type Parameter,
  ShapeError,
  sizeOf,
} from '@afterthought/core'
import { type AdapterDescription, describeDevice, requestDevice } from './device/adapter.ts'
import { BYTES_PER_ELEMENT, DeviceBuffer, deviceBytes, MemoryPool, Reader, write } from './device/buffers.ts'
import { DeviceGuard } from './device/guard.ts'
import { PipelineCache, type Progress } from './device/pipelines.ts'
import { WeightStore } from './device/weights.ts'
import { WebGpuExecutable } from './executable.ts'
import { allocateStorage } from './plan/allocate.ts'
import { isLazy, nativeOps } from './plan/operations.ts'
import { Plan, type PlanOptions } from './plan/plan.ts'
import { mergeProjections, placeUpdates } from './plan/schedule.ts'
import type { WeightFormat } from './plan/weights.ts'

export interface WebGpuOptions {
  /** Default: one found by `requestDevice()`, which is destroyed with the backend. */
  readonly device?: GPUDevice
  /** How matrices of weights are stored; arithmetic is f32 throughout. Default f32. */
  readonly dtype?: WeightFormat
  /** Called while pipelines are compiled. */
  readonly onProgress?: Progress
  /** For tests: other kernels than the device would get. */
  readonly kernels?: Partial<PlanOptions['target']> & { readonly maxBindingBytes?: number }
}

export interface WebGpuBackend extends Backend, AsyncDisposable {
  readonly device: GPUDevice
  readonly adapter: AdapterDescription
  /** Device memory held by tensors, weights, scratch and idle buffers. */
  readonly allocatedBytes: number
  upload(tensor: HostTensor): DeviceBuffer
  compile(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<WebGpuExecutable>
}

/** @throws BackendUnavailableError, BackendError */
export async function webgpu(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const device = options.device ?? (await requestDevice())
  return new Device(device, options.device === undefined, options)
}

class Device implements WebGpuBackend {
  readonly name = 'webgpu'
  readonly ops: Backend['ops'] = nativeOps
  readonly dtypes: ReadonlySet<DType> = new Set<DType>(['f32', 'i32', 'bool'])
  readonly device: GPUDevice
  readonly adapter: AdapterDescription
  private readonly isOwn: boolean
  private readonly guard: DeviceGuard
  private readonly pool: MemoryPool
  private readonly reader: Reader
  private readonly weights: WeightStore
  private readonly pipelines: PipelineCache
  private readonly planOptions: PlanOptions
  private readonly onProgress: Progress | undefined
  private disposal: Promise<void> | undefined

  constructor(device: GPUDevice, isOwn: boolean, { dtype = 'f32', kernels = {}, onProgress }: WebGpuOptions) {
    this.device = device
    this.isOwn = isOwn
    this.adapter = describeDevice(device)
    this.guard = new DeviceGuard(device)
    this.pool = new MemoryPool(this.guard)
    this.reader = new Reader(this.guard)
    this.weights = new WeightStore(this.guard, this.pool)
    this.pipelines = new PipelineCache(this.guard)
    this.onProgress = onProgress
    const has = (feature: GPUFeatureName): boolean => device.features.has(feature)
    const { maxBindingBytes, ...target } = kernels
    this.planOptions = {
      target: { software: this.adapter.software, subgroups: has('subgroups'), f16: has('shader-f16'), ...target },
      format: dtype,
      maxBindingBytes: maxBindingBytes ?? device.limits.maxStorageBufferBindingSize,
      offsetAlignment: device.limits.minStorageBufferOffsetAlignment,
    }
  }

  get allocatedBytes(): number {
    return this.pool.allocatedBytes
  }

  upload(tensor: HostTensor): DeviceBuffer {
    this.guard.check('upload')
    const fits = tensor.data.length === sizeOf(tensor.shape) && dtypeOf(tensor) === tensor.dtype
    if (!fits) {
      throw new ShapeError('the data does not fit its type', {
        where: 'upload',
        expected: formatSpec(tensor),
        actual: `${tensor.data.length} elements of ${dtypeOf(tensor)}`,
      })
    }
    const memory = this.pool.take(tensor.data.length * BYTES_PER_ELEMENT, `upload ${formatSpec(tensor)}`)
    write(this.device, memory, deviceBytes(tensor.data))
    return new DeviceBuffer({ shape: [...tensor.shape], dtype: tensor.dtype }, this.pool, memory)
  }

  async download(buffer: Buffer): ReturnType<Backend['download']> {
    if (!(buffer instanceof DeviceBuffer) || buffer.pool !== this.pool) {
      throw new ShapeError('the buffer belongs to another backend', { where: 'download' })
    }
    return this.reader.read(buffer, buffer.memory)
  }

  async compile(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<WebGpuExecutable> {
    this.guard.check(graph.name)
    const lowered = lower(graph, nativeOps)
    expectParameters(lowered, parameters)
    const program = mergeProjections({ graph: lowered, parameters })
    const plan = new Plan(placeUpdates(program.graph, isLazy), program.parameters, this.planOptions)
    const allocation = allocateStorage(plan)
    this.expectBindable(plan, allocation.kernels)
    const [pipelines, memories] = await Promise.all([
      this.pipelines.prepare(allocation.kernels, graph.name, this.onProgress),
      Promise.all([...plan.weights.values()].map((use) => this.weights.memory(use))),
    ])
    const weights = new Map([...plan.weights.keys()].map((slot, i) => [slot, memories[i]!]))
    const { guard, pool } = this
    return guard.scoped(graph.name, () => new WebGpuExecutable({ guard, pool, plan, allocation, pipelines, weights }))
  }

  dispose(): Promise<void> {
    this.disposal ??= this.release()
    return this.disposal
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  private async release(): Promise<void> {
    this.guard.dispose()
    await this.weights.dispose()
    this.reader.dispose()
    this.pool.dispose()
    if (this.isOwn) this.device.destroy()
  }

  /** @throws BackendError for a tensor that no binding of the device can hold */
  private expectBindable(plan: Plan, kernels: ReturnType<typeof allocateStorage>['kernels']): void {
    const limit = this.planOptions.maxBindingBytes
    for (const { kernel } of kernels) {
      for (const { slot, range } of kernel.bindings) {
        const bytes = range?.size ?? (plan.weights.get(slot)?.part === 'scales' ? 0 : slot.size * BYTES_PER_ELEMENT)
        if (bytes <= limit) continue
        throw new BackendError('a tensor is larger than this device can bind', {
          where: `${plan.graph.name}: ${kernel.label}: ${slot.label}`,
          expected: `at most ${limit} bytes`,
          actual: `${bytes}`,
          hint: 'Store weights as f16, int8 or int4, or use shorter sequences',
        })
      }
    }
  }
}

const dtypeOf = ({ data }: HostTensor): DType =>
  data instanceof Float32Array ? 'f32' : data instanceof Int32Array ? 'i32' : 'bool'

/** @throws ShapeError naming a missing or mis-shaped weight */
function expectParameters(graph: Graph, parameters: ReadonlyMap<string, Parameter>): void {
  for (const { name, value } of graph.parameters) {
    const parameter = parameters.get(name)
    if (parameter && formatSpec(parameter) === formatSpec(value)) continue
    throw new ShapeError(parameter ? 'the weight has another type' : 'the weight is missing', {
      where: `${graph.name}: parameter '${name}'`,
      expected: formatSpec(value),
      actual: parameter ? formatSpec(parameter) : 'nothing',
    })
  }
}
