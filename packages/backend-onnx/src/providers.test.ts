import { BackendUnavailableError } from '@afterthought/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Engine, Provider } from './engine/protocol.ts'
import { onnx, onnxProviders } from './onnx.ts'
import { chooseProvider, examineProvider } from './providers.ts'

/** An engine on a machine whose providers fail with the given reasons. */
function machine(failures: Partial<Record<Provider, string>>): Engine {
  return { tryProvider: async (provider: Provider) => failures[provider] } as Engine
}

afterEach(() => vi.unstubAllEnvs())

describe('choice', () => {
  it('falls back to the CPU with one line', async () => {
    // Where a GPU is present, too, its adapter fails here.
    const lines: string[] = []
    const engine = machine({ cuda: 'no driver', webgpu: 'no adapter' })
    expect(await chooseProvider(engine, 'auto', (line) => lines.push(line))).toBe('cpu')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^onnx: computing on the CPU \(cuda: .+; webgpu: .+\)$/)
  })

  it('does not take software for a GPU, but computes with it when asked to', async () => {
    vi.stubEnv('VK_DRIVER_FILES', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json')
    if (process.platform === 'linux') {
      expect(await chooseProvider(machine({ cuda: 'none' }), 'auto', () => undefined)).toBe('cpu')
      expect(await examineProvider(machine({}), 'webgpu')).toEqual({
        provider: 'webgpu',
        available: true,
        software: true,
      })
    }
    const lines: string[] = []
    expect(await chooseProvider(machine({}), 'webgpu', (line) => lines.push(line))).toBe('webgpu')
    expect(lines.length).toBe(process.platform === 'linux' ? 1 : 0)
  })

  it('refuses a provider that was asked for and is not there', async () => {
    const failing = chooseProvider(machine({ webgpu: 'no adapter' }), 'webgpu', () => undefined)
    await expect(failing).rejects.toThrow(BackendUnavailableError)
    await expect(failing).rejects.toMatchObject({ where: 'onnx:webgpu', hint: expect.stringContaining('Vulkan') })
    await expect(failing).rejects.toThrow('no adapter')
  })
})

describe('onnx()', () => {
  it('refuses options that mean nothing', async () => {
    await expect(onnx({ threads: 0 })).rejects.toThrow('threads')
    await expect(onnx({ dtype: 'int2' as never })).rejects.toThrow('int2')
    await expect(onnx({ provider: 'tpu' as never })).rejects.toThrow('tpu')
  })

  it('reports every provider, the CPU among them as available', async () => {
    const reports = await onnxProviders()
    expect(reports.map(({ provider }) => provider)).toEqual(['cpu', 'webgpu', 'cuda'])
    expect(reports[0]).toEqual({ provider: 'cpu', available: true })
    for (const { available, reason } of reports) expect(available || reason).toBeTruthy()
  })
})
