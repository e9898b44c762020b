/** GPT-2: pre-norm blocks, learned positions, fused qkv, tied head (specs: Radford et al. 2019; names of Hugging Face). */

import type { KeyValues } from '../nn/cache.ts'
import { attend, attentionBias, positionsOf } from '../nn/cache.ts'
import { conv1d, linear, mergeHeads, splitHeads } from '../nn/layers.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import type { Family } from './family.ts'

export const gpt2: Family = {
  embed: (weights, _config, ids) => F.gather(weights('wte.weight'), ids),

  forward(weights, config, embeds, cache, wanted = 'all') {
    const rows = embeds.shape[1]!
    const bias = attentionBias(cache, rows)
    const norm = (x: Tensor, name: string): Tensor =>
      F.layerNorm(x, weights(`${name}.weight`), weights(`${name}.bias`), config.normEpsilon)
    const project = (x: Tensor, name: string): Tensor => conv1d(x, weights(`${name}.weight`), weights(`${name}.bias`))

    let x = F.add(embeds, F.gather(weights('wpe.weight'), positionsOf(cache, rows))) // [B, T, D]
    const hiddenStates: Tensor[] = []
    const fresh: KeyValues[] = []
    for (let layer = 0; layer < config.layers; layer++) {
      hiddenStates.push(x)
      const qkv = splitHeads(project(norm(x, `h.${layer}.ln_1`), `h.${layer}.attn.c_attn`), 3 * config.heads)
      const part = (index: number): Tensor => F.narrow(qkv, 1, index * config.heads, (index + 1) * config.heads)
      const [q, k, v] = [part(0), part(1), part(2)] // [B, H, T, d]
      fresh.push({ k, v })
      const lastOnly = wanted === 'last' && layer === config.layers - 1 && !cache.past
      const mixed = attend(cache, layer, q, { k, v }, bias, lastOnly)
      if (lastOnly) x = F.narrow(x, 1, rows - 1, rows)
      x = F.add(x, project(mergeHeads(mixed), `h.${layer}.attn.c_proj`))
      const wide = F.gelu(project(norm(x, `h.${layer}.ln_2`), `h.${layer}.mlp.c_fc`), 'tanh')
      x = F.add(x, project(wide, `h.${layer}.mlp.c_proj`))
    }
    const lastHidden = norm(x, 'ln_f')
    return { lastHidden, hiddenStates: [...hiddenStates, lastHidden], fresh }
  },

  logits: (weights, config, hidden) => linear(hidden, weights(config.tied ? 'wte.weight' : 'lm_head.weight')),
}
