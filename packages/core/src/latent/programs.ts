/**
 * The thought loop as compiled programs, in two plans with the same numbers.
 *
 * *Trajectory*: prompt, T refined thoughts and N tokens are one graph over growing caches; it is run once and read back
 * once, and is what `export` writes to a file. *Stepped*: one program per kind of step over caches of fixed capacity, for
 * looking inside, for streaming, and where the number of steps is not known beforehand.
 */

import type { Executable, Parameter } from '../backend.ts'
import { ArgumentError } from '../errors.ts'
import { cacheOutputs, cacheSpecs, tracedCache } from '../models/kv-cache.ts'
import type { LanguageModel } from '../models/language-model.ts'
import { TracedDecoder } from '../models/traced.ts'
import { type FixedCache, growingCache } from '../nn/cache.ts'
import * as F from '../tensor/functional.ts'
import type { Graph, Tensor } from '../tensor/graph.ts'
import { trace } from '../tensor/trace.ts'
import type { TensorSpec } from '../tensor/types.ts'
import { isRefined } from './options.ts'
import { chooseToken, type SamplingOptions } from './sampling.ts'
import type { SlotInputs, Thought, ThoughtLoop } from './thought-loop.ts'
import * as Loop from './thought-loop.ts'

/** The models of a rollout on one backend. References are needed by the contrastive search alone. */
export interface ThoughtModels {
  readonly main: LanguageModel
  readonly good?: LanguageModel
  readonly bad?: LanguageModel
}

export type Role = keyof ThoughtModels

/** What is static in a rollout: everything that a graph is traced for. */
export interface RolloutPlan {
  readonly loop: ThoughtLoop
  readonly batch: number
  /** Columns of the left-padded prompts; end tokens included where there are no thoughts. */
  readonly promptLength: number
  readonly latents: number
  readonly tokens: number
  /** Absent where the most probable token is taken. */
  readonly sampling?: SamplingOptions
}

/** The roles that take part: references only where the search asks them. */
export function rolesOf({ loop }: Pick<RolloutPlan, 'loop'>): readonly Role[] {
  return loop.source === 'own' && loop.refinement.search ? ['main', 'good', 'bad'] : ['main']
}

/** @throws ArgumentError if a reference is missing, or its width or backend is another than the main model's */
export function requireModels(models: ThoughtModels, plan: Pick<RolloutPlan, 'loop'>): void {
  const { main } = models
  for (const role of rolesOf(plan)) {
    const model = models[role]
    if (!model) {
      throw new ArgumentError(`the ${role} reference is missing`, {
        where: 'contrastive search',
        expected: 'two reference models, good and bad',
        hint: 'Without references only the residual refinement is possible',
      })
    }
    if (model.config.width !== main.config.width || model.backend !== main.backend) {
      throw new ArgumentError('models do not go together', {
        where: `${role} reference ${model.id}`,
        expected: `width ${main.config.width} on ${main.backend.name}, as ${main.id}`,
        actual: `width ${model.config.width} on ${model.backend.name}`,
        hint: 'References come from the same base model as the main one',
      })
    }
  }
}

/** The weights of all roles, under their prefixes. */
export function weightsOf(models: ThoughtModels, roles: readonly Role[]): Map<string, Parameter> {
  return new Map(roles.flatMap((role) => [...models[role]!.weights(role)]))
}

/** The structure of a plan as text. Step sizes are inputs of the programs, so a sweep over them compiles once. */
function keyOf(plan: RolloutPlan): string {
  const { residual, search, ...rest } = plan.loop.refinement
  const structure = {
    ...rest,
    residual: residual && { ...residual, alpha: 0 },
    search: search && { ...search, step: 0 },
  }
  return JSON.stringify({ ...plan, loop: { ...plan.loop, refinement: structure } })
}

function compiled(models: ThoughtModels, roles: readonly Role[], key: string, graph: () => Graph): Promise<Executable> {
  const serials = roles.map((role) => models[role]!.serial)
  return models.main.programs.get(`${serials}|${key}`, graph, () => weightsOf(models, roles))
}

