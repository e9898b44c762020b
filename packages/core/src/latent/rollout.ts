/**
 * A rollout: prompt → T continuous thoughts, refined or replaced → answer. The verb everything else is built on.
 *
 * Rows of a batch are left-padded so that thoughts and tokens stand in the same columns; masks and positions follow from
 * each row's first real column, in every step. A batch gives each row what it would get alone.
 */

import type { Buffer } from '../backend.ts'
import { NumericError, throwIfAborted } from '../errors.ts'
import type { KvCache } from '../models/kv-cache.ts'
import type { HostArray, TensorSpec } from '../tensor/types.ts'
import { type Batch, coefficientTensors, prepare } from './batch.ts'
import type { RefinementOptions } from './options.ts'
import {
  capacitiesOf,
  givesToken,
  hasPrevious,
  rolesOf,
  stepProgram,
  type ThoughtModels,
  trajectoryProgram,
} from './programs.ts'
import { referenceGrowth } from './refine.ts'
import type { SamplingOptions } from './sampling.ts'
import type { SlotSource } from './thought-loop.ts'

export interface RolloutOptions {
  /** T: the number of thoughts, the same for every row. */
  readonly latents: number
  /** N: the most tokens to answer with. Default 1. */
  readonly tokens?: number
  /** Tokens fed after the thoughts (an end marker). Default none. */
  readonly endIds?: readonly number[]
  /** Tokens that end an answer, from the first one on; they are part of it. Default: the model's. */
  readonly stopIds?: readonly number[]
  readonly refinement?: RefinementOptions
  /**
   * Controls: what stands in the slots in place of the thoughts; vectors are [B, T, D]. `pause` is the model's latent
   * marker, or the mean embedding where it has none.
   */
  readonly replace?: Exclude<SlotSource, 'own' | 'given'> | Float32Array
  /** Default greedy. */
  readonly sampling?: SamplingOptions
  /** Of sampling, noise and random directions. Default 0. */
  readonly seed?: number
  /** Random stream of each row, so that a question draws the same in any batch. Default its index. */
  readonly streams?: readonly number[]
  /** `trajectory`: one graph, read back once. `stepped` (default): one program per step. */
  readonly plan?: 'stepped' | 'trajectory'
  /** Columns to pad prompts to, so that rollouts of several lengths share programs. Default the longest prompt. */
  readonly promptLength?: number
  /** Also return the logits of the first answer token. */
  readonly answerLogits?: boolean
  /** Also return candidates and the references' readings. */
  readonly record?: boolean
  readonly signal?: AbortSignal
  /** Called after the prompt, each thought and each token (stepped plan), with the tokens so far. */
  readonly onStep?: (step: RolloutStep) => void
}

export interface RolloutStep {
  readonly kind: 'prompt' | 'thought' | 'token'
  /** Thoughts or tokens so far. */
  readonly count: number
  /** The newest token of every row, for `token`; −1 where the row has ended. */
  readonly tokens?: readonly number[]
}

/** What one row of a batch thought and said. */
export interface RolloutRow {
  /** As fed: T vectors [D]. */
  readonly thoughts: readonly Float32Array[]
  /** What the model proposed for each slot, before refinement: T vectors [D]. With `record`. */
  readonly candidates?: readonly Float32Array[]
  /** The references' states for each slot, where they were asked. With `record`. */
  readonly good?: readonly Float32Array[]
  readonly bad?: readonly Float32Array[]
  /** Up to and with the stop token. */
  readonly tokens: readonly number[]
  readonly finish: 'eos' | 'length'
  /** [V]. With `answerLogits`. */
  readonly answerLogits?: Float32Array
}

export interface Rollout {
  readonly rows: readonly RolloutRow[]
  /** Milliseconds: prompt and thoughts up to the first token, and all tokens after it. One graph has no such border. */
  readonly ms: { readonly prefill: number; readonly decode: number }
}

/**
 * Runs a batch of prompts.
 *
 * @param prompts token ids per row, unpadded; start markers are part of them
 * @throws ArgumentError, CapacityError for what the options or prompts ask; NumericError if a state is not finite;
 *   AbortedError; BackendError
 */
export async function rollout(
  models: ThoughtModels,
  prompts: readonly (readonly number[])[],
  options: RolloutOptions,
): Promise<Rollout> {
  const batch = prepare(models, prompts, options)
  return options.plan === 'trajectory' ? runTrajectory(batch) : new SteppedRun(batch).run()
}

