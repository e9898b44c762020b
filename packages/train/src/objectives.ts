/**
 * Objectives of latent reasoners as traced functions: looking up neighbours, thinking, chains of thought in tokens.
 *
 * All read prompts that are padded on the left: `ids` [B, P] and `start` [B]. Behind a prompt stand K questions side by
 * side (`lanes.ts`). Back-propagation runs through every latent step and every key and value unless it is truncated.
 */

import { ArgumentError, constant, F, promptedCache, type Tensor, TracedDecoder } from '@afterthought/core'
import { prosqaTokens } from '@afterthought/core/data'
import type { DecoderConfig } from '@afterthought/core/io'
import { Lanes } from './lanes.ts'
import { maskedMean, meanOf, setLoss, tokenLoss } from './losses.ts'
import { DRAWS, WRITTEN_TOKENS } from './puzzles.ts'
import type { Objective } from './step.ts'

/** What the latent slots hold: the model's own thoughts, or its latent marker in every one (pause as thought). */
export type Slots = 'thoughts' | 'pause'

export interface ThoughtOptions {
  readonly count: number
  readonly slots: Slots
  /** Whether thoughts are supervised; without it only the answer teaches. */
  readonly supervised: boolean
  /** Latent steps that a gradient passes at most: every so many, the fed thought is cut off. Default: all. */
  readonly truncate?: number
}

/** The share of rows with wanted labels (≥ 0) whose greatest logit is the label: (logits [B, N, V], labels [B, N]). */
function accuracy(logits: Tensor, labels: Tensor): Tensor {
  const right = F.cast(F.equal(F.argmax(logits, 2), labels), 'f32')
  return maskedMean(right, F.cast(F.lessEqual(constant(0, [], 'i32'), labels), 'f32'))
}

/** Both options alike as far as `others` differ from `answers`: (logits [B, K, V], i32 [B, K] each). */
const guessLoss = (logits: Tensor, answers: Tensor, others: Tensor): Tensor =>
  F.mul(F.add(tokenLoss(logits, answers), tokenLoss(logits, others)), 0.5)

/**
 * `count` thoughts for every question of a prompt, and the answer: after all of them, and once more after fewer, as
 * `draws` says, because a model that was only ever asked at one place can only be asked there. Thought t is read through
 * the unembedding and taught its set. What lies deeper than the thoughts before the answer is taught as a guess between
 * both options.
 *
 * Batch: `asks` [B, W, K], `sets` [B, N, K, V], `draws`, `hops`, `answers`, `others` [B, K]; without supervision of
 * thoughts only `asks`, `draws` and `answers` matter.
 */
export function thoughtObjective(config: DecoderConfig, options: ThoughtOptions): Objective {
  const { count, slots, supervised, truncate = count + 1 } = options
  return {
    key: `thoughts ${JSON.stringify(options)}`,
    terms(weights, { ids, start, asks, sets, draws, hops, answers, others }) {
      const [batch, width, questions] = asks!.shape as [number, number, number]
      const lanes = new Lanes(weights, config, { ids: ids!, start: start! }, questions)
      const asked = lanes.takeLast(lanes.embed(asks!)) // [B, K, D]
      const states = slots === 'pause' ? pause(lanes, asked, count) : think(lanes, asked, count, truncate)
      const all = F.broadcastTo(constant(count, [], 'i32'), [batch, questions])
      const answerAfter = (thoughts: Tensor): Answer => {
        const ends = F.add(thoughts, constant(width, [], 'i32'))
        const logits = lanes.logits(lanes.statesBehind(ends, lanes.repeat(prosqaTokens.answer, 1))) // [B, K, V]
        if (!supervised) return { loss: tokenLoss(logits, answers!), accuracy: accuracy(logits, answers!) }
        const reached = F.lessEqual(hops!, thoughts)
        return {
          loss: guessLoss(logits, answers!, F.where(reached, answers!, others!)),
          accuracy: accuracy(logits, F.where(reached, answers!, constant(-1, [], 'i32'))),
        }
      }
      const answered = answerAfter(all)
      const early = count > 0 ? answerAfter(earlierEnd(draws!, count)).loss : constant(0)
      const shared = { answer: answered.loss, accuracy: answered.accuracy }
      const answerLoss = F.add(answered.loss, early)
      if (!supervised || count === 0) return { loss: answerLoss, ...shared }
      const logits = lanes.logits(F.concat(states.slice(0, count), 1)) // [B, N·K, V]
      const setsFrom = (t: number): ReturnType<typeof setLoss> => {
        const taught = F.narrow(sets!, 1, t, count)
        const shape = [batch, (count - t) * questions, config.vocabSize]
        return setLoss(F.narrow(logits, 1, t * questions, count * questions), F.reshape(taught, shape))
      }
      const { divergence, mass } = setsFrom(0)
      return { loss: F.add(divergence, answerLoss), divergence, mass, newest: setsFrom(count - 1).mass, ...shared }
    },
  }
}