/** Inputs of one slot, or of all with a slot axis, beside the models' own. */
function slotSpecs(plan: RolloutPlan, width: number, slots: readonly number[]): Record<string, TensorSpec> {
  const { source, refinement } = plan.loop
  const scalar: TensorSpec = { shape: [], dtype: 'f32' }
  const vectors: TensorSpec = { shape: [plan.batch, ...slots, width], dtype: 'f32' }
  const searched = source === 'own' && refinement.search !== undefined
  return {
    ...(source === 'own' && refinement.residual && { alpha: scalar }),
    ...(searched && { step: scalar }),
    ...(needsNoise(plan.loop) && { noise: vectors }),
    ...(source === 'given' && { given: vectors }),
  }
}

/** Whether normal draws are an input: for the noise control and for random directions. */
export function needsNoise({ source, refinement }: ThoughtLoop): boolean {
  return source === 'noise' || (source === 'own' && !!refinement.search && refinement.control === 'randomDirection')
}

/** Where a graph has no such input the operation is off, and its number is never read. */
function slotInputs(inputs: Readonly<Record<string, Tensor>>, slot?: number): SlotInputs {
  const at = (vectors: Tensor | undefined): Tensor | undefined => {
    if (!vectors || slot === undefined) return vectors
    const [batch, , width] = vectors.shape as [number, number, number]
    return F.reshape(F.narrow(vectors, 1, slot - 1, slot), [batch, width])
  }
  const [noise, given] = [at(inputs.noise), at(inputs.given)]
  return { alpha: inputs.alpha ?? 0, step: inputs.step ?? 0, ...(noise && { noise }), ...(given && { given }) }
}

/** 0 for a row of finite logits and NaN for any other: [B, V] → [B]. What the host checks instead of reading them all. */
function soundness(logits: Tensor): Tensor {
  return F.reduceSum(F.mul(logits, 0), [1])
}

const asColumn = (value: Tensor): Tensor => F.reshape(value, [value.shape[0]!, 1, ...value.shape.slice(1)])
const joined = (columns: readonly Tensor[]): Tensor => F.concat(columns.map(asColumn), 1)

// ── one graph ──

export interface TrajectoryOutputs {
  /** Also the logits of the first answer token. */
  readonly answerLogits: boolean
  /** Also candidates and the references' readings. */
  readonly record: boolean
}

/** The whole rollout as one executable. Inputs: ids [B, S], start [B] and those of the slots; outputs by name. */
export function trajectoryProgram(
  models: ThoughtModels,
  plan: RolloutPlan,
  outputs: TrajectoryOutputs,
): Promise<Executable> {
  const roles = rolesOf(plan)
  return compiled(models, roles, `trajectory|${keyOf(plan)}|${JSON.stringify(outputs)}`, () =>
    traceTrajectory(models, plan, outputs),
  )
}

/** tokens [B, N] i32, sound [B]; with thoughts also thoughts [B, T, D], on request candidates, good, bad [B, T, D]. */
function traceTrajectory(models: ThoughtModels, plan: RolloutPlan, wanted: TrajectoryOutputs): Graph {
  const { batch, promptLength } = plan
  const specs: Record<string, TensorSpec> = {
    ids: { shape: [batch, promptLength], dtype: 'i32' },
    start: { shape: [batch], dtype: 'i32' },
    ...slotSpecs(plan, models.main.config.width, [plan.latents]),
    ...(plan.sampling && { uniform: { shape: [batch, plan.tokens], dtype: 'f32' } as const }),
  }
  return trace('trajectory', specs, (inputs) => ({
    outputs: trajectoryOutputs(models, plan, inputs, inputs.start!, wanted, (slot) => slotInputs(inputs, slot)),
  }))
}

/**
 * The body of a trajectory inside an open trace, for graphs with other inputs around it (the exporter's).
 *
 * @param start first real column of each row: [B] i32
 */
