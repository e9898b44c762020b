/**
 * What ONNX Runtime can compute with on this machine, found out by trying: a provider counts once it has run a model.
 *
 * The runtime does not fall back by itself: a session that names an absent provider fails. The order is CUDA, a real GPU
 * through WebGPU, the CPU. A WebGPU adapter that is itself software on the CPU works, and is never better than the CPU.
 */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { BackendUnavailableError } from '@afterthought/core'
import type { Engine, Provider } from './engine/protocol.ts'
import { libraryFolder } from './engine/runtime.ts'

export interface ProviderReport {
  readonly provider: Provider
  /** Whether it has run a model here. */
  readonly available: boolean
  /** A GPU that is really the CPU. */
  readonly software?: boolean
  /** Why it is not available. */
  readonly reason?: string
  /** What makes it available. */
  readonly hint?: string
}

/** @throws BackendUnavailableError if ONNX Runtime itself is missing */
export async function examineProvider(engine: Engine, provider: Provider): Promise<ProviderReport> {
  const hint = hints[provider]
  if (provider === 'cuda' && !hasCudaLibrary()) {
    return { provider, available: false, reason: "ONNX Runtime's CUDA library is not installed", hint }
  }
  const reason = await engine.tryProvider(provider)
  if (reason !== undefined) return { provider, available: false, reason, hint }
  return { provider, available: true, ...(provider === 'webgpu' && { software: !hasGpu() }) }
}

/**
 * The provider asked for, or the best one.
 *
 * @param tell gets one line if the choice is not the first one
 * @throws BackendUnavailableError if the provider asked for is not there
 */
export async function chooseProvider(
  engine: Engine,
  wanted: Provider | 'auto',
  tell: (line: string) => void,
): Promise<Provider> {
  if (wanted !== 'auto') return demand(await examineProvider(engine, wanted), tell)
  const passed: string[] = []
  for (const provider of ['cuda', 'webgpu'] as const) {
    // Where there is no GPU, looking for an adapter takes time and writes to stderr.
    const { available, reason } =
      provider === 'webgpu' && !hasGpu()
        ? { available: false, reason: 'no GPU' }
        : await examineProvider(engine, provider)
    if (available) {
      if (passed.length > 0) tell(`onnx: computing with ${provider} (${passed.join('; ')})`)
      return provider
    }
    passed.push(`${provider}: ${reason}`)
  }
  demand(await examineProvider(engine, 'cpu'), tell)
  tell(`onnx: computing on the CPU (${passed.join('; ')})`)
  return 'cpu'
}

function demand(
  { provider, available, software, reason, hint }: ProviderReport,
  tell: (line: string) => void,
): Provider {
  if (!available) {
    throw new BackendUnavailableError(`the ${provider} provider does not start: ${reason}`, {
      where: `onnx:${provider}`,
      hint,
    })
  }
  if (software) tell('onnx: the WebGPU adapter is software on the CPU; the cpu provider is several times faster')
  return provider
}

const hints: Partial<Record<Provider, string>> = {
  cuda: 'Its install script fetches it: node node_modules/onnxruntime-node/script/install --onnxruntime-node-install (Linux x64, CUDA 12, cuDNN 9)',
  webgpu: 'It needs a GPU with a driver for Vulkan, Metal or Direct3D 12',
}

function hasCudaLibrary(): boolean {
  const folder = libraryFolder()
  if (!folder) return false
  return ['libonnxruntime_providers_cuda.so', 'onnxruntime_providers_cuda.dll'].some((name) =>
    existsSync(join(folder, name)),
  )
}

/**
 * Whether the adapter that WebGPU takes can be a GPU. Adapters cannot be asked through ONNX Runtime, so on Linux the device
 * files tell, and the variables that point Vulkan to a software driver.
 */
export function hasGpu(): boolean {
  if (process.platform !== 'linux') return true
  const { VK_DRIVER_FILES = '', VK_ICD_FILENAMES = '' } = process.env
  if (/swiftshader|lvp|lavapipe/i.test(VK_DRIVER_FILES + VK_ICD_FILENAMES)) return false
  const devices = ['/dev/nvidia0', '/dev/dxg'].some((path) => existsSync(path))
  return devices || (existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD')))
}
