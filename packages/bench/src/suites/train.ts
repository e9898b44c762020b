/**
 * Training steps against PyTorch: forward, backward, clipping and AdamW as one graph through ONNX Runtime. Two sizes of a
 * small GPT, and the latent step of the symbolic ProsQA recipe, whose gradient runs through six thoughts.
 */

import { onnx } from '@afterthought/backend-onnx'
import { type HostTensor, sizeOf } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { type DecoderConfig, parseConfig } from '@afterthought/core/io'
import {
  type Batch,
  DRAWS,
  initialState,
  initialWeights,
  nextTokenObjective,
  type Objective,
  Trainer,
  thoughtObjective,
} from '@afterthought/train'
import { compare, type Sample, spreadOf } from '../measure.ts'
import { comparisonFields, type Row } from '../report.ts'
import type { Suite, SuiteContext } from './suite.ts'

interface Case {
  readonly config: DecoderConfig
  readonly objective: Objective
  readonly batch: Batch
  readonly setting?: string
}

const cases = { full: ['step-128', 'step-256', 'recipe'], quick: ['quick'] } as const
type CaseName = (typeof cases)['full' | 'quick'][number]

export const train: Suite = {
  summary: 'training steps: 2 layers of width 128 and 256, batch 32 × 160, and six thoughts of the ProsQA recipe',
  peers: ['torch'],
  async *run(context) {
    for (const name of cases[context.profile]) yield await row(name, context)
  },
}

async function row(name: CaseName, context: SuiteContext): Promise<Row> {
  const { threads, peers, repetition, versions, seed } = context
  const random = new Random(seed)
  const { config, objective, batch, setting } = name === 'recipe' ? recipeCase(random) : gptCase(random, name)
  const told = { name: `${name}/torch`, ...(setting && { setting }) }
  context.tell(name)
  const backend = await onnx({ provider: 'cpu', threads })
  const trainer = new Trainer(backend, initialState(initialWeights(config, random)), { clip: 1 })
  const ours = async (): Promise<Sample> => {
    const started = performance.now()
    await trainer.step(objective, [batch], 1e-4)
    return { value: performance.now() - started }
  }
  try {
    for (let i = 0; i < WARM_UP; i++) await ours()
    const peer = peers.get('torch')
    const install = peer?.missing()
    if (!peer || install !== undefined) {
      const values: number[] = []
      while (values.length < repetition.pairs) values.push((await ours()).value)
      const alone = { ...told, ours: { ...spreadOf(values), unit: 'ms' } }
      return install === undefined ? alone : { ...alone, peer: 'torch', skipped: install }
    }
    await using torch = await peer.open(name, threads)
    for (const [library, version] of Object.entries(torch.versions)) versions.set(library, version)
    const theirs = async (): Promise<Sample> => {
      const { ms, foreignCpuMs = 0 } = await torch.run({ prompt: [], latents: 0, tokens: 0 })
      return { value: ms, foreignCpuMs }
    }
    for (let i = 0; i < WARM_UP; i++) await theirs()
    const comparison = await compare(ours, theirs, repetition)
    return { ...told, peer: 'torch', ...comparisonFields(comparison, 'ms') }
  } finally {
    await trainer.dispose()
    await backend.dispose()
  }
}

const WARM_UP = 3

const integers = (random: Random, shape: readonly number[], bound: number): HostTensor => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from({ length: sizeOf(shape) }, () => random.integer(bound)),
})

function gptCase(random: Random, name: CaseName): Case {
  const width = { 'step-256': 256, quick: 32 }[name as string] ?? 128
  const [rows, columns] = name === 'quick' ? [2, 16] : [32, 160]
  const config = parseConfig(
    {
      model_type: 'gpt2',
      activation_function: 'gelu_new',
      n_embd: width,
      n_head: 4,
      n_layer: 2,
      n_positions: 160,
      vocab_size: 64,
      layer_norm_epsilon: 1e-5,
    },
    name,
  )
  const batch = {
    ids: integers(random, [rows, columns], 64),
    labels: integers(random, [rows, columns], 64),
    start: integers(random, [rows], 1),
  }
  // The fastest for both widths of 8 to 32 rows and of 40, 54, 80 and all columns.
  const tile = { rows: 16, columns: columns! / 2 }
  return {
    config,
    objective: nextTokenObjective(config, tile),
    batch,
    setting: `${tile.rows} rows × ${tile.columns} columns together`,
  }
}

function recipeCase(random: Random): Case {
  const [rows, columns, thoughts, vocabulary] = [128, 144, 6, 48]
  const config = parseConfig(
    {
      model_type: 'llama',
      hidden_act: 'silu',
      hidden_size: 128,
      intermediate_size: 256,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      vocab_size: vocabulary,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      tie_word_embeddings: true,
    },
    'recipe',
  )
  const shape = [rows, thoughts, 1, vocabulary]
  const sets = Float32Array.from({ length: rows * thoughts * vocabulary }, () => Number(random.uniform() < 0.1))
  const batch: Batch = {
    ids: integers(random, [rows, columns - 1], 40),
    start: integers(random, [rows], 40),
    asks: integers(random, [rows, 1, 1], 40),
    sets: { shape, dtype: 'f32', data: sets },
    draws: integers(random, [rows, 1], DRAWS),
    hops: integers(random, [rows, 1], thoughts),
    answers: integers(random, [rows, 1], 40),
    others: integers(random, [rows, 1], 40),
  }
  return { config, objective: thoughtObjective(config, { count: 6, slots: 'thoughts', supervised: true }), batch }
}
