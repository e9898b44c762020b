/** The KV cache on the device: allocated once at full capacity, shared by prefill, latent steps and decoding. */

import type { Backend, Buffer } from '../backend.ts'
import { ArgumentError, CapacityError, DisposedError } from '../errors.ts'
import type { DecoderConfig } from '../io/config.ts'
import { type FixedCache, fixedCache } from '../nn/cache.ts'
import type { Tensor } from '../tensor/graph.ts'
import { trace } from '../tensor/trace.ts'
import type { TensorSpec } from '../tensor/types.ts'
import { sizeOf } from '../tensor/types.ts'
import type { LanguageModel } from './language-model.ts'

/** Names and shapes of a cache's tensors as graph inputs: `main.k.0`, `main.v.0`, … [B, KV, S, d]. */
export function cacheSpecs(
  role: string,
  config: DecoderConfig,
  batch: number,
  capacity: number,
): Record<string, TensorSpec> {
  const spec: TensorSpec = { shape: [batch, config.kvHeads, capacity, config.headDim], dtype: 'f32' }
  const specs: Record<string, TensorSpec> = {}
  for (let layer = 0; layer < config.layers; layer++) {
    specs[`${role}.k.${layer}`] = spec
    specs[`${role}.v.${layer}`] = spec
  }
  return specs
}

/** The traced counterpart of a cache given as graph inputs. `empty`: nothing has been written yet. */
export function tracedCache(
  role: string,
  config: DecoderConfig,
  inputs: Readonly<Record<string, Tensor>>,
  length: Tensor | number,
  empty: boolean,
): FixedCache {
  const storage = Array.from({ length: config.layers }, (_, layer) => ({
    k: inputs[`${role}.k.${layer}`]!,
    v: inputs[`${role}.v.${layer}`]!,
  }))
  return fixedCache(inputs.start!, storage, length, empty)
}

/** A step's cache as outputs that take over the storage of the inputs of the same name. */
export function cacheOutputs(role: string, cache: FixedCache): Record<string, Tensor> {
  const outputs: Record<string, Tensor> = {}
  cache.storage.forEach(({ k, v }, layer) => {
    outputs[`${role}.k.${layer}`] = k
    outputs[`${role}.v.${layer}`] = v
  })
  return outputs
}

export class KvCache {
  readonly batch: number
  /** Slots per row. */
  readonly capacity: number
  /** First real slot of each row: how many padding slots stand before it. */
  readonly starts: Int32Array
  private readonly model: LanguageModel
  private written = 0
  private readonly buffers: Map<string, Buffer>

  constructor(
    model: LanguageModel,
    batch: number,
    capacity: number,
    starts: Int32Array,
    buffers?: Map<string, Buffer>,
  ) {
    this.model = model
    this.batch = batch
    this.capacity = capacity
    this.starts = starts
    this.buffers = buffers ?? allocateCache(model.backend, model.config, batch, capacity)
  }

  /** Slots written so far. */
  get length(): number {
    return this.written
  }

  /** @throws CapacityError if `count` more rows do not fit */
  reserve(count: number): void {
    if (this.written + count > this.capacity) {
      throw new CapacityError('the KV cache is full', {
        where: this.model.id,
        expected: `${this.written} + ${count} ≤ ${this.capacity}`,
        actual: `${this.written + count}`,
        hint: 'Create the cache with a larger capacity',
      })
    }
  }

  /** Counts `count` rows as written: the step that wrote them has been enqueued. */
  advance(count: number): void {
    this.reserve(count)
    this.written += count
  }

  /** Forgets all but the first `length` slots. Their storage is overwritten by later steps. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.written) {
      throw new ArgumentError('cannot truncate', { expected: `0 … ${this.written}`, actual: `${length}` })
    }
    this.written = length
  }

  /** A copy on the device that grows independently. */
  async fork(): Promise<KvCache> {
    const specs = cacheSpecs('cache', this.model.config, this.batch, this.capacity)
    const copy = await this.model.programs.get(
      `copy|${this.batch}|${this.capacity}`,
      () => trace('copy', specs, (inputs) => ({ outputs: inputs })),
      () => new Map(),
    )
    const copied = await copy.run(this.inputs('cache'))
    const buffers = new Map(Object.entries(copied).map(([name, buffer]) => [name.slice('cache.'.length), buffer]))
    const fork = new KvCache(this.model, this.batch, this.capacity, this.starts, buffers)
    fork.written = this.written
    return fork
  }

  /** The buffers as graph inputs under `role`. */
  inputs(role: string): Record<string, Buffer> {
    if (this.buffers.size === 0) throw new DisposedError('the KV cache has been disposed of', { where: this.model.id })
    return Object.fromEntries([...this.buffers].map(([name, buffer]) => [`${role}.${name}`, buffer]))
  }

  /** Written keys and values of one layer, on the host: [B, KV, length, d]. For inspection and tests. */
  async read(kind: 'k' | 'v', layer: number): Promise<Float32Array> {
    const buffer = this.inputs('cache')[`cache.${kind}.${layer}`]!
    const data = (await this.model.backend.download(buffer)) as Float32Array
    const [batch, groups, capacity, width] = buffer.shape as [number, number, number, number]
    const rows = new Float32Array(batch * groups * this.written * width)
    for (let group = 0; group < batch * groups; group++) {
      const from = group * capacity * width
      rows.set(data.subarray(from, from + this.written * width), group * this.written * width)
    }
    return rows
  }

  dispose(): void {
    for (const buffer of this.buffers.values()) buffer.dispose()
    this.buffers.clear()
  }
}

function allocateCache(backend: Backend, config: DecoderConfig, batch: number, capacity: number): Map<string, Buffer> {
  const buffers = new Map<string, Buffer>()
  for (const [name, spec] of Object.entries(cacheSpecs('cache', config, batch, capacity))) {
    buffers.set(name.slice('cache.'.length), backend.upload({ ...spec, data: new Float32Array(sizeOf(spec.shape)) }))
  }
  return buffers
}
