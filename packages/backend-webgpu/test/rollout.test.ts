import { type Backend, reference, rollout } from '@afterthought/core'
import { randomModel } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { webgpu } from '../src/index.ts'
import './device.ts'

/** Submissions and mappings of a device from now on. */
function counted(device: GPUDevice): { submissions: number; readBacks: number } {
  const counts = { submissions: 0, readBacks: 0 }
  const { queue } = device
  const submit = queue.submit.bind(queue)
  queue.submit = (buffers) => {
    counts.submissions += 1
    return submit(buffers)
  }
  const createBuffer = device.createBuffer.bind(device)
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor)
    const mapAsync = buffer.mapAsync.bind(buffer)
    buffer.mapAsync = (...range) => {
      counts.readBacks += 1
      return mapAsync(...range)
    }
    return buffer
  }
  return counts
}

const work = {
  latents: 3,
  tokens: 4,
  stopIds: [],
  refinement: { residual: { alpha: 0.3 } },
  answerLogits: true,
} as const
const prompts = [
  [3, 1, 4, 1, 5],
  [9, 2],
]

describe('a rollout', () => {
  it('draws on the device what the reference backend draws, in one submission too', async () => {
    await using backend = await webgpu()
    const sampling = { temperature: 1.3, topK: 20, topP: 0.95, minP: 0.01 }
    const tokensOf = async (on: Backend, plan: 'stepped' | 'trajectory'): Promise<unknown> => {
      const { rows } = await rollout({ main: randomModel('gpt2', on) }, prompts, { ...work, sampling, seed: 5, plan })
      return rows.map(({ tokens }) => tokens)
    }
    const wanted = await tokensOf(reference(), 'stepped')
    expect(await tokensOf(backend, 'stepped')).toEqual(wanted)
    const counts = counted(backend.device)
    expect(await tokensOf(backend, 'trajectory')).toEqual(wanted)
    expect(counts.submissions).toBe(2)
  })

  it('as one program is one submission, and one read-back behind it', async () => {
    await using backend = await webgpu()
    const model = randomModel('gpt2', backend)
    const counts = counted(backend.device)
    await rollout({ main: model }, prompts, { ...work, plan: 'trajectory' })
    expect(counts).toEqual({ submissions: 2, readBacks: 1 })
  })

  it('step by step reads back once per token, and its thoughts at the end', async () => {
    await using backend = await webgpu()
    const model = randomModel('gpt2', backend)
    const counts = counted(backend.device)
    await rollout({ main: model }, prompts, work)
    expect(counts.readBacks).toBe(work.tokens + 1)
    expect(counts.submissions).toBe(1 + work.latents + (work.tokens - 1) + counts.readBacks)
  })
})
