/** Whole decoders with random weights: prefill, decoding, latent steps, forks and padding, as the library runs them. */

import type { Backend, Buffer } from '../../src/backend.ts'
import type { KvCache } from '../../src/models/kv-cache.ts'
import type { LanguageModel } from '../../src/models/language-model.ts'
import { reference } from '../../src/reference/backend.ts'
import type { HostTensor } from '../../src/tensor/types.ts'
import { randomFamilies, randomModel } from '../random-model.ts'
import type { Case } from './case.ts'

const CAPACITY = 13

/** Row 1 is left-padded by two. */
const prompts: readonly (readonly number[])[] = [
  [5, 9, 2, 31, 7],
  [8, 1, 30],
]
const starts: Int32Array = Int32Array.of(0, 2)

async function read(backend: Backend, buffer: Buffer): Promise<HostTensor> {
  return { shape: buffer.shape, dtype: buffer.dtype, data: await backend.download(buffer) }
}

async function readCache(model: LanguageModel, cache: KvCache): Promise<Record<string, HostTensor>> {
  const tensors: Record<string, HostTensor> = {}
  for (let layer = 0; layer < model.config.layers; layer++) {
    for (const kind of ['k', 'v'] as const) {
      const data = await cache.read(kind, layer)
      tensors[`${kind}.${layer}`] = { shape: [data.length], dtype: 'f32', data }
    }
  }
  return tensors
}

/** Prefill, one token, three thoughts fed back; then the same from a fork, and from a truncated cache. */
async function rollout(model: LanguageModel): Promise<Record<string, HostTensor>> {
  const { backend } = model
  const seen: Record<string, HostTensor> = {}
  const cache = model.createCache(prompts.length, CAPACITY, starts)
  const prefill = await model.forward(cache, model.uploadIds(prompts, 5), { logits: 'all', hiddenStates: true })
  // Rows of padding attend to nothing and are read by nobody: only the last column counts here.
  seen['prefill logits'] = lastColumn(await read(backend, prefill.logits!))
  for (const [i, state] of prefill.hiddenStates!.entries()) {
    seen[`hidden states ${i}`] = lastColumn(await read(backend, state))
  }
  const token = await model.forward(cache, model.uploadIds([[3], [4]], 1), { logits: 'last' })
  seen['token logits'] = await read(backend, token.logits!)
  const fork = await cache.fork()
  seen.thought = await think(model, cache, token.lastHidden)
  Object.assign(seen, prefixed('cache', await readCache(model, cache)))
  seen['thought from the fork'] = await think(model, fork, token.lastHidden)
  cache.truncate(6)
  seen['thought after truncation'] = await think(model, cache, token.lastHidden)
  cache.dispose()
  fork.dispose()
  await model.dispose()
  return seen
}

async function think(model: LanguageModel, cache: KvCache, state: Buffer): Promise<HostTensor> {
  let thought = state // [B, 1, D]
  for (let i = 0; i < 3; i++) thought = (await model.forward(cache, thought)).lastHidden
  return read(model.backend, thought)
}

/** [B, T, D] → [B, D] */
function lastColumn({ shape, dtype, data }: HostTensor): HostTensor {
  const [batch, rows, width] = shape as [number, number, number]
  const last = new Float32Array(batch * width)
  for (let b = 0; b < batch; b++) {
    const from = ((b + 1) * rows - 1) * width
    last.set((data as Float32Array).subarray(from, from + width), b * width)
  }
  return { shape: [batch, width], dtype, data: last }
}

const prefixed = (prefix: string, tensors: Record<string, HostTensor>): Record<string, HostTensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${prefix} ${name}`, tensor]))

export const modelCases: readonly Case[] = randomFamilies.map((family) => ({
  name: `model: ${family}, prefill with padding, token, thoughts, fork, truncation`,
  async run(trial) {
    const actual = await rollout(randomModel(family, trial.backend))
    const expected = await rollout(randomModel(family, reference()))
    trial.expectAll(actual, expected, 'model', family)
  },
}))
