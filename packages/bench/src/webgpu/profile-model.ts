/** Where the time of a model goes on WebGPU: its kernels while it reads a prompt, and for one token behind a cache. */

import { type WeightFormat, webgpu } from '@afterthought/backend-webgpu'
import { loadModel } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { openFolder } from '@afterthought/core/files'
import { gpt2Small, randomGpt2 } from '../random-gpt2.ts'
import { type Profile, profile } from './profile.ts'
import { watched } from './watched.ts'

export interface ProfileOptions {
  /** Default: a random GPT-2 of 124 million parameters. */
  readonly model?: string
  readonly dtype?: WeightFormat
  /** Of the random model and the prompt. Default 0. */
  readonly seed?: number
}

export interface ModelProfile {
  readonly adapter: string
  readonly programs: readonly (Profile & { readonly name: string })[]
}

const PROMPT = 64
const CACHED = 128
const RUNS = 3

/** @throws BackendUnavailableError if there is no adapter, or none with timestamps; what loading a model throws */
export async function profileModel(options: ProfileOptions = {}): Promise<ModelProfile> {
  const { dtype = 'f32', seed = 0 } = options
  const folder = options.model ?? (await randomGpt2(gpt2Small, seed))
  await using backend = await webgpu({ dtype })
  const programs: (Profile & { name: string })[] = []
  let name: string | undefined
  const looking = watched(backend, async (executable, inputs) => {
    if (name) programs.push({ name, ...(await profile(backend.device, executable, inputs, RUNS)) })
    return executable.run(inputs)
  })
  const model = await loadModel(await openFolder(folder), looking)
  const random = new Random(seed)
  const cache = model.createCache(1, CACHED + 1)
  const read = async (count: number, program?: string): Promise<void> => {
    const ids = Array.from({ length: count }, () => random.integer(model.config.vocabSize))
    name = program
    await model.forward(cache, model.uploadIds([ids], count), { logits: 'last' })
  }
  await read(PROMPT, `${PROMPT} tokens`)
  await read(CACHED - PROMPT)
  await read(1, `one token behind ${CACHED}`)
  return { adapter: backend.adapter.name, programs }
}
