/** What a decoder family is to the rest of the library: three pure functions over its weights. */

import type { DecoderConfig } from '../io/config.ts'
import type { KeyValues, TracedCache } from '../nn/cache.ts'
import type { Weights } from '../nn/layers.ts'
import type { Tensor } from '../tensor/graph.ts'

export interface ForwardResult {
  /** After the final norm: [B, T, D], or [B, 1, D] where only the last row was wanted. A latent step feeds it back. */
  readonly lastHidden: Tensor
  /** Hugging Face order, L + 1 entries: inputs of every layer, then `lastHidden`. */
  readonly hiddenStates: readonly Tensor[]
  /** New cache rows per layer: [B, KV, T, d]. */
  readonly fresh: readonly KeyValues[]
}

/** Which rows of a pass are read. */
export type Wanted = 'all' | 'last'

export interface Family {
  /** Token embeddings only: (ids [B, T] i32) → [B, T, D]. GPT-2's position embedding is not part of it. */
  embed(weights: Weights, config: DecoderConfig, ids: Tensor): Tensor
  /**
   * (embeds [B, T, D]) behind `cache`, which is read and not written. A prompt of which only the last state is `wanted` need
   * not take its other rows through the last layer, whose keys and values are all that is left to know of them.
   */
  forward(weights: Weights, config: DecoderConfig, embeds: Tensor, cache: TracedCache, wanted?: Wanted): ForwardResult
  /** The unembedding: [..., D] → [..., V]. Latent steps leave it out. */
  logits(weights: Weights, config: DecoderConfig, hidden: Tensor): Tensor
}