async function runTrajectory(batch: Batch): Promise<Rollout> {
  const { models, options, plan } = batch
  const { backend, config } = models.main
  throwIfAborted(options.signal)
  const program = await trajectoryProgram(models, plan, {
    answerLogits: options.answerLogits ?? false,
    record: options.record ?? false,
  })
  throwIfAborted(options.signal)
  const started = performance.now()
  const vectors: TensorSpec = { shape: [plan.batch, plan.latents, config.width], dtype: 'f32' }
  const inputs: Record<string, Buffer> = {
    ids: backend.upload({ shape: [plan.batch, plan.promptLength], dtype: 'i32', data: batch.ids }),
    start: backend.upload({ shape: [plan.batch], dtype: 'i32', data: batch.starts }),
    ...(batch.noise && { noise: backend.upload({ ...vectors, data: batch.noise }) }),
    ...(batch.given && { given: backend.upload({ ...vectors, data: batch.given }) }),
    ...(batch.uniform && {
      uniform: backend.upload({ shape: [plan.batch, plan.tokens], dtype: 'f32', data: batch.uniform }),
    }),
  }
  for (const [name, tensor] of Object.entries(coefficientTensors(plan))) inputs[name] = backend.upload(tensor)
  const outputs = await program.run(inputs)
  // Asked for together: a device reads back once.
  const read = async ([name, buffer]: [string, Buffer]): Promise<[string, HostArray]> => [
    name,
    await backend.download(buffer),
  ]
  const host: Record<string, HostArray> = Object.fromEntries(await Promise.all(Object.entries(outputs).map(read)))
  for (const buffer of [...Object.values(inputs), ...Object.values(outputs)]) buffer.dispose()
  throwIfAborted(options.signal)
  requireFinite(models.main.id, host.sound as Float32Array, host.thoughts as Float32Array | undefined)
  const tokens = host.tokens as Int32Array
  const rows = Array.from({ length: plan.batch }, (_, b): RolloutRow => {
    const row = (name: string): Float32Array[] =>
      vectorsOf(host[name] as Float32Array, b * plan.latents, plan.latents, config.width)
    return {
      thoughts: host.thoughts ? row('thoughts') : [],
      ...(host.candidates && { candidates: row('candidates') }),
      ...(host.good && { good: row('good'), bad: row('bad') }),
      ...ended([...tokens.subarray(b * plan.tokens, (b + 1) * plan.tokens)], batch.stopIds),
      ...(host.answerLogits && {
        answerLogits: vectorsOf(host.answerLogits as Float32Array, b, 1, config.vocabSize)[0]!,
      }),
    }
  })
  return { rows, ms: { prefill: performance.now() - started, decode: 0 } }
}

/** Copies `count` vectors from the `first` on. */
function vectorsOf(data: Float32Array, first: number, count: number, width: number): Float32Array[] {
  return Array.from({ length: count }, (_, i) => data.slice((first + i) * width, (first + i + 1) * width))
}

/** Cuts a row behind its first stop token. */
function ended(
  tokens: readonly number[],
  stopIds: ReadonlySet<number>,
): { readonly tokens: readonly number[]; readonly finish: 'eos' | 'length' } {
  const stop = tokens.findIndex((id) => stopIds.has(id))
  return stop < 0 ? { tokens, finish: 'length' } : { tokens: tokens.slice(0, stop + 1), finish: 'eos' }
}

function requireFinite(where: string, ...values: readonly (Float32Array | undefined)[]): void {
  if (values.every((array) => array?.every(Number.isFinite) ?? true)) return
  throw new NumericError('the model computes NaN or infinity', {
    where,
    hint: 'Its weights are damaged, or a refinement step is far too large',
  })
}

/** The stepped plan: a host loop that only enqueues, and reads a few bytes per token. */
class SteppedRun {
  private readonly batch: Batch
  private readonly caches: Partial<Record<'main' | 'good' | 'bad', KvCache>> = {}
  private readonly coefficients: Record<string, Buffer> = {}
  private readonly start: Buffer
  private readonly thoughts: Buffer[] = []
  private readonly candidates: Buffer[] = []
  private readonly good: Buffer[] = []
  private readonly bad: Buffer[] = []

  constructor(batch: Batch) {
    this.batch = batch
    const { models, plan, starts } = batch
    const { backend } = models.main
    const capacities = capacitiesOf(plan)
    for (const role of rolesOf(plan)) {
      const capacity = role === 'main' ? capacities.main : capacities.references
      this.caches[role] = models[role]!.createCache(plan.batch, capacity, starts)
    }
    this.start = backend.upload({ shape: [plan.batch], dtype: 'i32', data: starts })
    for (const [name, tensor] of Object.entries(coefficientTensors(plan)))
      this.coefficients[name] = backend.upload(tensor)
  }