export function trajectoryOutputs(
  models: ThoughtModels,
  plan: RolloutPlan,
  { ids, uniform }: Readonly<Record<string, Tensor>>,
  start: Tensor,
  wanted: TrajectoryOutputs,
  slotInputsOf: (slot: number) => SlotInputs,
): Record<string, Tensor> {
  const decoders = Object.fromEntries(
    rolesOf(plan).map((role) => [role, new TracedDecoder(role, models[role]!.config, growingCache(start))]),
  ) as unknown as Loop.LoopModels
  let state = Loop.readPrompt(decoders, plan.loop, ids!)
  const slots: (Thought & { readonly candidate: Tensor })[] = []
  for (let slot = 1; slot <= plan.latents; slot++) {
    const thought = Loop.think(state, plan.loop, slot, slotInputsOf(slot))
    slots.push({ ...thought, candidate: state.candidate })
    if (slot < plan.latents) state = Loop.takeStep(state, thought)
  }
  let answer = Loop.beginAnswer(state, plan.loop, slots.at(-1))
  const first = answer.logits
  const choose = (logits: Tensor, at: number): Tensor =>
    chooseToken(logits, plan.sampling, uniform && F.narrow(uniform, 1, at, at + 1))
  const tokens = [choose(first, 0)]
  let sound = soundness(first)
  while (tokens.length < plan.tokens) {
    answer = Loop.nextLogits(answer.main, tokens.at(-1)!)
    tokens.push(choose(answer.logits, tokens.length))
    sound = F.add(sound, soundness(answer.logits))
  }
  const asked = slots.flatMap(({ reading }) => (reading ? [reading] : []))
  return {
    tokens: joined(tokens),
    sound,
    ...(slots.length > 0 && { thoughts: joined(slots.map(({ thought }) => thought)) }),
    ...(wanted.answerLogits && { answerLogits: first }),
    ...(wanted.record && slots.length > 0 && { candidates: joined(slots.map(({ candidate }) => candidate)) }),
    ...(wanted.record &&
      asked.length === slots.length &&
      asked.length > 0 && {
        good: joined(asked.map(({ good }) => good)),
        bad: joined(asked.map(({ bad }) => bad)),
      }),
  }
}

// ── one program per kind of step ──

/** Slots per row of the main cache and of the references' caches. */
export interface Capacities {
  readonly main: number
  readonly references: number
}

export function capacitiesOf({ promptLength, latents, tokens, loop }: RolloutPlan): Capacities {
  const tail = latents > 0 ? loop.endIds.length : 0
  return { main: promptLength + latents + tail + tokens - 1, references: promptLength + latents }
}

type Kind = 'prompt' | 'thought' | 'last' | 'token'

interface StepGraph {
  readonly kind: Kind
  readonly slot: number
}

/** A step of a rollout. Cache inputs are `ROLE.k.LAYER` and `ROLE.v.LAYER`, taken over by outputs of the same name. */
export function stepProgram(models: ThoughtModels, plan: RolloutPlan, step: StepGraph): Promise<Executable> {
  const roles = step.kind === 'token' ? (['main'] as const) : rolesOf(plan)
  // Slots differ only in being the first and in being refined.
  const active = isRefined(plan.loop.refinement, step.slot)
  const structure = keyOf({ ...plan, tokens: 0, latents: Math.min(plan.latents, 1) })
  const key = [step.kind, step.slot === 1, active, JSON.stringify(capacitiesOf(plan)), structure].join('|')
  return compiled(models, roles, key, () => traceStep(models, plan, step, roles))
}

