/**
 * The smoke test, one and the same in every runtime: load the embedded default model and its references, think with
 * refinement on WebGPU and on the reference backend, and compare thoughts, logits and answers. Uses nothing but the library
 * and the folders it is handed.
 */

import { type WebGpuOptions, webgpu } from '@afterthought/backend-webgpu'
import { type Backend, loadModel, type Rollout, reference, rollout } from '@afterthought/core'
import { encodeProsqa } from '@afterthought/core/data'
import type { ModelFolder } from '@afterthought/core/io'
import { maxError } from '@afterthought/core/testing'

export interface Folders {
  /** Of packages/cli/models/prosqa. */
  open(name: 'main' | 'good' | 'bad'): Promise<ModelFolder>
}

export interface SmokeReport {
  readonly ok: boolean
  readonly adapter: string
  readonly features: readonly string[]
  /** Largest absolute differences from the reference backend. */
  readonly thoughts: number
  readonly logits: number
  readonly sameTokens: boolean
  /** Compilation and one rollout, and the same rollout again. */
  readonly ms: readonly [first: number, again: number]
}

/** Tolerances for f32. */
const THOUGHTS = 5e-4
const LOGITS = 2e-3

const question =
  'Every fompus is a wumpus. Every wumpus is a yumpus. Sally is a fompus. Every wumpus is a lempus. Bob is a rorpus. ' +
  'Every rorpus is a jelpus. Every jelpus is a gwompus. Sally is a terpus. Is Sally a lempus or gwompus?'

async function think(backend: Backend, folders: Folders): Promise<Rollout> {
  const [main, good, bad] = await Promise.all(
    (['main', 'good', 'bad'] as const).map(async (name) => loadModel(await folders.open(name), backend)),
  )
  const { promptIds, endIds } = encodeProsqa(question)
  // Two rows of different length: left padding is part of the test.
  const prompts = [promptIds, promptIds.slice(3)]
  return rollout({ main: main!, good: good!, bad: bad! }, prompts, {
    latents: 3,
    tokens: 2,
    stopIds: [],
    endIds,
    refinement: { residual: { alpha: 0.3 }, search: { step: 0.05 } },
    plan: 'trajectory',
    answerLogits: true,
  })
}

export async function smoke(folders: Folders, options: WebGpuOptions = {}): Promise<SmokeReport> {
  const expected = await think(reference(), folders)
  const backend = await webgpu(options)
  const start = performance.now()
  const actual = await think(backend, folders)
  const middle = performance.now()
  await think(backend, folders)
  const end = performance.now()
  const differences = actual.rows.map((row, b) => {
    const wanted = expected.rows[b]!
    return {
      thoughts: Math.max(...row.thoughts.map((thought, t) => maxError(thought, wanted.thoughts[t]!))),
      logits: maxError(row.answerLogits!, wanted.answerLogits!),
      sameTokens: `${row.tokens}` === `${wanted.tokens}`,
    }
  })
  const thoughts = Math.max(...differences.map((row) => row.thoughts))
  const logits = Math.max(...differences.map((row) => row.logits))
  const sameTokens = differences.every((row) => row.sameTokens)
  const features = ['shader-f16', 'subgroups', 'timestamp-query'].filter((name) => backend.device.features.has(name))
  const report = {
    ok: thoughts <= THOUGHTS && logits <= LOGITS && sameTokens,
    adapter: backend.adapter.name,
    features,
    thoughts,
    logits,
    sameTokens,
    ms: [Math.round(middle - start), Math.round(end - middle)] as const,
  }
  await backend.dispose()
  return report
}
