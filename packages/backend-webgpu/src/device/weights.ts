/** Weights on the device: each is read, encoded and uploaded once per format, however many programs use it. */

import type { HostArray, Parameter } from '@afterthought/core'
import type { WeightUse } from '../plan/plan.ts'
import { deviceBytes, type Memory, type MemoryPool, write } from './buffers.ts'
import { encode } from './encode.ts'
import type { DeviceGuard } from './guard.ts'

interface Stored {
  readonly values: Memory
  readonly scales: Memory | undefined
}

/** Larger writes are cut up, so that the driver's own copy of them stays small. */
const CHUNK_BYTES = 16 * 2 ** 20

export class WeightStore {
  private readonly known = new Map<string, Promise<Stored>>()
  private readonly guard: DeviceGuard
  private readonly pool: MemoryPool

  constructor(guard: DeviceGuard, pool: MemoryPool) {
    this.guard = guard
    this.pool = pool
  }

  async memory(use: WeightUse): Promise<Memory> {
    const key = `${use.format} ${use.transpose} ${use.parameter.identity}`
    let stored = this.known.get(key)
    if (!stored) {
      stored = this.upload(use)
      stored.catch(() => this.known.delete(key))
      this.known.set(key, stored)
    }
    return (await stored)[use.part]!
  }

  async dispose(): Promise<void> {
    for (const stored of await Promise.allSettled(this.known.values())) {
      if (stored.status === 'rejected') continue
      for (const memory of Object.values(stored.value)) if (memory) this.pool.destroy(memory)
    }
    this.known.clear()
  }

  private async upload({ parameter, format, transpose }: WeightUse): Promise<Stored> {
    const data = await parameter.read()
    const ordered = transpose ? swapAxes(data as Float32Array, parameter) : data
    if (format === 'f32') return { values: this.place(deviceBytes(ordered), parameter), scales: undefined }
    const { values, scales } = encode(ordered as Float32Array, format)
    return { values: this.place(values, parameter), scales: scales && this.place(scales, parameter) }
  }

  private place(data: ArrayBufferView<ArrayBuffer>, parameter: Parameter): Memory {
    const memory = this.pool.create(data.byteLength, `weight ${parameter.identity}`)
    for (let at = 0; at < data.byteLength; at += CHUNK_BYTES) {
      const length = Math.min(CHUNK_BYTES, data.byteLength - at)
      // Writes take whole words; an odd number of halves is padded.
      const part = new Uint8Array(data.buffer, data.byteOffset + at, length)
      const padded = length % 4 === 0 ? part : new Uint8Array(Math.ceil(length / 4) * 4)
      if (padded !== part) padded.set(part)
      write(this.guard.device, memory, padded, at)
    }
    return memory
  }
}

/** [R, C] → [C, R] */
function swapAxes(data: Float32Array, { shape }: Parameter): HostArray {
  const [rows, columns] = shape as [number, number]
  const swapped = new Float32Array(data.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) swapped[c * rows + r] = data[r * columns + c]!
  return swapped
}
