/**
 * Greedy decoding of a language model, in milliseconds per token: for a model folder of one's own (SmolLM2, Qwen, Llama,
 * GPT-2), or for a random GPT-2 where none is given.
 */

import { Random } from '@afterthought/core/data'
import { openFolder } from '@afterthought/core/files'
import { loadConfig } from '@afterthought/core/io'
import type { Contender, Workload } from '../contender.ts'
import { openOurs } from '../ours.ts'
import { gpt2Small, randomGpt2 } from '../random-gpt2.ts'
import { duel, duelsWithPeer, type Suite, tokenTime } from './suite.ts'

/** Tokens of the prompt, and tokens behind the first of the answer. */
const lengths = { full: { prompt: 64, tokens: 32 }, quick: { prompt: 5, tokens: 3 } } as const
const quickShape = { layers: 2, heads: 4, width: 64, vocabSize: 211, positions: 64 }

export const decode: Suite = {
  summary: 'time per token of a model (--model FOLDER; default a random GPT-2): against peers, with low-bit weights',
  peers: ['hf'],
  async *run(context) {
    const { profile, seed, threads } = context
    const folder = context.model ?? (await randomGpt2(profile === 'full' ? gpt2Small : quickShape, seed))
    const { vocabSize } = await loadConfig(await openFolder(folder))
    const random = new Random(seed)
    const { prompt, tokens } = lengths[profile]
    const workload: Workload = {
      prompt: Array.from({ length: prompt }, () => random.integer(vocabSize)),
      latents: 0,
      tokens: tokens + 1,
    }
    const open = (dtype: 'f32' | 'int8' | 'int4'): Promise<Contender> =>
      openOurs({ main: folder }, { threads, plan: 'stepped', dtype, prepack: true })
    await using full = await open('f32')
    for (const peer of context.peers.keys()) {
      yield* duelsWithPeer(peer, full, folder, new Map([['decode', workload]]), tokenTime, context)
    }
    for (const dtype of ['int8', 'int4'] as const) {
      await using packed = await open(dtype)
      const { agreement: _, ...row } = await duel(`${dtype}/f32`, packed, full, workload, tokenTime, context)
      yield row
    }
  },
}
