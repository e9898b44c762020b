/**
 * A decoder inside a trace: embed, step, probe, unembed. The whole vocabulary that latent methods are written in.
 *
 * It is immutable: a step returns the hidden states and the decoder with a longer cache. The same method code therefore
 * serves the stepped plan (fixed caches, one replay per step) and the trajectory plan (growing caches, one graph).
 */

import type { DecoderConfig } from '../io/config.ts'
import { expectedParameters } from '../io/parameters.ts'
import type { TracedCache } from '../nn/cache.ts'
import { growingCache } from '../nn/cache.ts'
import type { Weights } from '../nn/layers.ts'
import { weightsOf } from '../nn/layers.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant } from '../tensor/trace.ts'
import type { Family, ForwardResult, Wanted } from './family.ts'
import { families } from './registry.ts'

export class TracedDecoder<Cache extends TracedCache = TracedCache> {
  readonly config: DecoderConfig
  readonly cache: Cache
  private readonly source: string | Weights
  private readonly family: Family
  private readonly weights: Weights

  /** @param source prefix of the parameter names (`main`, `good`, `bad`), or the weights themselves: under training */
  constructor(source: string | Weights, config: DecoderConfig, cache: Cache) {
    this.source = source
    this.config = config
    this.cache = cache
    this.family = families[config.family]
    this.weights = typeof source === 'string' ? weightsOf(source, expectedParameters(config)) : source
  }

  /** (ids i32 [B, T]) → [B, T, D] */
  embed(ids: Tensor): Tensor {
    return this.family.embed(this.weights, this.config, ids)
  }

  /** Hidden states of (embeds [B, T, D]) behind the cache; the cache stays as it is. */
  forward(embeds: Tensor, wanted: Wanted = 'all'): ForwardResult {
    return this.family.forward(this.weights, this.config, embeds, this.cache, wanted)
  }

  /** As `forward`, and writes the first `count` rows (default: all) to the cache. */
  step(embeds: Tensor, count: number = embeds.shape[1]!): ForwardResult & { readonly next: TracedDecoder<Cache> } {
    const result = this.forward(embeds)
    return { ...result, next: this.with(this.cache.append(result.fresh, count) as Cache) }
  }

  /** As `step`, where only the last state matters: `state` is [B, D]. */
  read(
    embeds: Tensor,
    count: number = embeds.shape[1]!,
  ): { readonly state: Tensor; readonly next: TracedDecoder<Cache> } {
    const { lastHidden, fresh } = this.forward(embeds, 'last')
    return { state: lastRow(lastHidden), next: this.with(this.cache.append(fresh, count) as Cache) }
  }

  /** Hidden state of a single vector [B, D] at position 0, without any context: [B, D]. */
  alone(vector: Tensor): Tensor {
    const fresh = withoutCache(this.source, this.config, vector.shape[0]!)
    return lastRow(fresh.forward(asRow(vector)).lastHidden)
  }

  /** [..., D] → [..., V] */
  logits(hidden: Tensor): Tensor {
    return this.family.logits(this.weights, this.config, hidden)
  }

  private with(cache: Cache): TracedDecoder<Cache> {
    return new TracedDecoder(this.source, this.config, cache)
  }
}

/** A decoder of `batch` rows with nothing behind it: for embedding, unembedding, and states without context. */
export function withoutCache(source: string | Weights, config: DecoderConfig, batch = 1): TracedDecoder {
  return new TracedDecoder(source, config, growingCache(F.broadcastTo(constant(0, [], 'i32'), [batch])))
}

/** [B, T, D] → [B, D]: the state at the last column. */
export function lastRow(hidden: Tensor): Tensor {
  const [batch, rows, width] = hidden.shape as [number, number, number]
  return F.reshape(F.narrow(hidden, 1, rows - 1, rows), [batch, width])
}

/** [B, D] → [B, 1, D] */
export function asRow(vector: Tensor): Tensor {
  return F.reshape(vector, [vector.shape[0]!, 1, vector.shape[1]!])
}
