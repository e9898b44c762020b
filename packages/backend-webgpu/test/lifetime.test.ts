import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { F, trace } from '@afterthought/core'
import { tensorOf } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { requestDevice, webgpu, webgpuStatus } from '../src/index.ts'
import './device.ts'

const x = tensorOf([1, 2, 3])
const doubled = trace('doubled', { x }, (inputs) => ({ outputs: { y: F.mul(inputs.x!, 2) } }))

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** What the process holds once garbage is gone: when it goes by itself depends on how busy the machine is. */
function residentBytes(): number {
  collectGarbage()
  return process.memoryUsage().rss
}

describe('a device', () => {
  it('is described, and called software where it is', async () => {
    const status = await webgpuStatus()
    expect(status).toMatchObject({ available: true })
    if (status.available && /llvmpipe|swiftshader/i.test(status.name)) expect(status.software).toBe(true)
    const missing = await webgpuStatus({ binding: 'no such binding' as 'webgpu' })
    expect(missing).toMatchObject({ available: false, reason: expect.stringContaining('no such binding') })
  })

  it('may be given, and then stays with its owner', async () => {
    const device = await requestDevice()
    const backend = await webgpu({ device })
    await backend.dispose()
    await using again = await webgpu({ device })
    const { y } = await (await again.compile(doubled, new Map())).run({ x: again.upload(x) })
    expect([...(await again.download(y!))]).toEqual([2, 4, 6])
    device.destroy()
  })

  it('that is lost in mid-run is a clear error at every call, and a new one continues', async () => {
    const lost = await webgpu()
    const executable = await lost.compile(doubled, new Map())
    const input = lost.upload(x)
    const { y } = await executable.run({ x: input })
    const pending = lost.download(y!)
    lost.device.destroy()
    await expect(pending).rejects.toMatchObject({ code: 'BACKEND', message: expect.stringMatching(/device is lost/) })
    await expect(executable.run({ x: input })).rejects.toThrow(/doubled: the GPU device is lost/)
    expect(() => lost.upload(x)).toThrow(/device is lost.*Open a new device/)
    await expect(lost.compile(doubled, new Map())).rejects.toThrow(/device is lost/)
    await lost.dispose()
    await using fresh = await webgpu()
    const again = await (await fresh.compile(doubled, new Map())).run({ x: fresh.upload(x) })
    expect([...(await fresh.download(again.y!))]).toEqual([2, 4, 6])
  })

  it('that refuses a command says so', async () => {
    await using backend = await webgpu()
    const executable = await backend.compile(doubled, new Map())
    const input = backend.upload(x)
    // Behind the backend's back: the submission is invalid.
    input.memory.gpu.destroy()
    const { y } = await executable.run({ x: input })
    await expect(backend.download(y!)).rejects.toMatchObject({ code: 'BACKEND' })
  })

  it('cannot hold everything: the tensor is named', async () => {
    await using backend = await webgpu({ kernels: { maxBindingBytes: 1024 } })
    const graph = trace('large', { x: { shape: [300], dtype: 'f32' } }, (inputs) => ({
      outputs: { y: F.neg(inputs.x!) },
    }))
    await expect(backend.compile(graph, new Map())).rejects.toThrow(/large: neg: .*at most 1024 bytes, got 1200/)
  })
})

describe('memory', () => {
  it('stays flat over 10,000 steps with results disposed of', async () => {
    await using backend = await webgpu()
    const graph = trace(
      'step',
      {
        cache: { shape: [64, 8], dtype: 'f32' },
        row: { shape: [1, 8], dtype: 'f32' },
        at: { shape: [], dtype: 'i32' },
      },
      (inputs) => {
        const cache = F.updateSlice(inputs.cache!, inputs.row!, inputs.at!, 0)
        return { outputs: { cache, next: F.tanh(F.add(inputs.row!, 1)) }, aliases: { cache: 'cache' } }
      },
    )
    const executable = await backend.compile(graph, new Map())
    const cache = backend.upload(tensorOf(new Array(512).fill(0), [64, 8]))
    let row = (
      await executable.run({
        cache,
        row: backend.upload(tensorOf(new Array(8).fill(0), [1, 8])),
        at: backend.upload(tensorOf([0], [], 'i32')),
      })
    ).next!
    const steps = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const at = backend.upload(tensorOf([i % 64], [], 'i32'))
        const { next } = await executable.run({ cache, row, at })
        row.dispose()
        at.dispose()
        row = next!
        if (i % 100 === 99) await backend.download(row)
      }
    }
    await steps(2000)
    const [device, host] = [backend.allocatedBytes, residentBytes()]
    await steps(8000)
    expect(backend.allocatedBytes).toBe(device)
    // Bindings keep some hundred bytes per submission (measured 1.8 KB in Node); a leaked buffer would be far more.
    expect((residentBytes() - host) / 2 ** 20).toBeLessThan(64)
  })

  it('comes back when programs and backends are disposed of', async () => {
    const backend = await webgpu()
    using executable = await backend.compile(doubled, new Map())
    using input = backend.upload(x)
    const { y } = await executable.run({ x: input })
    y!.dispose()
    expect(backend.allocatedBytes).toBeGreaterThan(0)
    executable.dispose()
    input.dispose()
    await backend.dispose()
    expect(backend.allocatedBytes).toBe(0)
  })
})
