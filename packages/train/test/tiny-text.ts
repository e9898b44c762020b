/** A model that reads sums character by character, and sums with their steps: seconds on the reference backend. */

import { type Dataset, Random, readRecords } from '@afterthought/core/data'
import { type ModelFolder, memoryFolder, parseConfig, writeSafetensors } from '@afterthought/core/io'
import { initialWeights } from '../src/weights.ts'

const characters = [...'0123456789+=? #\n<']
const vocabulary = ['<|end|>', '<|unknown|>', ...characters]

const config = {
  model_type: 'gpt2',
  activation_function: 'gelu_new',
  n_embd: 24,
  n_head: 2,
  n_layer: 1,
  n_positions: 128,
  vocab_size: vocabulary.length,
  layer_norm_epsilon: 1e-5,
  eos_token_id: 0,
}

const tokenizer = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<|end|>', special: true }],
  pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
  normalizer: null,
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    unk_token: '<|unknown|>',
  },
}

/** The files of the model's folder. */
export function tinyFiles(): Record<string, string | Uint8Array> {
  const weights = initialWeights(parseConfig(config, 'tiny'), new Random(1))
  return {
    'config.json': JSON.stringify(config),
    'tokenizer.json': JSON.stringify(tokenizer),
    'model.safetensors': writeSafetensors(weights, { format: 'pt' }),
  }
}

export const tinyBase = (): ModelFolder => memoryFolder('tiny', tinyFiles())

/** 1+2+3=? in two steps. */
const sums = [
  [1, 2, 3],
  [4, 1, 2],
  [3, 3, 1],
  [2, 5, 1],
  [1, 1, 1],
].map(([a, b, c]) => ({
  question: `${a}+${b}+${c}=?`,
  steps: [`${a}+${b}=${a! + b!}`, `${a! + b!}+${c}=${a! + b! + c!}`],
  answer: `${a! + b! + c!}`,
}))

export const tinySums: Dataset = readRecords(JSON.stringify(sums), 'sums.json')

export const tinyTextRecipe = {
  seed: 2,
  stages: { mode: 'coconut', thoughtsPerStep: 1, epochsPerStage: 1, maxStage: 2, padToMax: true, uniform: 0 },
  epochs: 4,
  resets: 'epoch',
  markers: { copyOf: '<' },
  optimizer: { decay: 0.01, clip: 1 },
  schedule: { peak: 3e-3 },
  batch: 4,
  accumulate: 2,
  model: 'tiny',
  data: 'sums.json',
  validation: 'sums.json',
} as const
