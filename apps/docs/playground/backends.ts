/**
 * What computes in the page: WebGPU where there is a real one, else ONNX Runtime's WebAssembly, else the reference. A
 * further backend is a line here.
 */

import { type Backend, reference, responsive } from '@afterthought/core'
import type { BackendChoice } from './state.ts'

type Name = Exclude<BackendChoice, 'auto'>

/** `isAsked`: by name, not as the best there is. */
const openers: Readonly<Record<Name, (isAsked: boolean) => Promise<Backend>>> = {
  webgpu: async (isAsked) => {
    const { webgpu } = await import('@afterthought/backend-webgpu')
    const backend = await webgpu()
    if (isAsked || !backend.adapter.software) return backend
    await backend.dispose()
    throw new Error('there is no GPU, only software on the CPU')
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
      return { backend: await openers[name](name === choice), passed }
    } catch (error) {
      passed.push(`${name}: ${(error as Error).message}`)
    }
  }
  throw new Error(passed.join('; '))
}
