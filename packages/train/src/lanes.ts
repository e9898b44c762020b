/**
 * Several questions about one prompt, side by side: the prompt is read once, and every question, its thoughts and its
 * answer are a *lane* behind it that does not see the others.
 *
 * Reading the facts is most of a step's work, and thinking about them is what is to be learned: K lanes give K times the
 * thoughts for far less than K times the work, and their attention is a product of matrices where that of one question
 * is a product with a vector.
 *
 * The columns behind the prompt run over lanes first: token t of lane k is column t·K + k.
 */

import {
  constant,
  F,
  type KeyValues,
  promptedCache,
  sizeOf,
  type Tensor,
  type TracedCache,
  TracedDecoder,
  type Weights,
} from '@afterthought/core'
import type { DecoderConfig } from '@afterthought/core/io'

const SEQUENCE = 2

/**
 * A cache behind the keys and values of a prompt; rows come and are kept in multiples of `lanes`.
 *
 * @param ends tokens after which each lane is looked at as if it had ended there: i32 [B, K]. The rows, one a lane, are
 *   then at that place
 */
function laneCache(prompt: Prompt, lanes: number, recent?: readonly KeyValues[], ends?: Tensor): TracedCache {
  const { start, past } = prompt
  const [batch, , length] = past[0]!.k.shape as [number, number, number]
  const written = recent?.[0]?.k.shape[SEQUENCE] ?? 0
  const integers = (count: number, at: (index: number) => number): Tensor =>
    constant(
      Int32Array.from({ length: count }, (_, index) => at(index)),
      [count],
      'i32',
    )
  const tokenOf = (column: number): number => Math.floor(column / lanes)

  const visible = (rows: number): Tensor => {
    const columns = written + rows
    const real = F.lessEqual(F.reshape(start, [batch, 1, 1, 1]), F.reshape(F.iota(length), [1, 1, 1, length]))
    const places = (at: (row: number, column: number) => boolean): Tensor => {
      const own = integers(rows * columns, (i) => Number(at(written + Math.floor(i / columns), i % columns)))
      return F.equal(F.reshape(own, [1, 1, rows, columns]), constant(1, [], 'i32'))
    }
    const sameLane = (row: number, column: number): boolean => row % lanes === column % lanes && column <= row
    let behind = places(sameLane)
    if (ends !== undefined) {
      const counted = F.less(integers(columns, tokenOf), F.reshape(ends, [batch, 1, rows, 1]))
      behind = F.and(
        behind,
        F.or(
          counted,
          places((row, column) => row === column),
        ),
      )
    }
    return F.concat(
      [real, behind].map((part) => F.broadcastTo(part, [batch, 1, rows, part.shape[3]!])),
      3,
    )
  }
  const positions = (rows: number): Tensor => {
    const token =
      ends ??
      F.reshape(
        integers(rows, (row) => tokenOf(written + row)),
        [1, rows],
      )
    return F.sub(F.add(token, constant(length, [], 'i32')), F.reshape(start, [batch, 1]))
  }
  const rows = promptedCache(start, past, recent)
  return {
    ...rows,
    layout: { positions, visible },
    append: (fresh, count) => laneCache(prompt, lanes, rows.append(fresh, count).recent),
  }
}

interface Prompt {
  /** First real slot of each row [B] i32. */
  readonly start: Tensor
  /** [B, KV, P, d] per layer */
  readonly past: readonly KeyValues[]
}

/** Questions about one prompt that are being answered side by side: what is taken in goes to the end of every lane. */
export class Lanes {
  private decoder: TracedDecoder
  private readonly rows: number
  private readonly count: number
  private readonly lookAt: (ends: Tensor) => TracedDecoder

  /** @param prompt `ids` [B, P] and `start` [B] */
  constructor(weights: Weights, config: DecoderConfig, prompt: { ids: Tensor; start: Tensor }, count: number) {
    const reader = new TracedDecoder(weights, config, promptedCache(prompt.start))
    const { past } = reader.read(reader.embed(prompt.ids)).next.cache
    const read = { start: prompt.start, past: past! }
    const decoderAt = (recent?: readonly KeyValues[], ends?: Tensor): TracedDecoder =>
      new TracedDecoder(weights, config, laneCache(read, count, recent, ends))
    this.decoder = decoderAt()
    this.lookAt = (ends) => decoderAt(this.decoder.cache.recent, ends)
    this.rows = prompt.ids.shape[0]!
    this.count = count
  }

  /** (tokens i32 [B, T, K]) → [B, T·K, D] */
  embed(tokens: Tensor): Tensor {
    return this.decoder.embed(F.reshape(tokens, [tokens.shape[0]!, sizeOf(tokens.shape.slice(1))]))
  }

  /** The embedding of one token, `count` times in every lane: [B, count·K, D]. */
  repeat(token: number, count: number): Tensor {
    const shape = [this.rows, count, this.count]
    return this.embed(constant(new Int32Array(sizeOf(shape)).fill(token), shape, 'i32'))
  }

  /** Takes in (rows [B, T·K, D]) and gives the state at each of them: [B, T·K, D]. */
  take(rows: Tensor): Tensor {
    const { lastHidden, next } = this.decoder.step(rows)
    this.decoder = next
    return lastHidden
  }

  /** As `take`, and gives only the states at the ends of the lanes: [B, K, D]. */
  takeLast(rows: Tensor): Tensor {
    const columns = rows.shape[1]!
    return F.narrow(this.take(rows), 1, columns - this.count, columns)
  }

  /**
   * States at (rows [B, K, D]) if each lane had ended after so many tokens (ends i32 [B, K]); nothing is taken in:
   * [B, K, D].
   */
  statesBehind(ends: Tensor, rows: Tensor): Tensor {
    return this.lookAt(ends).forward(rows).lastHidden
  }

  /** [..., D] → [..., V] */
  logits(states: Tensor): Tensor {
    return this.decoder.logits(states)
  }
}
