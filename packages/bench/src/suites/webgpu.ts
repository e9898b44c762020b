/**
 * Our WebGPU kernels: what a dispatch costs the thread of JavaScript, and a GPT-2 block against jax-js, both on the same
 * adapter. On a software adapter processor time is what kernels cost; on a GPU it is the time that passes.
 */

import { webgpu } from '@afterthought/backend-webgpu'
import { loadModel, rollout } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { openFolder } from '@afterthought/core/files'
import { spreadOf } from '../measure.ts'
import { randomGpt2 } from '../random-gpt2.ts'
import type { Row } from '../report.ts'
import { openBlock } from '../webgpu/block.ts'
import { watched } from '../webgpu/watched.ts'
import { duelsWithPeer, type Measure, type Suite, type SuiteContext, wallTime } from './suite.ts'

const processorTime: Measure = { unit: 'ms CPU', value: ({ cpuMs }) => cpuMs ?? Number.NaN }

export const webgpuSuite: Suite = {
  summary: 'our WebGPU kernels: JavaScript per dispatch, one GPT-2 block for a token and for 64',
  peers: ['jax-js'],
  async *run(context) {
    yield await dispatchRow(context)
    for (const name of ['block', 'prefill64'] as const) {
      const work = context.profile === 'full' ? name : (`quick-${name}` as const)
      await using ours = await openBlock(work)
      const measure = ours.software ? processorTime : wallTime
      const nothing = { prompt: [], latents: 0, tokens: 0 }
      for (const peer of context.peers.keys()) {
        yield* duelsWithPeer(peer, ours, work, new Map([[name, nothing]]), measure, context)
      }
    }
  },
}

/** Runs that count, behind as many that warm up. */
const runs = { full: 20, quick: 3 } as const

/**
 * Of a whole trajectory as one submission: microseconds of `run` per dispatch, from the check of its inputs to the return
 * of `submit`. The model is narrow, so that the device is idle and the processor free for it.
 */
async function dispatchRow({ profile, seed, tell }: SuiteContext): Promise<Row> {
  tell('dispatch')
  const layers = profile === 'full' ? 12 : 2
  const folder = await randomGpt2({ layers, heads: 4, width: 64, vocabSize: 211, positions: 64 }, seed)
  const costs: number[] = []
  let dispatches = 0
  await using backend = await webgpu()
  const timing = watched(backend, (executable, inputs) => {
    const started = performance.now()
    const results = executable.run(inputs)
    dispatches = executable.steps.length
    costs.push(((performance.now() - started) * 1000) / dispatches)
    return results
  })
  const model = await loadModel(await openFolder(folder), timing)
  const random = new Random(seed)
  const prompt = Array.from({ length: 20 }, () => random.integer(model.config.vocabSize))
  const work = { latents: 6, tokens: 8, stopIds: [], plan: 'trajectory' } as const
  for (let run = 0; run < 2 * runs[profile]; run++) await rollout({ main: model }, [prompt], work)
  const setting = `20+6+8 of ${layers} layers, ${dispatches} dispatches, ${backend.adapter.name}`
  return { name: 'dispatch', ours: { ...spreadOf(costs.slice(-runs[profile])), unit: 'µs' }, setting }
}
