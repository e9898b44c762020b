import { rollout } from '@afterthought/core'
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
