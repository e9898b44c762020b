/**
 * Memory on the device: tensors that callers hold, the pool they come from and return to, and read-back.
 *
 * Every element takes four bytes (bool as 0 or 1 in a u32), as WGSL can address nothing smaller. Buffers are never left to
 * garbage collection: bun-webgpu would keep them for good.
 */

import type { Buffer, DType, HostArray, TensorSpec } from '@afterthought/core'
import { BackendError, DisposedError, formatSpec, sizeOf } from '@afterthought/core'
import type { DeviceGuard } from './guard.ts'
import { settle } from './guard.ts'

export const BYTES_PER_ELEMENT = 4

/** Storage on the device, with the number that bind groups are cached by. */
export interface Memory {
  readonly gpu: GPUBuffer
  readonly size: number
  readonly id: number
}

/** Sizes are rounded up to a quarter of their power of two, so that neighbouring sizes share buffers. */
function roundedSize(bytes: number): number {
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(Math.max(bytes, 1))) - 2))
  return Math.ceil(Math.max(bytes, 1) / step) * step
}

/** Buffers that wait for reuse hold at most this many bytes. */
const IDLE_BYTES = 256 * 2 ** 20

export class MemoryPool {
  /** Device memory held: in use and idle. */
  allocatedBytes = 0
  private readonly guard: DeviceGuard
  private readonly idle = new Map<number, Memory[]>()
  private idleBytes = 0
  private count = 0

  constructor(guard: DeviceGuard) {
    this.guard = guard
  }

  /** Uninitialised storage of at least `bytes`. @throws BackendError if it is more than the device can hold in one buffer */
  take(bytes: number, where: string): Memory {
    const size = roundedSize(bytes)
    const known = this.idle.get(size)?.pop()
    if (known) {
      this.idleBytes -= size
      return known
    }
    // Rounding must not push a tensor over the limit.
    const { maxBufferSize } = this.guard.device.limits
    return this.create(bytes <= maxBufferSize ? Math.min(size, maxBufferSize) : bytes, where)
  }

  /** Storage of exactly `bytes`, not meant to be pooled. */
  create(bytes: number, where: string, usage: number = GPUBufferUsage.STORAGE): Memory {
    const { device } = this.guard
    const size = Math.max(16, Math.ceil(bytes / 4) * 4)
    if (size > device.limits.maxBufferSize) {
      throw new BackendError('a tensor is larger than a buffer of this device', {
        where,
        expected: `at most ${device.limits.maxBufferSize} bytes`,
        actual: `${bytes}`,
      })
    }
    try {
      const gpu = device.createBuffer({
        label: where,
        size,
        usage: usage | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      })
      this.allocatedBytes += size
      return { gpu, size, id: this.count++ }
    } catch (error) {
      throw this.guard.wrap(error, where)
    }
  }

  /** Gives storage back. Work already submitted still finds it: later writes are queued behind. */
  give(memory: Memory): void {
    if (roundedSize(memory.size) !== memory.size || this.idleBytes + memory.size > IDLE_BYTES) {
      this.destroy(memory)
      return
    }
    const stack = this.idle.get(memory.size) ?? []
    this.idle.set(memory.size, stack)
    stack.push(memory)
    this.idleBytes += memory.size
  }

  destroy(memory: Memory): void {
    this.allocatedBytes -= memory.size
    memory.gpu.destroy()
  }

  dispose(): void {
    for (const memory of [...this.idle.values()].flat()) this.destroy(memory)
    this.idle.clear()
  }
}

/** A tensor of ours on the device. */
export class DeviceBuffer implements Buffer, Disposable {
  readonly shape: readonly number[]
  readonly dtype: DType
  /** The pool identifies the backend: buffers of another one are refused. */
  readonly pool: MemoryPool
  private storage: Memory | undefined

  constructor(spec: TensorSpec, pool: MemoryPool, storage: Memory) {
    this.shape = spec.shape
    this.dtype = spec.dtype
    this.pool = pool
    this.storage = storage
  }

  /** @throws DisposedError */
  get memory(): Memory {
    if (!this.storage) throw new DisposedError('the buffer has been disposed of', { where: formatSpec(this) })
    return this.storage
  }

