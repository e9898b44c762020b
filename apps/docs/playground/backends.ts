/**
 * What computes in the page: WebGPU where there is a real one, else ONNX Runtime's WebAssembly, else the reference. A
 * further backend is a line here.
 */

import { type Backend, reference, responsive } from '@afterthought/core'
import type { BackendChoice } from './state.ts'

type Name = Exclude<BackendChoice, 'auto'>

const openers: Readonly<Record<Name, () => Promise<Backend>>> = {
  webgpu: async () => {
    throw new Error('this site is built without the WebGPU backend')
  },
  wasm: async () => {
    const [{ onnxWeb }, ort, { default: wasm }] = await Promise.all([
      import('@afterthought/backend-onnx/web'),
      import('onnxruntime-web/wasm'),
      import('onnxruntime-web/ort-wasm-simd-threaded.wasm?url'),
    ])
    ort.env.wasm.wasmPaths = { wasm: new URL(wasm, self.location.href).href }
    ort.env.wasm.numThreads = 1
    ort.env.logLevel = 'fatal'
    return onnxWeb(ort)
  },
  reference: async () => responsive(reference(), () => new Promise((resolve) => setTimeout(resolve))),
}

export interface OpenedBackend {
  readonly backend: Backend
  /** Why better ones were passed over, one line each. */
  readonly passed: readonly string[]
}

/** The backend asked for, or the best that works. The reference always does. */
export async function openBackend(choice: BackendChoice): Promise<OpenedBackend> {
  const order: readonly Name[] = choice === 'auto' ? ['webgpu', 'wasm', 'reference'] : [choice, 'reference']
  const passed: string[] = []
  for (const name of order) {
    try {
      return { backend: await openers[name](), passed }
    } catch (error) {
      passed.push(`${name}: ${(error as Error).message}`)
    }
  }
  throw new Error(passed.join('; '))
}