  async run(): Promise<Rollout> {
    try {
      return await this.steps()
    } finally {
      for (const cache of Object.values(this.caches)) cache.dispose()
      for (const buffer of [this.start, ...Object.values(this.coefficients)]) buffer.dispose()
      for (const buffer of [...this.thoughts, ...this.candidates, ...this.good, ...this.bad]) buffer.dispose()
    }
  }

  private async steps(): Promise<Rollout> {
    const { models, options, plan, ids } = this.batch
    const { backend } = models.main
    const started = performance.now()
    const prompt = backend.upload({ shape: [plan.batch, plan.promptLength], dtype: 'i32', data: ids })
    let state = await this.step('prompt', 0, { ids: prompt })
    prompt.dispose()
    options.onStep?.({ kind: 'prompt', count: plan.promptLength })
    for (let slot = 1; slot <= plan.latents; slot++) {
      state = await this.thought(slot, state)
      options.onStep?.({ kind: 'thought', count: slot })
    }
    const { tokens, answerLogits, firstToken } = await this.answer(state)
    const width = models.main.config.width
    const [thoughts, candidates, good, bad] = await Promise.all(
      [this.thoughts, this.candidates, this.good, this.bad].map((buffers) => this.vectors(buffers, width)),
    )
    requireFinite(models.main.id, ...thoughts!.flat())
    const rows = tokens.map(
      (row, b): RolloutRow => ({
        thoughts: thoughts![b]!,
        ...(options.record && plan.latents > 0 && { candidates: candidates![b]! }),
        ...(options.record &&
          good![b]!.length === plan.latents &&
          plan.latents > 0 && { good: good![b]!, bad: bad![b]! }),
        ...ended(row, this.batch.stopIds),
        ...(answerLogits && { answerLogits: answerLogits[b]! }),
      }),
    )
    const now = performance.now()
    return { rows, ms: { prefill: firstToken - started, decode: now - firstToken } }
  }

  /**
   * Runs one step; caches grow, all other outputs are returned.
   *
   * @param answered tokens so far
   */
  private async step(
    kind: 'prompt' | 'thought' | 'last' | 'token',
    slot: number,
    given: Readonly<Record<string, Buffer>>,
    answered = 0,
  ): Promise<Record<string, Buffer>> {
    const { models, options, plan } = this.batch
    throwIfAborted(options.signal)
    const program = await stepProgram(models, plan, { kind, slot })
    const inputs: Record<string, Buffer> = { start: this.start, ...given }
    const roles = kind === 'token' ? (['main'] as const) : rolesOf(plan)
    for (const role of roles) Object.assign(inputs, this.caches[role]!.inputs(role))
    const own = {
      ...(kind !== 'prompt' && this.lengths(roles.length > 1)),
      ...(plan.sampling && givesToken(plan, kind) && { uniform: this.uniform(answered) }),
    }
    const outputs = await program.run({ ...inputs, ...own })
    for (const buffer of Object.values(own)) buffer.dispose()
    for (const role of roles) this.caches[role]!.advance(this.growth(kind, slot, role))
    const written = new Set(Object.keys(inputs))
    return Object.fromEntries(Object.entries(outputs).filter(([name]) => !written.has(name) || !/\.\d+$/.test(name)))
  }

  /** What decides the next token after `answered` ones: [B]. */
  private uniform(answered: number): Buffer {
    const { models, plan, uniform } = this.batch
    const data = Float32Array.from({ length: plan.batch }, (_, b) => uniform![b * plan.tokens + answered]!)
    return models.main.backend.upload({ shape: [plan.batch], dtype: 'f32', data })
  }

  private lengths(references: boolean): Record<string, Buffer> {
    const { backend } = this.batch.models.main
    const scalar = (value: number): Buffer => backend.upload({ shape: [], dtype: 'i32', data: Int32Array.of(value) })
    return {
      'main.length': scalar(this.caches.main!.length),
      ...(references && { 'references.length': scalar(this.caches.good!.length) }),
    }
  }

  /** Rows that a step writes to a cache. */
  private growth(kind: 'prompt' | 'thought' | 'last' | 'token', slot: number, role: 'main' | 'good' | 'bad'): number {
    const { loop, promptLength } = this.batch.plan
    if (kind === 'prompt') return promptLength
    if (role !== 'main') return referenceGrowth(loop.refinement.search!, slot === 1)
    return kind === 'last' ? 1 + loop.endIds.length : 1
  }

