/**
 * A loaded model: weights on a backend, and the five verbs. Hidden state out at every step, embedding in at every step,
 * KV cache fork and truncate, everything stays on the device, in any JavaScript runtime. Every latent method of the
 * library is a small plug-in over this surface.
 */

import type { Backend, Buffer, Parameter } from '../backend.ts'
import { ExecutableCache } from '../compile/cache.ts'
import { ArgumentError, CapacityError } from '../errors.ts'
import type { DecoderConfig } from '../io/config.ts'
import { type LatentConfig, loadLatentConfig } from '../io/latent-config.ts'
import { loadConfig, type ModelFolder } from '../io/model-folder.ts'
import { loadParameters } from '../io/parameters.ts'
import type { Tokenizer } from '../io/tokenizer.ts'
import { loadTokenizer } from '../io/tokenizer.ts'
import type { Tensor } from '../tensor/graph.ts'
import { trace } from '../tensor/trace.ts'
import type { TensorSpec } from '../tensor/types.ts'
import { cacheOutputs, cacheSpecs, KvCache, tracedCache } from './kv-cache.ts'
import { lastRow, TracedDecoder, withoutCache } from './traced.ts'

export interface ForwardOptions {
  /** `none`: latent steps need no logits (the unembedding is a third of a GPT-2 step). Default `none`. */
  readonly logits?: 'none' | 'last' | 'all'
  /** Also return the input of every layer. Default false. */
  readonly hiddenStates?: boolean
}

export interface ForwardOutputs {
  /** After the final norm: [B, T, D]. */
  readonly lastHidden: Buffer
  /** [B, V] for `last`, [B, T, V] for `all`. */
  readonly logits?: Buffer
  /** L + 1 buffers [B, T, D]: layer inputs, then `lastHidden`'s values. */
  readonly hiddenStates?: readonly Buffer[]
}

let modelCount = 0

export class LanguageModel {
  /** Folder or hub name, for messages. */
  readonly id: string
  /** Distinguishes loaded models in program keys. */
  readonly serial: number = modelCount++
  readonly config: DecoderConfig
  readonly backend: Backend
  /** Canonical name → weight. */
  readonly parameters: ReadonlyMap<string, Parameter>
  readonly tokenizer: Tokenizer | undefined
  /** What the checkpoint says of its latent steps, if anything. */
  readonly latent: LatentConfig | undefined
  readonly programs: ExecutableCache

  constructor(
    id: string,
    config: DecoderConfig,
    parameters: ReadonlyMap<string, Parameter>,
    backend: Backend,
    tokenizer?: Tokenizer,
    latent?: LatentConfig,
  ) {
    this.id = id
    this.config = config
    this.parameters = parameters
    this.backend = backend
    this.tokenizer = tokenizer
    this.latent = latent
    this.programs = new ExecutableCache(backend)
  }

  /**
   * A cache for `batch` rows of `capacity` slots. `starts[b]` slots of row b are padding before its first token.
   *
   * @throws CapacityError if the model has fewer positions
   */
  createCache(batch: number, capacity: number, starts: Int32Array = new Int32Array(batch)): KvCache {
    return new KvCache(this, batch, capacity, starts)
  }

