/**
 * A random model of GPT-2's shape, as a Hugging Face folder: what every peer of a suite computes with. Random weights
 * cost the same time as trained ones, and nobody has to download half a gigabyte.
 *
 * Seeded and written once to the user's cache. Weights are normal with GPT-2's own deviation (0.02; Radford et al. 2019),
 * norms near the identity, so that states stay of the size that a trained model has.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { HostTensor } from '@afterthought/core'
import { sizeOf } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { writeFileAtomically } from '@afterthought/core/files'
import { expectedParameters, parseConfig, writeSafetensors } from '@afterthought/core/io'
import { cacheFolder } from './folders.ts'

export interface Gpt2Shape {
  readonly layers: number
  readonly heads: number
  /** D */
  readonly width: number
  /** V */
  readonly vocabSize: number
  readonly positions: number
}

/** GPT-2 with 124 million parameters. */
export const gpt2Small: Gpt2Shape = { layers: 12, heads: 12, width: 768, vocabSize: 50257, positions: 1024 }

const DEVIATION = 0.02

/**
 * Folder of the random model of `shape` and `seed`, written if it is not there yet.
 *
 * @throws FileError if the disk refuses
 */
export async function randomGpt2(shape: Gpt2Shape, seed: number, root: string = cacheFolder('bench')): Promise<string> {
  const { layers, heads, width, vocabSize, positions } = shape
  const folder = join(root, `gpt2-${layers}x${width}-${heads}-${vocabSize}-${positions}-seed${seed}`)
  const config = join(folder, 'config.json')
  if (existsSync(config)) return folder
  const content = configOf(shape)
  await writeFileAtomically(
    join(folder, 'model.safetensors'),
    writeSafetensors(weightsOf(content, seed), { format: 'pt' }),
  )
  // Last, so that a folder with a configuration is complete.
  await writeFileAtomically(config, `${JSON.stringify(content, undefined, 2)}\n`)
  return folder
}

/** The keys of Hugging Face. Dropout is for training; no token ends an answer. */
function configOf({ layers, heads, width, vocabSize, positions }: Gpt2Shape): Record<string, unknown> {
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    n_layer: layers,
    n_head: heads,
    n_embd: width,
    n_positions: positions,
    vocab_size: vocabSize,
    activation_function: 'gelu_new',
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    bos_token_id: null,
    eos_token_id: null,
  }
}

function weightsOf(config: Record<string, unknown>, seed: number): Map<string, HostTensor> {
  const weights = new Map<string, HostTensor>()
  let stream = 0
  for (const [name, shape] of expectedParameters(parseConfig(config, 'config.json'))) {
    const random = new Random(seed, stream++)
    const mean = /ln_\w+\.weight$/.test(name) ? 1 : 0
    const data = new Float32Array(sizeOf(shape))
    for (let i = 0; i < data.length; i++) data[i] = random.normal(mean, DEVIATION)
    weights.set(name, { shape, dtype: 'f32', data })
  }
  return weights
}
