/**
 * Replays a fixture folder on a backend: plain passes, the KV cache, padded batches, continuous thoughts and their
 * refinement, each through the library's public surface and against numbers of another implementation.
 *
 * Thoughts and answers come from `rollout` in both plans; what refinement is made of (probes, loss, gradients) is spelled
 * out again in a trace, for all slots at once: one left-padded row per slot.
 */

import type { Backend, Buffer, Parameter } from '../src/backend.ts'
import { FormatError, NumericError } from '../src/errors.ts'
import { ropeInverseFrequencies } from '../src/io/config.ts'
import type { ModelFolder } from '../src/io/model-folder.ts'
import { type RefinementOptions, resolveRefinement } from '../src/latent/options.ts'
import { contrastiveGradient, contrastiveLoss, refine } from '../src/latent/refine.ts'
import { type RolloutOptions, type RolloutRow, rollout } from '../src/latent/rollout.ts'
import { describeThoughts } from '../src/latent/trajectory.ts'
import type { LanguageModel } from '../src/models/language-model.ts'
import { lastRow, TracedDecoder } from '../src/models/traced.ts'
import { growingCache, positionsOf } from '../src/nn/cache.ts'
import type { Graph } from '../src/tensor/graph.ts'
import { trace } from '../src/tensor/trace.ts'
import type { HostArray, HostTensor, Shape } from '../src/tensor/types.ts'
import { maxError } from './compare.ts'
import { type Fixture, openFixture } from './fixture-folder.ts'

/** Largest absolute differences allowed; integers are compared exactly. */
export interface FixtureTolerances {
  /** Rotary frequencies. Default 1e-6. */
  readonly frequencies: number
  /** Hidden states, thoughts, embeddings, gradients, losses. Default 5e-4. */
  readonly vectors: number
  /** Default 2e-3. */
  readonly logits: number
}

export interface FixtureCheck {
  /** The tensor of expected.safetensors, and how it was computed where there is more than one way. */
  readonly name: string
  /** Largest absolute difference. `Number.MAX_VALUE` stands for NaN and infinity, which JSON cannot write. */
  readonly maxError: number
  readonly tolerance: number
  readonly ok: boolean
}

export interface FixtureReport {
  readonly folder: string
  readonly backend: string
  readonly ok: boolean
  readonly checks: readonly FixtureCheck[]
}

export interface FixtureOptions {
  readonly tolerances?: Partial<FixtureTolerances>
}

const defaultTolerances: FixtureTolerances = { frequencies: 1e-6, vectors: 5e-4, logits: 2e-3 }

const chapters: Readonly<Record<string, (fixture: Fixture, checks: Checks) => Promise<void>>> = {
  plain: checkPlain,
  batch: checkBatch,
  coconut: checkCoconut,
  refine: checkRefinement,
}

/**
 * Checks every tensor of a fixture folder that the model's family has.
 *
 * @throws FileError, FormatError, ConfigError, NumericError if the folder is damaged or incomplete; BackendError. Wrong,
 *   infinite or undefined results are failed checks
 */
export async function verifyFixture(
  folder: ModelFolder,
  backend: Backend,
  options: FixtureOptions = {},
): Promise<FixtureReport> {
  const fixture = await openFixture(folder, backend)
  const checks = new Checks(fixture.expected, { ...defaultTolerances, ...options.tolerances })
  try {
    for (const [chapter, run] of Object.entries(chapters)) {
      try {
        await run(fixture, checks)
      } catch (error) {
        // The weights were finite when they were read: the backend made this of them.
        if (!(error instanceof NumericError)) throw error
        checks.failRest(chapter)
      }
    }
  } finally {
    for (const model of Object.values(fixture.models)) await model.dispose()
  }
  const { list } = checks
  return { folder: folder.id, backend: backend.name, ok: list.every(({ ok }) => ok), checks: list }
}

type Kind = keyof FixtureTolerances | 'exact'

class Checks {
  readonly list: FixtureCheck[] = []
  private readonly expected: ReadonlyMap<string, HostTensor>
  private readonly tolerances: FixtureTolerances

  constructor(expected: ReadonlyMap<string, HostTensor>, tolerances: FixtureTolerances) {
    this.expected = expected
    this.tolerances = tolerances
  }

  /** @param way how `actual` was computed, where the same tensor is checked in several ways */
  compare(name: string, actual: ArrayLike<number>, kind: Kind, way?: string): void {
    this.compareWith(name, actual, this.expected.get(name)!.data, kind, way)
  }