  dispose(): void {
    if (this.storage) this.pool.give(this.storage)
    this.storage = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Host values as the device stores them; a plain ArrayBuffer, as `writeBuffer` crashes on shared memory in Node. */
export function deviceBytes(data: HostArray): ArrayBufferView<ArrayBuffer> {
  if (data instanceof Uint8Array) return Uint32Array.from(data, (bit) => (bit ? 1 : 0))
  return (data.buffer instanceof ArrayBuffer ? data : data.slice()) as ArrayBufferView<ArrayBuffer>
}

/** Writes host values. An empty write panics Deno: skipped. */
export function write(device: GPUDevice, memory: Memory, data: ArrayBufferView<ArrayBuffer>, offset = 0): void {
  if (data.byteLength === 0) return
  device.queue.writeBuffer(memory.gpu, offset, data.buffer, data.byteOffset, data.byteLength)
}

interface Request {
  readonly spec: TensorSpec
  readonly memory: Memory
  readonly bytes: number
  resolve(data: HostArray): void
  reject(error: unknown): void
}

/**
 * Copies device memory to the host, through staging buffers that are kept. Whatever is asked for at one moment is one
 * submission and one mapping: a mapping takes 11 ms in Deno.
 */
export class Reader {
  private readonly guard: DeviceGuard
  private readonly staging = new Map<number, GPUBuffer[]>()
  private waiting: Request[] = []

  constructor(guard: DeviceGuard) {
    this.guard = guard
  }

  /** @throws BackendError if the device is lost or an earlier command was refused */
  read(spec: TensorSpec, memory: Memory): Promise<HostArray> {
    const bytes = sizeOf(spec.shape) * BYTES_PER_ELEMENT
    return new Promise((resolve, reject) => {
      this.waiting.push({ spec, memory, bytes, resolve, reject })
      if (this.waiting.length === 1) queueMicrotask(() => this.flush())
    })
  }

  dispose(): void {
    for (const stack of this.staging.values()) for (const buffer of stack) buffer.destroy()
    this.staging.clear()
  }

  private async flush(): Promise<void> {
    const requests = this.waiting
    this.waiting = []
    try {
      this.guard.check(whereOf(requests))
      const total = requests.reduce((sum, { bytes }) => sum + bytes, 0)
      const copy = total === 0 ? new ArrayBuffer(0) : await this.copy(requests, total)
      let at = 0
      for (const { spec, bytes, resolve } of requests) {
        resolve(hostArray(spec.dtype, copy.slice(at, at + bytes)))
        at += bytes
      }
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
  }

  private async copy(requests: readonly Request[], total: number): Promise<ArrayBuffer> {
    const { device } = this.guard
    const size = roundedSize(total)
    const kept = this.staging.get(size) ?? []
    this.staging.set(size, kept)
    const staging =
      kept.pop() ?? device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
    try {
      const encoder = device.createCommandEncoder()
      let at = 0
      for (const { memory, bytes } of requests) {
        if (bytes > 0) encoder.copyBufferToBuffer(memory.gpu, 0, staging, at, bytes)
        at += bytes
      }
      device.queue.submit([encoder.finish()])
      await staging.mapAsync(GPUMapMode.READ, 0, total)
      // Deno resolves the mapping of a destroyed device.
      this.guard.check(whereOf(requests))
      const copy = staging.getMappedRange(0, total).slice(0)
      staging.unmap()
      kept.push(staging)
      return copy
    } catch (error) {
      staging.destroy()
      await settle()
      this.guard.check(whereOf(requests))
      throw this.guard.wrap(error, whereOf(requests))
    }
  }
}

const whereOf = (requests: readonly Request[]): string =>
  `download ${requests.map(({ spec }) => formatSpec(spec)).join(', ')}`

function hostArray(dtype: DType, bytes: ArrayBuffer): HostArray {
  if (dtype === 'f32') return new Float32Array(bytes)
  if (dtype === 'i32') return new Int32Array(bytes)
  return Uint8Array.from(new Uint32Array(bytes))
}