  private async thought(slot: number, state: Record<string, Buffer>): Promise<Record<string, Buffer>> {
    const { plan, noise, given } = this.batch
    const { candidate, goodState, badState } = state
    const previous = slot === 1 ? state.previous : this.thoughts.at(-1)
    const vectors: Record<string, Buffer> = {}
    for (const [name, data] of Object.entries({ noise, given })) {
      if (data) vectors[name] = this.slotVectors(data, slot)
    }
    const outputs = await this.step(slot === plan.latents ? 'last' : 'thought', slot, {
      candidate: candidate!,
      ...(hasPrevious(plan, slot) && { previous: previous! }),
      ...(goodState && { goodState, badState: badState! }),
      ...this.coefficients,
      ...vectors,
    })
    for (const buffer of Object.values(vectors)) buffer.dispose()
    for (const buffer of [goodState, badState, state.previous]) buffer?.dispose()
    this.thoughts.push(outputs.thought!)
    this.candidates.push(candidate!)
    if (outputs.good) this.good.push(outputs.good)
    if (outputs.bad) this.bad.push(outputs.bad)
    return outputs
  }

  /** Vectors of one slot out of [B, T, D]: [B, D]. */
  private slotVectors(data: Float32Array, slot: number): Buffer {
    const { models, plan } = this.batch
    const { width } = models.main.config
    const values = new Float32Array(plan.batch * width)
    for (let b = 0; b < plan.batch; b++) {
      const from = (b * plan.latents + slot - 1) * width
      values.set(data.subarray(from, from + width), b * width)
    }
    return models.main.backend.upload({ shape: [plan.batch, width], dtype: 'f32', data: values })
  }

  private async answer(
    first: Record<string, Buffer>,
  ): Promise<{ tokens: number[][]; answerLogits: Float32Array[] | undefined; firstToken: number }> {
    const { models, options, plan, stopIds } = this.batch
    const { backend, config } = models.main
    const rows: number[][] = Array.from({ length: plan.batch }, () => [])
    const open = new Set(rows.keys())
    let answerLogits: Float32Array[] | undefined
    let firstToken = 0
    let outputs = first
    for (let count = 1; ; count++) {
      const { token, logits } = await this.readStep(outputs, count === 1 && options.answerLogits === true)
      if (count === 1) firstToken = performance.now()
      if (logits) answerLogits = rows.map((_, b) => vectorsOf(logits, b, 1, config.vocabSize)[0]!)
      for (const b of open) {
        rows[b]!.push(token[b]!)
        if (stopIds.has(token[b]!)) open.delete(b)
      }
      for (const name of ['token', 'logits', 'sound']) outputs[name]?.dispose()
      const news = rows.map((row, b) => (row.length === count ? token[b]! : -1))
      options.onStep?.({ kind: 'token', count, tokens: news })
      if (count === plan.tokens || open.size === 0) return { tokens: rows, answerLogits, firstToken }
      const fed = backend.upload({ shape: [plan.batch], dtype: 'i32', data: token })
      outputs = await this.step('token', 0, { token: fed }, count)
      fed.dispose()
    }
  }

  /** The tokens of a step, and its logits where they are wanted. All is asked for together: a device reads back once. */
  private async readStep(
    { token, sound, logits }: Record<string, Buffer>,
    wantsLogits: boolean,
  ): Promise<{ token: Int32Array; logits: Float32Array | undefined }> {
    const { backend, id } = this.batch.models.main
    const [finite, chosen, all] = (await Promise.all([
      backend.download(sound!),
      backend.download(token!),
      wantsLogits ? backend.download(logits!) : undefined,
    ])) as [Float32Array, Int32Array, Float32Array | undefined]
    requireFinite(id, finite)
    return { token: chosen, logits: all }
  }

  /** Buffers [B, D] of the slots, read back: per row, one vector a slot. */
  private async vectors(buffers: readonly Buffer[], width: number): Promise<Float32Array[][]> {
    const { models, plan } = this.batch
    const read = (buffer: Buffer): Promise<HostArray> => models.main.backend.download(buffer)
    const slots = (await Promise.all(buffers.map(read))) as Float32Array[]
    return Array.from({ length: plan.batch }, (_, b) => slots.map((data) => vectorsOf(data, b, 1, width)[0]!))
  }
}