/** States that propose the first thought, the second and so on, and the one behind the last: [B, K, D] each. */
function think(lanes: Lanes, asked: Tensor, count: number, truncate: number): Tensor[] {
  const states = [asked]
  for (let t = 1; t <= count; t++) {
    const thought = states[t - 1]!
    states.push(lanes.take(t % truncate === 0 ? F.stopGradient(thought) : thought))
  }
  return states
}

/** As `think` with markers for thoughts. They are known beforehand, so all are taken in at once. */
function pause(lanes: Lanes, asked: Tensor, count: number): Tensor[] {
  if (count === 0) return [asked]
  const questions = asked.shape[1]!
  const states = lanes.take(lanes.repeat(prosqaTokens.latent, count)) // [B, N·K, D]
  return [asked, ...Array.from({ length: count }, (_, t) => F.narrow(states, 1, t * questions, (t + 1) * questions))]
}

interface Answer {
  readonly loss: Tensor
  /** Of the questions that can be answered by then. */
  readonly accuracy: Tensor
}

/** Thoughts before the earlier answer, 0 … count − 1 alike, from draws of 0 … `DRAWS` − 1. */
function earlierEnd(draws: Tensor, count: number): Tensor {
  const integer = (value: number): Tensor => constant(value, [], 'i32')
  const least = Array.from({ length: count - 1 }, (_, i) => Math.round(((i + 1) * DRAWS) / count))
  const passed = least.map((draw) => F.cast(F.lessEqual(integer(draw), draws), 'i32'))
  return passed.reduce(F.add, F.mul(draws, integer(0)))
}

/** Neighbour look-up: see `queryBatch`. Batch: `mix` [B, Q, V], `sets` [B, Q + 1, V]. */
export function queryObjective(config: DecoderConfig): Objective {
  return {
    key: 'queries',
    terms(weights, { ids, start, mix, sets }) {
      const decoder = new TracedDecoder(weights, config, promptedCache(start!))
      const queries = F.matmul(mix!, decoder.embed(F.iota(config.vocabSize))) // [B, Q, D]
      const { lastHidden } = decoder.forward(F.concat([decoder.embed(ids!), queries], 1))
      const columns = lastHidden.shape[1]!
      const asked = F.narrow(lastHidden, 1, columns - sets!.shape[1]!, columns)
      const { divergence, mass } = setLoss(decoder.logits(asked), sets!)
      return { loss: divergence, divergence, mass }
    },
  }
}

/**
 * Next-token loss over `labels` [B, W, K], negative where nothing is taught, behind the tokens `asks` [B, W, K]: chains of
 * thought, answers alone. As after fewer thoughts, every question is asked once more after the first `ends` [B, K] of its
 * tokens: its answer is then taught as a guess between `answers` and `others`.
 */
export function tokenObjective(config: DecoderConfig): Objective {
  return {
    key: 'tokens',
    terms(weights, { ids, start, asks, labels, ends, answers, others }) {
      const [batch, width, questions] = asks!.shape as [number, number, number]
      const lanes = new Lanes(weights, config, { ids: ids!, start: start! }, questions)
      const logits = lanes.logits(lanes.take(lanes.embed(asks!))) // [B, W·K, V]
      const wanted = F.reshape(labels!, [batch, width * questions])
      const tokens = tokenLoss(logits, wanted)
      const early = lanes.logits(lanes.statesBehind(ends!, lanes.repeat(prosqaTokens.answer, 1))) // [B, K, V]
      const loss = F.add(tokens, guessLoss(early, answers!, others!))
      return { loss, tokens, accuracy: accuracy(logits, wanted) }
    },
  }
}

