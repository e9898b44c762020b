import { webgpu } from '@afterthought/backend-webgpu'
import { F, trace } from '@afterthought/core'
import { RandomTensors } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { formatProfile, profile } from './profile.ts'

describe('profile', () => {
  it('times every kernel against a measured roof, and leaves results as they are', async () => {
    await using backend = await webgpu()
    const random = new RandomTensors(1)
    const inputs = { x: random.normal([64, 64]), w: random.normal([64, 64]) }
    const graph = trace('profiled', inputs, ({ x, w }) => ({
      outputs: { y: F.softmax(F.matmul(F.softmax(F.matmul(x!, w!)), w!)) },
    }))
    const executable = await backend.compile(graph, new Map())
    const given = { x: backend.upload(inputs.x), w: backend.upload(inputs.w) }
    const result = await profile(backend.device, executable, given)
    expect(result.kernels.reduce((sum, { count }) => sum + count, 0)).toBe(executable.steps.length)
    expect(result.kernels.map(({ label }) => label.split(' ')[0]).sort()).toEqual(['matmul', 'softmax'])
    for (const kernel of result.kernels) {
      expect(kernel.microseconds).toBeGreaterThan(0)
      expect(kernel.roofline).toBeGreaterThan(0)
    }
    const product = result.kernels.find(({ label }) => label.startsWith('matmul'))!
    expect(product.flops).toBe(2 * 2 * 64 ** 3)
    expect(product.bytes).toBe(2 * 3 * 64 * 64 * 4)
    expect(result.roof.flopsPerSecond).toBeGreaterThan(1e7)
    const table = formatProfile(result).split('\n')
    expect(table).toHaveLength(2 + result.kernels.length)
    expect(table[0]).toMatch(/^kernel.*roofline$/)
  })
})