function traceStep(models: ThoughtModels, plan: RolloutPlan, step: StepGraph, roles: readonly Role[]): Graph {
  const { batch, promptLength } = plan
  const { config } = models.main
  const vector: TensorSpec = { shape: [batch, config.width], dtype: 'f32' }
  const scalar: TensorSpec = { shape: [], dtype: 'i32' }
  const capacities = capacitiesOf(plan)
  const caches = Object.assign(
    {},
    ...roles.map((role) =>
      cacheSpecs(role, models[role]!.config, batch, role === 'main' ? capacities.main : capacities.references),
    ),
  ) as Record<string, TensorSpec>
  const inThought = step.kind === 'thought' || step.kind === 'last'
  const specs: Record<string, TensorSpec> = {
    start: { shape: [batch], dtype: 'i32' },
    ...(step.kind === 'prompt' && { ids: { shape: [batch, promptLength], dtype: 'i32' } }),
    ...(step.kind === 'token' && { token: { shape: [batch], dtype: 'i32' } }),
    ...(plan.sampling && givesToken(plan, step.kind) && { uniform: { shape: [batch], dtype: 'f32' } }),
    ...(step.kind !== 'prompt' && { 'main.length': scalar }),
    ...(inThought && { candidate: vector, ...slotSpecs(plan, config.width, []) }),
    ...(inThought && hasPrevious(plan, step.slot) && { previous: vector }),
    ...(inThought && roles.length > 1 && { 'references.length': scalar, goodState: vector, badState: vector }),
    ...caches,
  }
  return trace(step.kind, specs, (inputs) => {
    const empty = step.kind === 'prompt'
    const decoders = Object.fromEntries(
      roles.map((role) => {
        const length = empty ? 0 : inputs[role === 'main' ? 'main.length' : 'references.length']!
        const cache = tracedCache(role, models[role]!.config, inputs, length, empty)
        return [role, new TracedDecoder(role, models[role]!.config, cache)]
      }),
    ) as unknown as Loop.LoopModels
    const { outputs, after } = stepOutputs(decoders, plan, step, inputs)
    const written: Record<string, Tensor> = {}
    for (const role of roles)
      Object.assign(written, cacheOutputs(role, (after[role] ?? decoders[role])!.cache as FixedCache))
    return {
      outputs: { ...outputs, ...written },
      aliases: Object.fromEntries(Object.keys(caches).map((name) => [name, name])),
    }
  })
}

/** Whether a kind of step ends in a token of the answer. */
export function givesToken({ latents }: RolloutPlan, kind: Kind): boolean {
  return kind === 'last' || kind === 'token' || (kind === 'prompt' && latents === 0)
}

/** Whether a slot has a thought before it that the blend or a reference's cache needs. */
export function hasPrevious({ loop }: RolloutPlan, slot: number): boolean {
  const { residual, search } = loop.refinement
  if (loop.source !== 'own') return loop.source === 'first' && slot > 1
  return slot > 1 ? residual !== undefined || search !== undefined : residual?.first === 'startEmbedding'
}

interface StepOutputs {
  readonly outputs: Record<string, Tensor>
  /** Decoders whose caches have grown. */
  readonly after: Partial<Record<Role, TracedDecoder>>
}

function stepOutputs(
  decoders: Loop.LoopModels,
  plan: RolloutPlan,
  { kind, slot }: StepGraph,
  inputs: Readonly<Record<string, Tensor>>,
): StepOutputs {
  const answered = ({ main, logits }: Loop.Answer): StepOutputs => ({
    outputs: { logits, token: chooseToken(logits, plan.sampling, inputs.uniform), sound: soundness(logits) },
    after: { main },
  })
  if (kind === 'token') return answered(Loop.nextLogits(decoders.main, inputs.token!))
  if (kind === 'prompt') {
    const state = Loop.readPrompt(decoders, plan.loop, inputs.ids!)
    if (plan.latents === 0) return answered(Loop.beginAnswer(state, plan.loop, undefined))
    const { outputs, after } = between(state)
    return { outputs: { ...outputs, ...(state.previous && { previous: state.previous }) }, after }
  }
  const { goodState, badState, previous } = inputs
  const references =
    goodState && badState ? { good: decoders.good!, bad: decoders.bad!, goodState, badState } : undefined
  const state: Loop.LoopState = { main: decoders.main, candidate: inputs.candidate!, previous, references }
  const thought = Loop.think(state, plan.loop, slot, slotInputs(inputs))
  const seen = {
    thought: thought.thought,
    ...(thought.reading && { good: thought.reading.good, bad: thought.reading.bad }),
  }
  const kept = thought.references && { good: thought.references.good, bad: thought.references.bad }
  if (kind === 'last') {
    const { outputs, after } = answered(Loop.beginAnswer(state, plan.loop, thought))
    return { outputs: { ...seen, ...outputs }, after: { ...after, ...kept } }
  }
  const { outputs, after } = between(Loop.takeStep(state, thought))
  return { outputs: { ...seen, ...outputs }, after: { ...after, ...kept } }
}

function between(state: Loop.LoopState): StepOutputs {
  const { references, main, candidate } = state
  return {
    outputs: {
      candidate,
      ...(references && { goodState: references.goodState, badState: references.badState }),
    },
    after: { main, ...(references && { good: references.good, bad: references.bad }) },
  }
}
