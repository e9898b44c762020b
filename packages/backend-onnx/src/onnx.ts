/** Opening the backend: which provider, which weights, which thread. */

import { availableParallelism } from 'node:os'
import type { Backend } from '@afterthought/core'
import { OnnxBackend } from './backend.ts'
import { createEngine } from './engine/engine.ts'
import type { Engine, Provider } from './engine/protocol.ts'
import { WeightStore } from './weights/store.ts'

export interface OnnxOptions {
  readonly provider?: Provider
  readonly dtype?: 'f32' | 'int8' | 'int4'
  readonly threads?: number
  readonly prepack?: boolean
  readonly worker?: boolean
}

export async function onnx(options: OnnxOptions = {}): Promise<Backend> {
  const { provider = 'cpu', dtype = 'f32', threads = availableParallelism(), prepack = dtype !== 'f32' } = options
  const engine: Engine = await createEngine()
  const bits = dtype === 'int4' ? 4 : dtype === 'int8' ? 8 : undefined
  return new OnnxBackend(engine, { provider, threads, prepack }, new WeightStore(bits))
}
