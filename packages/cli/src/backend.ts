/**
 * The only place of the command that knows backends by name: opening the one asked for, or the best one there is, and
 * trying them all for `doctor`.
 */

import { setImmediate } from 'node:timers/promises'
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
  if (backend === 'reference') return openReference(values)
  if (backend === 'webgpu') throw webgpuNotBuilt()
  if (backend === 'onnx') return openOnnx('auto', values, tell)
  if (backend !== 'auto') return openOnnx(backend.slice('onnx:'.length) as 'cpu' | 'cuda' | 'webgpu', values, tell)
  try {
    return await openOnnx('auto', values, () => undefined)
  } catch (error) {
    if (!(error instanceof BackendUnavailableError)) throw error
    tell(`computing with the reference backend, which is slow: ${error.message}`)
    return openReference(values)
  }
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

function webgpuNotBuilt(): BackendUnavailableError {
  return new BackendUnavailableError('the WebGPU backend is not built yet', {
    where: '--backend webgpu',
    hint: 'onnx:webgpu computes on a GPU through ONNX Runtime',
  })
}

/** What `doctor` says of a backend. */
export interface BackendReport {
  readonly name: string
  readonly available: boolean
  readonly device?: string
  /** A GPU that is really the CPU. */
  readonly software?: boolean
  /** Why it is not available. */
  readonly reason?: string
  /** What makes it available. */
  readonly hint?: string
}

/** Tries every backend for real; `cpu` names the processor. */
export async function examineBackends(cpu: string): Promise<BackendReport[]> {
  return [
    { name: 'reference', available: true, device: cpu },
    ...(await examineOnnx(cpu)),
    { name: 'webgpu', available: false, reason: 'not built yet' },
  ]
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
