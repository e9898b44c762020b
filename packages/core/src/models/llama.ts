/**
 * Llama 3.x, Qwen2/2.5 and Qwen3: pre-norm blocks with RMS norms, rotary positions, grouped heads and a gated MLP. Qwen2
 * adds biases to q, k and v; Qwen3 normalises each head of q and k before the rotation.
 */

import type { DecoderConfig } from '../io/config.ts'
import { ropeInverseFrequencies } from '../io/config.ts'
import type { KeyValues, TracedCache } from '../nn/cache.ts'
import { attend, attentionBias, positionsOf } from '../nn/cache.ts'
import type { Weights } from '../nn/layers.ts'
import { linear, mergeHeads, splitHeads } from '../nn/layers.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant } from '../tensor/trace.ts'
import type { Family } from './family.ts'

/** cos and sin of every new row's angles: [B, T, d/2] each. */
function rotation(config: DecoderConfig, cache: TracedCache, rows: number): { cos: Tensor; sin: Tensor } {
  const frequencies = constant(ropeInverseFrequencies(config))
  const positions = F.cast(positionsOf(cache, rows), 'f32') // [B, T]
  const angles = F.mul(F.reshape(positions, [...positions.shape, 1]), frequencies)
  return { cos: F.cos(angles), sin: F.sin(angles) }
}

export const llama: Family = {
  embed: (weights, _config, ids) => F.gather(weights('model.embed_tokens.weight'), ids),

  forward(weights, config, embeds, cache, wanted = 'all') {
    const rows = embeds.shape[1]!
    const bias = attentionBias(cache, rows)
    const { cos, sin } = rotation(config, cache, rows)
    const norm = (x: Tensor, name: string): Tensor => F.rmsNorm(x, weights(`${name}.weight`), config.normEpsilon)

    let x = embeds // [B, T, D]
    const hiddenStates: Tensor[] = []
    const fresh: KeyValues[] = []
    for (let layer = 0; layer < config.layers; layer++) {
      const name = `model.layers.${layer}`
      hiddenStates.push(x)
      const { q, k, v } = project(weights, config, `${name}.self_attn`, norm(x, `${name}.input_layernorm`))
      const turned = { q: F.rotary(q, cos, sin), k: F.rotary(k, cos, sin) }
      fresh.push({ k: turned.k, v })
      const lastOnly = wanted === 'last' && layer === config.layers - 1 && !cache.past
      const mixed = attend(cache, layer, turned.q, { k: turned.k, v }, bias, lastOnly)
      if (lastOnly) x = F.narrow(x, 1, rows - 1, rows)
      const merged = mergeHeads(mixed) // [B, T, H·d]
      x = F.add(x, linearOf(weights, `${name}.self_attn.o_proj`, merged, config.attentionBias))
      x = F.add(x, mlp(weights, config, `${name}.mlp`, norm(x, `${name}.post_attention_layernorm`)))
    }
    const lastHidden = norm(x, 'model.norm')
    return { lastHidden, hiddenStates: [...hiddenStates, lastHidden], fresh }
  },

  logits: (weights, config, hidden) =>
    linear(hidden, weights(config.tied ? 'model.embed_tokens.weight' : 'lm_head.weight')),
}

function linearOf(weights: Weights, name: string, x: Tensor, biased: boolean): Tensor {
  return linear(x, weights(`${name}.weight`), biased ? weights(`${name}.bias`) : undefined)
}

/** q [B, H, T, d], k and v [B, KV, T, d], before rotation. */
function project(
  weights: Weights,
  config: DecoderConfig,
  name: string,
  x: Tensor,
): { q: Tensor; k: Tensor; v: Tensor } {
  const biased = config.attentionBias || config.qkvBias
  const headsOf = (part: string, heads: number): Tensor =>
    splitHeads(linearOf(weights, `${name}.${part}_proj`, x, biased), heads)
  const perHead = (value: Tensor, part: string): Tensor =>
    config.qkNorm ? F.rmsNorm(value, weights(`${name}.${part}_norm.weight`), config.normEpsilon) : value
  return {
    q: perHead(headsOf('q', config.heads), 'q'),
    k: perHead(headsOf('k', config.kvHeads), 'k'),
    v: headsOf('v', config.kvHeads),
  }
}

function mlp(weights: Weights, config: DecoderConfig, name: string, x: Tensor): Tensor {
  const part = (which: string, value: Tensor): Tensor =>
    linearOf(weights, `${name}.${which}_proj`, value, config.mlpBias)
  return part('down', F.mul(F.silu(part('gate', x)), part('up', x)))
}