  /** As `compare`, against values that were derived from the tensor. */
  compareWith(name: string, actual: ArrayLike<number>, wanted: ArrayLike<number>, kind: Kind, way?: string): void {
    const tolerance = kind === 'exact' ? 0 : this.tolerances[kind]
    const error = Math.min(maxError(actual, wanted), Number.MAX_VALUE)
    this.list.push({ name: way ? `${name} (${way})` : name, maxError: error, tolerance, ok: error <= tolerance })
  }

  /** What a chapter did not get to, because its numbers ran out of range before. */
  failRest(chapter: string): void {
    for (const name of this.expected.keys()) {
      if (!name.startsWith(`${chapter}.`) || /_ids$|_mask$/.test(name)) continue
      if (this.list.some((check) => check.name.startsWith(name))) continue
      this.list.push({ name, maxError: Number.MAX_VALUE, tolerance: 0, ok: false })
    }
  }
}

// ── plain passes ──

async function checkPlain({ models: { main }, expected, tokens }: Fixture, checks: Checks): Promise<void> {
  const ids = [...expected.get('plain.input_ids')!.data]
  const cache = main.createCache(1, ids.length)
  const input = main.uploadIds([ids], ids.length)
  const whole = await main.forward(cache, input, { logits: 'all', hiddenStates: true })
  const states = await Promise.all(whole.hiddenStates!.map((state) => take(main, state)))
  checks.compare('plain.hidden_states', joined(states), 'vectors')
  checks.compare('plain.logits', await take(main, whole.logits!), 'logits')
  const unembedded = await main.logits(whole.lastHidden)
  checks.compare('plain.logits', await take(main, unembedded), 'logits', 'unembedding alone')
  checks.compare('plain.last_hidden', await take(main, whole.lastHidden), 'vectors')
  for (const kind of ['k', 'v'] as const) {
    const layers = await Promise.all(Array.from({ length: main.config.layers }, (_, layer) => cache.read(kind, layer)))
    checks.compare(`plain.cache_${kind}`, joined(layers), 'vectors')
  }
  const embeds = await main.embed(input)
  checks.compare('plain.last_hidden', await inTwoParts(main, await take(main, embeds)), 'vectors', 'in two parts')
  input.dispose()
  cache.dispose()
  if (main.config.rope) checks.compare('plain.inv_freq', ropeInverseFrequencies(main.config), 'frequencies')
  for (const { row, plan } of await inBothPlans({ models: { main } }, ids, { latents: 0, tokens })) {
    checks.compare('plain.greedy', row.tokens, 'exact', plan)
  }
}

/** Hidden states of embeddings [T, D] that are given in two passes: the second reads the cache of the first. */
async function inTwoParts(model: LanguageModel, embeds: HostArray): Promise<Float32Array> {
  const { width } = model.config
  const rows = embeds.length / width
  const middle = Math.ceil(rows / 3)
  const cache = model.createCache(1, rows)
  const parts: HostArray[] = []
  for (const [from, to] of [
    [0, middle],
    [middle, rows],
  ] as const) {
    if (from === to) continue
    const data = embeds.slice(from * width, to * width) as Float32Array
    parts.push(await hiddenOf(model, cache, data, [1, to - from, width]))
  }
  cache.dispose()
  return joined(parts)
}

async function checkBatch({ id, models: { main }, expected }: Fixture, checks: Checks): Promise<void> {
  const mask = expected.get('batch.attention_mask')!
  const [rows, columns] = mask.shape as [number, number]
  const starts = startsOf(mask, id)
  const ids = expected.get('batch.input_ids')!
  const cache = main.createCache(rows, columns, starts)
  const input = main.backend.upload(ids)
  const { lastHidden, logits } = await main.forward(cache, input, { logits: 'last' })
  const hidden = await take(main, lastHidden)
  checks.compare('batch.last_hidden', unpadded(hidden, mask), 'vectors')
  checks.compare('batch.logits_last', await take(main, logits!), 'logits')
  for (const buffer of [input, cache]) buffer.dispose()
  const graph = trace('positions', { start: { shape: [rows], dtype: 'i32' } }, ({ start }) => ({
    outputs: { positions: positionsOf(growingCache(start!), columns) },
  }))
  const { positions } = await runOnce(main.backend, graph, [], { start: { shape: [rows], dtype: 'i32', data: starts } })
  checks.compare('batch.position_ids', positions!, 'exact')
}