  /** @throws ArgumentError naming the first id that is no token of the model */
  checkIds(ids: readonly number[]): void {
    const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= this.config.vocabSize)
    if (wrong >= 0) {
      throw new ArgumentError('token id out of range', {
        where: `${this.id}: token ${wrong}`,
        expected: `0 … ${this.config.vocabSize - 1}`,
        actual: `${ids[wrong]}`,
      })
    }
  }

  /** @throws CapacityError if a row of `count` tokens and thoughts is longer than the model's positions */
  checkPositions(count: number): void {
    if (count <= this.config.maxPositions) return
    throw new CapacityError('more positions than the model has', {
      where: this.id,
      expected: `at most ${this.config.maxPositions}`,
      actual: `${count}`,
      hint: 'Shorten the prompt, or ask for fewer thoughts or tokens',
    })
  }

  /** Uploads left-padded rows of ids: [B, T] i32. */
  uploadIds(rows: readonly (readonly number[])[], padTo: number): Buffer {
    const data = new Int32Array(rows.length * padTo)
    rows.forEach((row, b) => {
      this.checkIds(row)
      data.set(row, b * padTo + padTo - row.length)
    })
    return this.backend.upload({ shape: [rows.length, padTo], dtype: 'i32', data })
  }

  /** Token embeddings of (ids [B, T] i32): [B, T, D]. */
  embed(ids: Buffer): Promise<Buffer> {
    return this.alone('embed', ids, (decoder, input) => decoder.embed(input))
  }

  /**
   * One forward pass behind `cache`, which grows by T slots.
   *
   * @param input ids [B, T] i32, or embeddings [B, T, D] f32 that may come straight from an earlier step
   * @throws CapacityError, ShapeError
   */
  async forward(cache: KvCache, input: Buffer, options: ForwardOptions = {}): Promise<ForwardOutputs> {
    const { logits = 'none', hiddenStates = false } = options
    const rows = input.shape[1]!
    cache.reserve(rows)
    this.checkPositions(cache.length + rows - Math.min(...cache.starts))
    const empty = cache.length === 0
    const key = `forward|${input.dtype}${input.shape}|${cache.capacity}|${empty}|${logits}|${hiddenStates}`
    const program = await this.programs.get(
      key,
      () => this.traceForward(input, cache, empty, logits, hiddenStates),
      () => this.weights('main'),
    )
    const given = this.scalars(cache)
    const results = await program.run({ input, ...given, ...cache.inputs('main') })
    for (const buffer of Object.values(given)) buffer.dispose()
    cache.advance(rows)
    return {
      lastHidden: results.lastHidden!,
      ...(results.logits && { logits: results.logits }),
      ...(hiddenStates && {
        hiddenStates: Array.from({ length: this.config.layers + 1 }, (_, i) => results[`hiddenStates.${i}`]!),
      }),
    }
  }

  /** The unembedding alone: [..., D] → [..., V]. */
  logits(hidden: Buffer): Promise<Buffer> {
    return this.alone('logits', hidden, (decoder, input) => decoder.logits(input))
  }

  /** The weights under the parameter prefix `role`, as `compile` takes them. */
  weights(role: string): Map<string, Parameter> {
    return new Map([...this.parameters].map(([name, value]) => [`${role}/${name}`, value]))
  }

  /** Frees compiled programs. Weights belong to the backend. */
  async dispose(): Promise<void> {
    await this.programs.dispose()
  }

  private scalars(cache: KvCache): Record<string, Buffer> {
    return {
      start: this.backend.upload({ shape: [cache.batch], dtype: 'i32', data: cache.starts }),
      length: this.backend.upload({ shape: [], dtype: 'i32', data: Int32Array.of(cache.length) }),
    }
  }

  /** What a decoder without a cache makes of one tensor. */
  private async alone(name: string, x: Buffer, make: (decoder: TracedDecoder, x: Tensor) => Tensor): Promise<Buffer> {
    const output = (given: Tensor): Tensor => make(withoutCache('main', this.config), given)
    const program = await this.programs.get(
      `${name}|${x.shape}`,
      () => trace(name, { x }, (given) => ({ outputs: { output: output(given.x!) } })),
      () => this.weights('main'),
    )
    return (await program.run({ x })).output!
  }

  private traceForward(
    input: TensorSpec,
    cache: KvCache,
    empty: boolean,
    logits: 'none' | 'last' | 'all',
    hiddenStates: boolean,
  ): ReturnType<typeof trace> {
    const caches = cacheSpecs('main', this.config, cache.batch, cache.capacity)
    const specs: Record<string, TensorSpec> = {
      input,
      start: { shape: [cache.batch], dtype: 'i32' },
      length: { shape: [], dtype: 'i32' },
      ...caches,
    }
    return trace(`forward ${input.shape}`, specs, (inputs) => {
      const length = empty ? 0 : inputs.length!
      const decoder = new TracedDecoder('main', this.config, tracedCache('main', this.config, inputs, length, empty))
      const embeds = input.dtype === 'i32' ? decoder.embed(inputs.input!) : inputs.input!
      const { lastHidden, hiddenStates: states, next } = decoder.step(embeds)
      const outputs: Record<string, Tensor> = { lastHidden, ...cacheOutputs('main', next.cache) }
      if (logits !== 'none') outputs.logits = next.logits(logits === 'last' ? lastRow(lastHidden) : lastHidden)
      if (hiddenStates) states.forEach((state, i) => (outputs[`hiddenStates.${i}`] = state))
      return { outputs, aliases: Object.fromEntries(Object.keys(caches).map((name) => [name, name])) }
    })
  }
}

/**
 * Reads a model folder: config.json, weights (single file or shards), tokenizer if there is one.
 *
 * @param file another weights file of the folder, as the fixtures' `model_good.safetensors`
 * @throws FileError, FormatError, ConfigError naming file, key or tensor
 */
export async function loadModel(
  folder: ModelFolder,
  backend: Backend,
  options: { readonly file?: string } = {},
): Promise<LanguageModel> {
  const config = await loadConfig(folder)
  const parameters = await loadParameters(folder, config, options)
  const latent = await loadLatentConfig(folder, config.vocabSize)
  return new LanguageModel(folder.id, config, parameters, backend, await loadTokenizer(folder), latent)
}
