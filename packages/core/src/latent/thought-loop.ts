/**
 * The thought loop as pure traced functions: prompt → thoughts → first answer token. This is Coconut (arXiv 2412.06769)
 * with refinement (arXiv 2506.08552) and controls in its slots, and the chapter to read first.
 *
 * A *slot* is one latent step, counted from 1. Slot t holds the *thought* u_t, which is what the model is fed there; the
 * *candidate* is what the model itself proposes for it, its last hidden state after slot t − 1. Plain Coconut feeds the
 * candidate; refinement moves it; controls put something else in its place. Nothing here knows whether the cache grows
 * inside one graph or lies in buffers between many (see programs.ts), so both plans run the same lines.
 */

import { asRow, lastRow, type TracedDecoder } from '../models/traced.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant } from '../tensor/trace.ts'
import { isRefined, type Refinement } from './options.ts'
import { type Coefficients, type Reading, type References, refine } from './refine.ts'

/** What stands in the slots: the model's own thoughts, or a control in their place. */
export type SlotSource = 'own' | 'zero' | 'noise' | 'first' | 'pause' | 'given'

/** The structure of a rollout; numbers that may change without tracing again are `Coefficients`. */
export interface ThoughtLoop {
  readonly source: SlotSource
  readonly refinement: Refinement
  /** Tokens fed after the last thought, before the answer: Coconut's end marker, for instance. */
  readonly endIds: readonly number[]
  /** The model's latent marker, whose embedding is the pause vector; without one it is the mean embedding. */
  readonly pauseId: number | undefined
}

/** Main model and references, each at the same place of its own cache. */
export interface LoopModels<Decoder extends TracedDecoder = TracedDecoder> {
  readonly main: Decoder
  readonly good?: Decoder
  readonly bad?: Decoder
}

/** Between two slots. */
export interface LoopState {
  readonly main: TracedDecoder
  /** What the model proposes for the next slot: [B, D]. */
  readonly candidate: Tensor
  /** The thought of the slot before, or what the first slot is blended with, if anything: [B, D]. */
  readonly previous: Tensor | undefined
  readonly references: References | undefined
}

/** Per-slot inputs. */
export interface SlotInputs extends Coefficients {
  /** For `given`: [B, D]. */
  readonly given?: Tensor
}

/** Reads the prompts (ids [B, S] i32, left-padded) into all caches. */
export function readPrompt(models: LoopModels, loop: ThoughtLoop, ids: Tensor): LoopState {
  const embeds = models.main.embed(ids) // [B, S, D]
  const { state, next } = models.main.read(embeds)
  return {
    main: next,
    candidate: state,
    previous: loop.refinement.residual?.first === 'startEmbedding' ? lastRow(embeds) : undefined,
    references: readReferences(models, loop, ids, embeds),
  }
}

function readReferences(
  { main, good, bad }: LoopModels,
  { refinement: { search } }: ThoughtLoop,
  ids: Tensor,
  embeds: Tensor,
): References | undefined {
  if (!search || !good || !bad) return undefined
  const read = (model: TracedDecoder): { next: TracedDecoder; state: Tensor } =>
    model.read(search.refEmbeddings === 'main' ? embeds : ownEmbeddings(model, main, ids, embeds))
  const [strong, weak] = [read(good), read(bad)]
  return { good: strong.next, bad: weak.next, goodState: strong.state, badState: weak.state }
}

/** A checkpoint of an earlier stage has no rows for the latent markers: those, and only those, come from the main model. */
function ownEmbeddings(model: TracedDecoder, main: TracedDecoder, ids: Tensor, embeds: Tensor): Tensor {
  const known = model.config.vocabSize
  if (known >= main.config.vocabSize) return model.embed(ids)
  const own = model.embed(F.minimum(ids, known - 1))
  return F.where(F.reshape(F.less(ids, known), [...ids.shape, 1]), own, embeds)
}

export interface Thought {
  /** What is fed: [B, D]. */
  readonly thought: Tensor
  readonly references: References | undefined
  /** What the references said of it, where they were asked: [B, D] each. */
  readonly reading: Reading | undefined
}

/** The thought of `slot`, refined or replaced. */
export function think(state: LoopState, loop: ThoughtLoop, slot: number, inputs: SlotInputs): Thought {
  const first = slot === 1
  if (loop.source !== 'own') {
    return { thought: replacement(state, loop, first, inputs), references: state.references, reading: undefined }
  }
  const active = isRefined(loop.refinement, slot)
  return refine(state.candidate, state.previous, state.references, loop.refinement, inputs, { first, active })
}

function replacement(state: LoopState, loop: ThoughtLoop, first: boolean, inputs: SlotInputs): Tensor {
  const { candidate, main, previous } = state
  switch (loop.source) {
    case 'zero':
      return F.broadcastTo(constant(0), candidate.shape)
    case 'noise':
      return matchedNoise(candidate, inputs.noise!)
    case 'first':
      return first ? candidate : previous!
    case 'pause':
      return F.broadcastTo(pauseVector(main, loop.pauseId), candidate.shape)
    default:
      return inputs.given!
  }
}

/** Normal draws with the mean and deviation of the candidate's own elements, row by row. */
function matchedNoise(candidate: Tensor, noise: Tensor): Tensor {
  const mean = F.mean(candidate, [1], true)
  const centred = F.sub(candidate, mean)
  const deviation = F.sqrt(F.mean(F.mul(centred, centred), [1], true))
  return F.add(F.mul(noise, deviation), mean)
}

/** [1, D] */
function pauseVector(main: TracedDecoder, pauseId: number | undefined): Tensor {
  const ids = pauseId === undefined ? F.iota(main.config.vocabSize) : constant(pauseId, [1], 'i32')
  return F.mean(main.embed(ids), [0], true)
}

/** Feeds `thought` and lets the model propose the next one. */
export function takeStep(state: LoopState, { thought, references }: Thought): LoopState {
  const { state: candidate, next } = state.main.read(asRow(thought))
  return { main: next, candidate, previous: thought, references }
}

export interface Answer {
  readonly main: TracedDecoder
  /** Of the first answer token: [B, V]. */
  readonly logits: Tensor
}

/**
 * Feeds the last thought and the end tokens in one pass, and unembeds: this is the only pass of the loop with logits.
 * Without thoughts the end tokens are part of the prompt, and the candidate is what is unembedded.
 */
export function beginAnswer(state: LoopState, loop: ThoughtLoop, last: Thought | undefined): Answer {
  if (!last) return { main: state.main, logits: state.main.logits(state.candidate) }
  const row = asRow(last.thought)
  const rows = loop.endIds.length === 0 ? row : F.concat([row, tokenRows(state.main, loop.endIds, row.shape[0]!)], 1)
  const { state: final, next } = state.main.read(rows)
  return { main: next, logits: next.logits(final) }
}

/** The same tokens in every row: [B, E, D]. */
function tokenRows(main: TracedDecoder, ids: readonly number[], batch: number): Tensor {
  const rows = main.embed(constant(Int32Array.from(ids), [1, ids.length], 'i32'))
  return F.broadcastTo(rows, [batch, ...rows.shape.slice(1)])
}

/** Feeds `token` ([B] i32) and unembeds. */
export function nextLogits(main: TracedDecoder, token: Tensor): Answer {
  const { state, next } = main.read(main.embed(F.reshape(token, [token.shape[0]!, 1])))
  return { main: next, logits: next.logits(state) }
}
