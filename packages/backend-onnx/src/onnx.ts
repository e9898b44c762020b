/** Opening the backend: which thread, which provider, which form of the weights. */

import { availableParallelism } from 'node:os'
import { ArgumentError, type Backend } from '@afterthought/core'
import { OnnxBackend } from './backend.ts'
import type { Engine, Provider } from './engine/protocol.ts'
import { createRemoteEngine } from './engine/remote.ts'
import { createEngine, disableTelemetry } from './engine/runtime.ts'
import { chooseProvider, examineProvider, type ProviderReport } from './providers.ts'
import { WeightStore } from './weights/store.ts'

export interface OnnxOptions {
  /** Default `auto`: CUDA, else a real GPU through WebGPU, else the CPU. */
  readonly provider?: Provider | 'auto'
  /** How weight matrices are stored; everything is computed in f32. Default `f32`. */
  readonly dtype?: 'f32' | 'int8' | 'int4'
  /** Threads within an operation. Default: as many as the machine runs at once. */
  readonly threads?: number
  /**
   * Copies weights into the layout that the CPU's kernels like best: every session then starts several times slower and
   * holds a copy of its own, instead of mapping the file. Default: only for `int8` and `int4`, whose kernels need it.
   */
  readonly prepack?: boolean
  /** Computes in a thread of its own, so that this one's event loop lives. Default true. */
  readonly worker?: boolean
  /** Gets one line where the choice of provider needs one. */
  readonly onMessage?: (line: string) => void
}

const bitsOf = { f32: undefined, int8: 8, int4: 4 } as const

/**
 * ONNX Runtime as a backend.
 *
 * @throws BackendUnavailableError if onnxruntime-node or the provider asked for is not there; ArgumentError
 */
export async function onnx(options: OnnxOptions = {}): Promise<Backend> {
  const { provider: wanted = 'auto', dtype = 'f32', threads = availableParallelism() } = options
  const { prepack = dtype !== 'f32', worker = true, onMessage = () => undefined } = options
  if (!Number.isInteger(threads) || threads < 1) {
    throw new ArgumentError('bad number of threads', { where: 'onnx', expected: 'at least 1', actual: `${threads}` })
  }
  if (!Object.hasOwn(bitsOf, dtype)) {
    throw new ArgumentError('unknown weight format', { where: 'onnx', expected: 'f32, int8 or int4', actual: dtype })
  }
  const engine = await openEngine(worker)
  try {
    const provider = await chooseProvider(engine, wanted, onMessage)
    return new OnnxBackend(engine, { provider, threads, prepack }, new WeightStore(bitsOf[dtype]))
  } catch (error) {
    await engine.close()
    throw error
  }
}

const providers: readonly Provider[] = ['cpu', 'webgpu', 'cuda']

/** What there is on this machine, every provider tried: for `afterthought doctor`. */
export async function onnxProviders(): Promise<ProviderReport[]> {
  const engine = await openEngine(true)
  try {
    const reports: ProviderReport[] = []
    for (const provider of providers) reports.push(await examineProvider(engine, provider))
    return reports
  } catch (error) {
    const reason = (error as Error).message
    return providers.map((provider) => ({ provider, available: false, reason }))
  } finally {
    await engine.close()
  }
}

async function openEngine(worker: boolean): Promise<Engine> {
  disableTelemetry()
  return worker ? createRemoteEngine() : createEngine()
}
