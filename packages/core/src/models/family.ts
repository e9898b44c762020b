/** What a decoder family is to the rest of the library: three pure functions over its weights. */

import type { DecoderConfig } from '../io/config.ts'
import type { KeyValues, TracedCache } from '../nn/cache.ts'
import type { Weights } from '../nn/layers.ts'
import type { Tensor } from '../tensor/graph.ts'

export interface ForwardResult {
  /** After the final norm: [B, T, D]. This is what a latent step feeds back. */
  readonly lastHidden: Tensor
  /** Hugging Face order, L + 1 entries: inputs of every layer, then `lastHidden`. */
  readonly hiddenStates: readonly Tensor[]
  /** New cache rows per layer: [B, KV, T, d]. */
  readonly fresh: readonly KeyValues[]
}

export interface Family {
  /** Token embeddings only: (ids [B, T] i32) → [B, T, D]. GPT-2's position embedding is not part of it. */
  embed(weights: Weights, config: DecoderConfig, ids: Tensor): Tensor
  /** (embeds [B, T, D]) behind `cache`, which is read and not written. */
  forward(weights: Weights, config: DecoderConfig, embeds: Tensor, cache: TracedCache): ForwardResult
  /** The unembedding: [..., D] → [..., V]. Latent steps leave it out. */
  logits(weights: Weights, config: DecoderConfig, hidden: Tensor): Tensor
}
