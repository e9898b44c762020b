/** Small decoders with random weights: one of each family, the same on every backend. */

import type { Backend, Parameter } from '../src/backend.ts'
import { parseConfig } from '../src/io/config.ts'
import { expectedParameters } from '../src/io/parameters.ts'
import { LanguageModel } from '../src/models/language-model.ts'
import { parameterOf, RandomTensors } from './tensors.ts'

/** Grouped heads, odd widths of heads, tied and untied unembeddings. */
const configs = {
  gpt2: {
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    vocab_size: 37,
    n_embd: 20,
    n_layer: 2,
    n_head: 4,
    n_positions: 64,
    layer_norm_epsilon: 1e-5,
    bos_token_id: 0,
    eos_token_id: 0,
  },
  llama: {
    model_type: 'llama',
    hidden_act: 'silu',
    vocab_size: 37,
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    intermediate_size: 40,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
  },
  qwen2: {
    model_type: 'qwen2',
    hidden_act: 'silu',
    vocab_size: 37,
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    intermediate_size: 31,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: true,
    use_sliding_window: false,
  },
  qwen3: {
    model_type: 'qwen3',
    hidden_act: 'silu',
    vocab_size: 37,
    hidden_size: 24,
    head_dim: 10,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    intermediate_size: 40,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    use_sliding_window: false,
  },
}

export type RandomFamily = keyof typeof configs

export const randomFamilies: readonly RandomFamily[] = ['gpt2', 'llama', 'qwen2', 'qwen3']

/** Equal seeds give equal weights. 64 positions, 37 tokens, two layers. */
export function randomModel(family: RandomFamily, backend: Backend, seed = 101): LanguageModel {
  const config = parseConfig(configs[family], `${family} config.json`)
  const random = new RandomTensors(seed)
  const weights = new Map<string, Parameter>()
  for (const [name, shape] of expectedParameters(config)) {
    const isNorm = shape.length === 1 && name.endsWith('.weight')
    weights.set(name, parameterOf(random.normal(shape, isNorm ? 0.1 : 0.3, isNorm ? 1 : 0)))
  }
  return new LanguageModel(`random ${family}`, config, weights, backend)
}