/** Padding slots in front of each row. @throws FormatError if padding is anywhere else */
function startsOf({ shape, data }: HostTensor, id: string): Int32Array {
  const [rows, columns] = shape as [number, number]
  return Int32Array.from({ length: rows }, (_, b) => {
    const row = [...data.subarray(b * columns, (b + 1) * columns)]
    const start = row.indexOf(1)
    if (start >= 0 && row.every((value, column) => value === (column < start ? 0 : 1))) return start
    throw new FormatError('bad batch.attention_mask', {
      where: `${id}/expected.safetensors`,
      expected: 'zeros, then at least one 1, in every row',
      actual: `${row}`,
    })
  })
}

/** [B, T, D] with the rows of padding set to 0, as the fixture has them: nothing is expected there. */
function unpadded(hidden: HostArray, mask: HostTensor): HostArray {
  const width = hidden.length / mask.data.length
  return hidden.map((value: number, i: number) => (mask.data[Math.floor(i / width)] === 1 ? value : 0))
}

// ── continuous thoughts ──

async function checkCoconut(fixture: Fixture, checks: Checks): Promise<void> {
  const { models, expected, prompt } = fixture
  const { main } = models
  const runs = await inBothPlans(fixture, prompt, fixture)
  for (const { row, plan } of runs) {
    checks.compare('coconut.thoughts', joined(row.thoughts), 'vectors', plan)
    checks.compare('coconut.greedy', row.tokens, 'exact', plan)
  }
  const { row } = runs[0]!
  await checkWholePass('coconut', fixture, row, checks)
  // A thought of plain Coconut is the state before its slot: its reading is that state's prediction.
  const logits = expected.get('coconut.logits')!.data
  const { vocabSize, width } = main.config
  const records = await describeThoughts(main, prompt, row)
  const read = records.flatMap(({ top }) => top.map(({ logit }) => logit))
  const wanted = records.flatMap(({ top, t }) => top.map(({ id }) => logits[(prompt.length + t - 2) * vocabSize + id]!))
  checks.compareWith('coconut.logits', read, wanted, 'logits', 'readings of the thoughts')
  const thoughts = expected.get('coconut.thoughts')!.data
  const norms = records.map((_, i) => Math.hypot(...thoughts.subarray(i * width, (i + 1) * width)))
  const measured = records.map(({ norm }) => norm)
  checks.compareWith('coconut.thoughts', measured, norms, 'vectors', 'norms of the records')
}

/** Feeds tokens and thoughts in a single pass without any loop. */
async function checkWholePass(chapter: string, fixture: Fixture, row: RolloutRow, checks: Checks): Promise<void> {
  const { main } = fixture.models
  const filled = await filledEmbeddings(fixture, row)
  checks.compare(`${chapter}.inputs_embeds`, filled, 'vectors')
  const { width } = main.config
  const rows = filled.length / width
  const cache = main.createCache(1, rows)
  const input = main.backend.upload({ shape: [1, rows, width], dtype: 'f32', data: filled })
  const { lastHidden, logits } = await main.forward(cache, input, { logits: 'all' })
  checks.compare(`${chapter}.last_hidden`, await take(main, lastHidden), 'vectors')
  checks.compare(`${chapter}.logits`, await take(main, logits!), 'logits')
  for (const buffer of [input, cache]) buffer.dispose()
}

/** Embeddings of prompt, thoughts and end tokens: [P + T + E, D]. */
async function filledEmbeddings({ models: { main }, prompt, endIds }: Fixture, row: RolloutRow): Promise<Float32Array> {
  const ids = [...prompt, ...endIds]
  const input = main.uploadIds([ids], ids.length)
  const embeds = await take(main, await main.embed(input))
  input.dispose()
  const border = prompt.length * main.config.width
  return joined([embeds.subarray(0, border), ...row.thoughts, embeds.subarray(border)])
}

// ── refinement ──

/** The point of the option space that fixtures are made at. */
function refinementOf({ eta, sign, alpha }: Fixture): RefinementOptions {
  return { order: 'search-first', search: { eta, sign, refEmbeddings: 'main' }, residual: { alpha } }
}

