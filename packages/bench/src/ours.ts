/** Afterthought as a contender: rollouts through ONNX Runtime on the CPU. */

import { onnx } from '@afterthought/backend-onnx'
import { type Backend, loadModel, type RolloutOptions, rollout, type ThoughtModels } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import type { Contender, Run, Workload } from './contender.ts'
import { onnxRuntimeVersion } from './machine.ts'

export interface OurFolders {
  readonly main: string
  /** References of the contrastive search. */
  readonly good?: string
  readonly bad?: string
}

export interface OurSettings extends Pick<RolloutOptions, 'plan' | 'refinement'> {
  readonly threads: number
  readonly dtype?: 'f32' | 'int8' | 'int4'
  readonly prepack?: boolean
}

export async function openOurs(folders: OurFolders, settings: OurSettings): Promise<Contender> {
  const { threads, dtype, prepack, ...options } = settings
  const backend = await onnx({
    provider: 'cpu',
    threads,
    ...(dtype && { dtype }),
    ...(prepack !== undefined && { prepack }),
  })
  try {
    return new Ours(backend, await loadModels(folders, backend), options)
  } catch (error) {
    await backend.dispose()
    throw error
  }
}

async function loadModels({ main, good, bad }: OurFolders, backend: Backend): Promise<ThoughtModels> {
  const load = async (folder: string) => loadModel(await openFolder(folder), backend)
  return { main: await load(main), ...(good && bad && { good: await load(good), bad: await load(bad) }) }
}

class Ours implements Contender {
  readonly versions: Readonly<Record<string, string>> = { 'onnxruntime-node': onnxRuntimeVersion() }
  private readonly backend: Backend
  private readonly models: ThoughtModels
  private readonly options: Pick<RolloutOptions, 'plan' | 'refinement'>

  constructor(backend: Backend, models: ThoughtModels, options: Pick<RolloutOptions, 'plan' | 'refinement'>) {
    this.backend = backend
    this.models = models
    this.options = options
  }

  async run({ prompt, latents, tokens }: Workload): Promise<Run> {
    const started = performance.now()
    const { rows, ms } = await rollout(this.models, [prompt], { ...this.options, latents, tokens, stopIds: [] })
    const row = rows[0]!
    return {
      ms: performance.now() - started,
      ...(this.options.plan !== 'trajectory' && { decodeMs: ms.decode }),
      tokens: row.tokens,
      thoughts: row.thoughts,
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.backend.dispose()
  }
}
