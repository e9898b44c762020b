/**
 * The only place of the command that knows backends by name: opening the one asked for, or the best one there is, and
 * trying them all for `doctor`.
 */

import { setImmediate } from 'node:timers/promises'
import type { WebGpuBackend } from '@afterthought/backend-webgpu'
import { type Backend, BackendUnavailableError, reference, responsive } from '@afterthought/core'
import type { Values } from './arguments.ts'
import type { backendOptions } from './options.ts'
import { UsageError } from './usage-error.ts'

export type BackendValues = Values<typeof backendOptions>

/**
 * Opens a backend.
 *
 * @param tell gets a line where the choice needs one
 * @throws BackendUnavailableError if the one asked for does not work here; UsageError for a `--dtype` it does not have
 */
export async function openBackend(values: BackendValues, tell: (line: string) => void): Promise<Backend> {
  const { backend = 'auto' } = values
  if (backend === 'auto') return openBest(values, tell)
  if (backend === 'reference') return openReference(values)
  if (backend === 'webgpu') return openWebGpu(values, tell)
  if (backend === 'onnx') return openOnnx('auto', values, tell)
  return openOnnx(backend.slice('onnx:'.length) as 'cpu' | 'cuda' | 'webgpu', values, tell)
}

/** CUDA, else a real GPU through our own kernels, else ONNX Runtime on the CPU, else the reference. */
async function openBest(values: BackendValues, tell: (line: string) => void): Promise<Backend> {
  const { hasGpu } = await import('@afterthought/backend-onnx')
  const onGpu = [...(values.dtype === 'f16' ? [] : [() => openOnnx('cuda', values, ignore)]), () => openGpu(values)]
  // Without a GPU nothing is gained by looking for an adapter, which takes time and may write to stderr.
  const attempts = [...(hasGpu() ? onGpu : []), () => openOnnx('auto', values, ignore)]
  let reason = ''
  for (const attempt of attempts) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof BackendUnavailableError)) throw error
      reason = error.message
    }
  }
  tell(`computing with the reference backend, which is slow: ${reason}`)
  return openReference(values)
}

const ignore = (): void => undefined

/** @throws BackendUnavailableError also where the adapter is software: ONNX Runtime is several times faster there */
async function openGpu(values: BackendValues): Promise<Backend> {
  const backend = await openWebGpu(values, ignore)
  if (!backend.adapter.software) return backend
  await backend.dispose()
  throw new BackendUnavailableError('no GPU, only software on the CPU', { where: 'webgpu' })
}

async function openWebGpu({ dtype }: BackendValues, tell: (line: string) => void): Promise<WebGpuBackend> {
  const { webgpu } = await import('@afterthought/backend-webgpu')
  const backend = await webgpu(dtype ? { dtype } : {})
  if (backend.adapter.software) tell('webgpu: the adapter is software on the CPU; onnx:cpu is several times faster')
  return backend
}

function openReference({ dtype }: BackendValues): Backend {
  if (dtype !== undefined && dtype !== 'f32') throw noSuchDtype('reference', dtype, 'f32')
  return responsive(reference(), setImmediate)
}

async function openOnnx(
  provider: 'auto' | 'cpu' | 'cuda' | 'webgpu',
  { dtype, threads }: BackendValues,
  onMessage: (line: string) => void,
): Promise<Backend> {
  if (dtype === 'f16') throw noSuchDtype('onnx', dtype, 'f32, int8 or int4')
  const { onnx } = await import('@afterthought/backend-onnx')
  return onnx({ provider, onMessage, ...(dtype && { dtype }), ...(threads !== undefined && { threads }) })
}

function noSuchDtype(backend: string, actual: string, expected: string): UsageError {
  return new UsageError(`the ${backend} backend does not store weights so`, { where: '--dtype', expected, actual })
}

/** What `doctor` says of a backend. */
export interface BackendReport {
  readonly name: string
  readonly available: boolean
  readonly device?: string
  /** A GPU that is really the CPU. */
  readonly software?: boolean
  /** What the device has beyond WebGPU's core. */
  readonly features?: readonly string[]
  /** Why it is not available. */
  readonly reason?: string
  /** What makes it available. */
  readonly hint?: string
}

/** Tries every backend for real; `cpu` names the processor. */
export async function examineBackends(cpu: string): Promise<BackendReport[]> {
  return [{ name: 'reference', available: true, device: cpu }, ...(await examineOnnx(cpu)), await examineWebGpu()]
}

async function examineWebGpu(): Promise<BackendReport> {
  const { webgpuStatus } = await import('@afterthought/backend-webgpu')
  const status = await webgpuStatus()
  if (!status.available) return { name: 'webgpu', available: false, reason: status.reason }
  const { name: device, software, features } = status
  return { name: 'webgpu', available: true, device, software, features }
}

async function examineOnnx(cpu: string): Promise<BackendReport[]> {
  try {
    const { onnxProviders } = await import('@afterthought/backend-onnx')
    return (await onnxProviders()).map(({ provider, ...report }) => ({
      name: `onnx:${provider}`,
      ...report,
      ...(report.available && provider === 'cpu' && { device: cpu }),
    }))
  } catch (error) {
    return [{ name: 'onnx', available: false, reason: (error as Error).message }]
  }
}

/** The name of the backend that `auto` takes. */
export async function chosenBackend(): Promise<string> {
  const backend = await openBackend({ backend: 'auto', dtype: undefined, threads: undefined }, () => undefined)
  try {
    return backend.name
  } finally {
    await backend.dispose()
  }
}