async function checkRefinement(fixture: Fixture, checks: Checks): Promise<void> {
  const { prompt } = fixture
  const runs = await inBothPlans(fixture, prompt, { ...fixture, refinement: refinementOf(fixture), record: true })
  for (const { row, plan } of runs) {
    checks.compare('refine.raw', joined(row.candidates!), 'vectors', plan)
    checks.compare('refine.good', joined(row.good!), 'vectors', plan)
    checks.compare('refine.bad', joined(row.bad!), 'vectors', plan)
    checks.compare('refine.refined', joined(row.thoughts), 'vectors', plan)
    checks.compare('refine.greedy', row.tokens, 'exact', plan)
  }
  const { row } = runs[0]!
  await checkWholePass('refine', fixture, row, checks)
  await checkFirstSlot(fixture, checks)
  await checkProbes(fixture, row, checks)
}

/** What only the first slot can show, where nothing was refined before: the printed sign, and options of the search. */
async function checkFirstSlot(fixture: Fixture, checks: Checks): Promise<void> {
  const { expected, eta, prompt } = fixture
  const { width } = fixture.models.main.config
  const first = (name: string): HostArray => expected.get(name)!.data.subarray(0, width)
  const search = { eta, sign: 'paper', refEmbeddings: 'main' } as const
  const options = { latents: 1, tokens: 1, endIds: fixture.endIds, record: true }
  for (const { row, plan } of await inBothPlans(fixture, prompt, { ...options, refinement: { search } })) {
    checks.compare('refine.crfs_plus_sign_step0', row.thoughts[0]!, 'vectors', plan)
  }
  const alone = { search: { ...search, refContext: 'none' } } as const
  for (const { row, plan } of await inBothPlans(fixture, prompt, { ...options, refinement: alone })) {
    checks.compareWith('refine.good_solo', row.good![0]!, first('refine.good_solo'), 'vectors', `first slot, ${plan}`)
    checks.compareWith('refine.bad_solo', row.bad![0]!, first('refine.bad_solo'), 'vectors', `first slot, ${plan}`)
  }
  const full = { search: { ...search, gradient: 'full' } } as const
  for (const { row, plan } of await inBothPlans(fixture, prompt, { ...options, refinement: full })) {
    const moved = row.thoughts[0]!.map((value, i) => (value - row.candidates![0]![i]!) / eta)
    checks.compareWith('refine.grad_full', moved, first('refine.grad_full'), 'vectors', `first slot, ${plan}`)
  }
}

/** The parts of a step, for all slots at once. Row t is the left-padded prefix of slot t. */
async function checkProbes(fixture: Fixture, row: RolloutRow, checks: Checks): Promise<void> {
  const { models, latents } = fixture
  const { good, bad } = models
  const { backend, config } = models.main
  const vectors: Shape = [latents, config.width]
  const thought: HostTensor = { shape: vectors, dtype: 'f32', data: joined(row.candidates!) }
  const weights = [...good.weights('good'), ...bad.weights('bad')]
  const probes = await runOnce(backend, traceProbes(fixture), weights, { thought, ...(await prefixes(fixture, row)) })
  checks.compare('refine.good', probes.good!, 'vectors', 'padded probes')
  checks.compare('refine.bad', probes.bad!, 'vectors', 'padded probes')
  checks.compare('refine.crfs', probes.thought!, 'vectors')
  checks.compare('refine.loss', probes.loss!, 'vectors')
  checks.compare('refine.grad_full', probes.gradient!, 'vectors')
  const readings: Record<string, HostTensor> = {
    good: { shape: vectors, dtype: 'f32', data: probes.good! },
    bad: { shape: vectors, dtype: 'f32', data: probes.bad! },
  }
  const detached = await runOnce(backend, traceDetached(vectors), [], { thought, ...readings })
  checks.compare('refine.grad_detached', detached.gradient!, 'vectors')
  for (const [name, model] of Object.entries({ good, bad })) {
    const cache = model.createCache(latents, 1)
    const alone = await hiddenOf(model, cache, thought.data as Float32Array, [latents, 1, config.width])
    cache.dispose()
    checks.compare(`refine.${name}_solo`, alone, 'vectors')
  }
}