/** What goes through a model together. */
export interface Tile {
  /** Of the batch. Default: all. */
  readonly rows?: number
  /** Columns, which attend to those before them and leave out what the causal mask would. Default: all. */
  readonly columns?: number
}

/**
 * Next-token loss over `labels` [B, T] of the tokens `ids` [B, T], negative where nothing is taught: plain text.
 *
 * @param tile the batch in parts, with the same gradient but for rounding. On a CPU parts whose states [rows, columns, D]
 *   fill about a megabyte are faster, because what an operation leaves behind is still in the cache for the next; two
 *   halves of the columns spare a quarter of the attention
 * @throws ArgumentError if that is no number of rows or columns
 */
export function nextTokenObjective(config: DecoderConfig, tile: Tile = {}): Objective {
  const { rows = Number.POSITIVE_INFINITY, columns = Number.POSITIVE_INFINITY } = tile
  const isCount = (extent: number): boolean => extent >= 1 && (extent === Number.POSITIVE_INFINITY || extent % 1 === 0)
  if (!(isCount(rows) && isCount(columns))) {
    throw new ArgumentError('the tile is no part of a batch', {
      where: 'nextTokenObjective',
      expected: 'whole numbers of rows and columns, at least 1',
      actual: `${rows} and ${columns}`,
    })
  }
  return {
    key: `next token ${rows} ${columns}`,
    terms(weights, { ids, start, labels }) {
      const starts = parts(start!, 0, rows)
      const states = parts(ids!, 0, rows).map((group, i) => {
        let decoder = new TracedDecoder(weights, config, promptedCache(starts[i]!, undefined, []))
        const read = parts(group, 1, columns).map((tokens) => {
          const { lastHidden, next } = decoder.step(decoder.embed(tokens))
          decoder = next
          return lastHidden
        })
        return F.concat(read, 1) // [rows, T, D]
      })
      const logits = new TracedDecoder(weights, config, promptedCache(start!)).logits(F.concat(states, 0)) // [B, T, V]
      return { loss: tokenLoss(logits, labels!), accuracy: accuracy(logits, labels!) }
    },
  }
}

/** A tensor in parts of `size` along an axis; the last may be smaller. */
function parts(x: Tensor, axis: number, size: number): Tensor[] {
  const extent = x.shape[axis]!
  const step = Math.min(size, extent)
  return Array.from({ length: Math.ceil(extent / step) }, (_, i) =>
    F.narrow(x, axis, i * step, Math.min((i + 1) * step, extent)),
  )
}

/**
 * What a model writes by itself, token by token: the share of rows whose token behind the first `[A]` is the answer. Only
 * to be evaluated: nothing flows back through a choice. Batch: `asks` [B, W, K], `answers` [B, K].
 */
export function writtenObjective(config: DecoderConfig): Objective {
  return {
    key: 'written',
    terms(weights, { ids, start, asks, answers }) {
      const [batch, , questions] = asks!.shape as [number, number, number]
      const lanes = new Lanes(weights, config, { ids: ids!, start: start! }, questions)
      let states = lanes.takeLast(lanes.embed(asks!)) // [B, K, D]
      let [writing, asked, right] = [constant(1), constant(0), constant(0)] // [B, K] after the first token
      for (let i = 0; i < WRITTEN_TOKENS; i++) {
        const token = F.argmax(lanes.logits(states), 2) // [B, K]
        right = F.add(right, F.mul(asked, F.cast(F.equal(token, answers!), 'f32')))
        const asks = F.cast(F.equal(token, constant(prosqaTokens.answer, [], 'i32')), 'f32')
        asked = F.mul(writing, asks)
        writing = F.mul(writing, F.sub(1, asks))
        states = lanes.take(lanes.embed(F.reshape(token, [batch, 1, questions])))
      }
      const accuracy = meanOf(right)
      return { loss: F.sub(1, accuracy), accuracy }
    },
  }
}
