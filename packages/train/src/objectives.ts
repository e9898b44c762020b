/**
 * Objectives of latent reasoners as traced functions: looking up neighbours, thinking, chains of thought in tokens.
 *
 * All read prompts that are padded on the left: `ids` [B, P] and `start` [B]. Back-propagation runs through every latent
 * step and every key and value unless it is truncated.
 */

import { asRow, constant, F, lastRow, promptedCache, type Tensor, TracedDecoder } from '@afterthought/core'
import { prosqaTokens } from '@afterthought/core/data'
import type { DecoderConfig } from '@afterthought/core/io'
import { maskedMean, meanOf, setLoss, tokenLoss } from './losses.ts'
import { CHAIN_TOKENS } from './puzzles.ts'
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

/** The share of rows with `wanted` labels (≥ 0) whose greatest logit is the label. */
function accuracy(logits: Tensor, labels: Tensor): Tensor {
  const right = F.cast(F.equal(F.argmax(logits, 1), labels), 'f32')
  return maskedMean(right, F.cast(F.lessEqual(constant(0, [], 'i32'), labels), 'f32'))
}

/**
 * `count` thoughts, then the answer. Thought t is read through the unembedding and taught its set; the answer counts for
 * questions that so many thoughts can reach. Batch: `sets` [B, N, V], `hops` [B], `answers` [B].
 */
export function thoughtObjective(config: DecoderConfig, options: ThoughtOptions): Objective {
  const { count, slots, supervised, truncate = count + 1 } = options
  return {
    key: `thoughts ${JSON.stringify(options)}`,
    terms(weights, { ids, start, sets, hops, answers }) {
      const batch = ids!.shape[0]!
      let decoder = new TracedDecoder(weights, config, promptedCache(start!))
      const take = (rows: Tensor): Tensor => {
        const { state, next } = decoder.read(rows)
        decoder = next as typeof decoder
        return state
      }
      const tokens = (id: number): Tensor => decoder.embed(constant(new Int32Array(batch).fill(id), [batch, 1], 'i32'))
      const states = [take(decoder.embed(ids!))] // [B, D]: the state that proposes thought t, from t = 1
      for (let t = 1; t <= count; t++) {
        const thought = t % truncate === 0 ? F.stopGradient(states[t - 1]!) : states[t - 1]!
        states.push(take(slots === 'thoughts' ? asRow(thought) : tokens(prosqaTokens.latent)))
      }
      const answer = asRow(take(tokens(prosqaTokens.answer)))
      const read = supervised ? states.slice(0, count).map(asRow) : []
      const logits = decoder.logits(F.concat([...read, answer], 1)) // [B, count + 1, V]
      const answerLogits = lastRow(logits)
      const reachable = supervised ? F.where(F.lessEqual(hops!, count), answers!, constant(-1, [], 'i32')) : answers!
      const answered = tokenLoss(answerLogits, reachable)
      const shared = { answer: answered, accuracy: accuracy(answerLogits, reachable) }
      if (read.length === 0) return { loss: answered, ...shared }
      const taught = F.narrow(sets!, 1, 0, count)
      const { divergence, mass } = setLoss(F.narrow(logits, 1, 0, count), taught)
      const newest = setLoss(F.narrow(logits, 1, count - 1, count), F.narrow(sets!, 1, count - 1, count))
      return { loss: F.add(divergence, answered), divergence, mass, newest: newest.mass, ...shared }
    },
  }
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

/** Next-token loss over `labels` [B, T], negative where nothing is taught: chains of thought, answers alone, plain text. */
export function tokenObjective(config: DecoderConfig): Objective {
  return {
    key: 'tokens',
    terms(weights, { ids, start, labels }) {
      const decoder = new TracedDecoder(weights, config, promptedCache(start!))
      const logits = decoder.logits(decoder.forward(decoder.embed(ids!)).lastHidden)
      const rows = F.reshape(logits, [labels!.shape[0]! * labels!.shape[1]!, config.vocabSize])
      return { loss: tokenLoss(logits, labels!), accuracy: accuracy(rows, F.reshape(labels!, [rows.shape[0]!])) }
    },
  }
}

/**
 * What a model writes by itself, token by token: the share of rows whose token behind the first `[A]` is the answer. Only
 * to be evaluated: nothing flows back through a choice. Batch: `answers` [B].
 */
export function writtenObjective(config: DecoderConfig): Objective {
  return {
    key: 'written',
    terms(weights, { ids, start, answers }) {
      const fresh = new TracedDecoder(weights, config, promptedCache(start!))
      let { state, next } = fresh.read(fresh.embed(ids!))
      let [writing, asked, right] = [constant(1), constant(0), constant(0)] // [B] after the first token
      for (let i = 0; i < CHAIN_TOKENS; i++) {
        const token = F.argmax(next.logits(state), 1) // [B]
        right = F.add(right, F.mul(asked, F.cast(F.equal(token, answers!), 'f32')))
        const asks = F.cast(F.equal(token, constant(prosqaTokens.answer, [], 'i32')), 'f32')
        asked = F.mul(writing, asks)
        writing = F.mul(writing, F.sub(1, asks))
        ;({ state, next } = next.read(next.embed(F.reshape(token, [token.shape[0]!, 1]))))
      }
      const accuracy = meanOf(right)
      return { loss: F.sub(1, accuracy), accuracy }
    },
  }
}