/** Embeddings before each slot, [T, P + T − 1, D], and the padding in front of each. */
async function prefixes(fixture: Fixture, row: RolloutRow): Promise<{ prefix: HostTensor; start: HostTensor }> {
  const { prompt, latents } = fixture
  const { width } = fixture.models.main.config
  const filled = await filledEmbeddings(fixture, row)
  const columns = prompt.length + latents - 1
  const data = new Float32Array(latents * columns * width)
  for (let slot = 0; slot < latents; slot++) {
    const padding = latents - 1 - slot
    data.set(filled.subarray(0, (columns - padding) * width), (slot * columns + padding) * width)
  }
  const start = Int32Array.from({ length: latents }, (_, slot) => latents - 1 - slot)
  return {
    prefix: { shape: [latents, columns, width], dtype: 'f32', data },
    start: { shape: [latents], dtype: 'i32', data: start },
  }
}

function traceProbes(fixture: Fixture): Graph {
  const { models, prompt, latents, eta, sign } = fixture
  const { width } = models.main.config
  const refinement = resolveRefinement({ search: { eta, sign } }, width, latents)
  return trace(
    'probes',
    {
      prefix: { shape: [latents, prompt.length + latents - 1, width], dtype: 'f32' },
      start: { shape: [latents], dtype: 'i32' },
      thought: { shape: [latents, width], dtype: 'f32' },
    },
    ({ prefix, start, thought }) => {
      const read = (role: 'good' | 'bad') =>
        new TracedDecoder(role, models[role].config, growingCache(start!)).step(prefix!)
      const [strong, weak] = [read('good'), read('bad')]
      const references = {
        good: strong.next,
        bad: weak.next,
        goodState: lastRow(strong.lastHidden),
        badState: lastRow(weak.lastHidden),
      }
      const coefficients = { alpha: 0, step: refinement.search!.step }
      const place = { first: true, active: true }
      const refined = refine(thought!, undefined, references, refinement, coefficients, place)
      const { good, bad } = refined.reading!
      const loss = contrastiveLoss(thought!, good, bad)
      const gradient = contrastiveGradient(thought!, good, bad)
      return { outputs: { good, bad, thought: refined.thought, loss, gradient } }
    },
  )
}

/** The gradient where the references are constants of the loss. */
function traceDetached(shape: Shape): Graph {
  const vector = { shape, dtype: 'f32' } as const
  return trace('detached', { thought: vector, good: vector, bad: vector }, ({ thought, good, bad }) => ({
    outputs: { gradient: contrastiveGradient(thought!, good!, bad!) },
  }))
}

// ── running ──

interface PlannedRow {
  readonly plan: 'stepped' | 'trajectory'
  readonly row: RolloutRow
}

async function inBothPlans(
  { models }: { readonly models: Parameters<typeof rollout>[0] },
  prompt: readonly number[],
  { latents, tokens, endIds, refinement, record }: RolloutOptions,
): Promise<PlannedRow[]> {
  const rows: PlannedRow[] = []
  for (const plan of ['stepped', 'trajectory'] as const) {
    const options = { latents, ...(tokens && { tokens }), ...(endIds && { endIds }), ...(refinement && { refinement }) }
    const result = await rollout(models, [prompt], { ...options, record: record ?? false, stopIds: [], plan })
    rows.push({ plan, row: result.rows[0]! })
  }
  return rows
}

/** Hidden states of embeddings of the given shape [B, T, D], behind `cache`. */
async function hiddenOf(
  model: LanguageModel,
  cache: ReturnType<LanguageModel['createCache']>,
  data: Float32Array,
  shape: Shape,
): Promise<HostArray> {
  const input = model.backend.upload({ shape, dtype: 'f32', data })
  const { lastHidden } = await model.forward(cache, input)
  input.dispose()
  return take(model, lastHidden)
}

/** Compiles, runs and frees a graph. */
async function runOnce(
  backend: Backend,
  graph: Graph,
  weights: readonly (readonly [string, Parameter])[],
  inputs: Readonly<Record<string, HostTensor>>,
): Promise<Record<string, HostArray>> {
  const program = await backend.compile(graph, new Map(weights))
  const buffers: Record<string, Buffer> = {}
  for (const [name, tensor] of Object.entries(inputs)) buffers[name] = backend.upload(tensor)
  const outputs = await program.run(buffers)
  const host: Record<string, HostArray> = {}
  for (const [name, buffer] of Object.entries(outputs)) host[name] = await backend.download(buffer)
  for (const buffer of [...Object.values(buffers), ...Object.values(outputs)]) buffer.dispose()
  program.dispose()
  return host
}

async function take({ backend }: LanguageModel, buffer: Buffer): Promise<HostArray> {
  const data = await backend.download(buffer)
  buffer.dispose()
  return data
}

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    data.set(part, at)
    at += part.length
  }
  return data
}
