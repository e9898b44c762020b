import { type DecoderConfig, parseConfig } from '@afterthought/core/io'

/** A GPT-2 of two layers for tests of losses: 23 tokens, 64 positions. */
export const tinyGpt: DecoderConfig = parseConfig(
  {
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    n_embd: 16,
    n_head: 2,
    n_layer: 2,
    n_positions: 64,
    vocab_size: 23,
    layer_norm_epsilon: 1e-5,
  },
  'test',
)
