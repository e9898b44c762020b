/**
 * ONNX Runtime in a browser: the same graphs and kernels as WebAssembly, through onnxruntime-web.
 *
 * It computes in the thread that calls it, so a page calls it from a Web Worker. The page brings the runtime, because only
 * the page knows where its .wasm file lies (`ort.env.wasm.wasmPaths`). Nothing here needs a file system.
 */

import type { Backend } from '@afterthought/core'
import { BackendUnavailableError } from '@afterthought/core'
import { OnnxBackend } from './backend.ts'
import { LocalEngine } from './engine/engine.ts'
import type { Runtime } from './engine/runtime.ts'
import { InlineWeights } from './weights/inline.ts'

/**
 * The backend `onnx:wasm`.
 *
 * @param runtime the module `onnxruntime-web/wasm`
 * @throws BackendUnavailableError if WebAssembly or the runtime's file cannot be had
 */
export async function onnxWeb(runtime: Runtime): Promise<Backend> {
  const engine = new LocalEngine(runtime)
  const reason = await engine.tryProvider('wasm')
  if (reason !== undefined) {
    throw new BackendUnavailableError(`ONNX Runtime does not start: ${reason}`, {
      where: 'onnx:wasm',
      hint: 'Set ort.env.wasm.wasmPaths to the folder of ort-wasm-simd-threaded.wasm',
    })
  }
  // More threads need a page that is isolated from other origins; two layers of 128 do not.
  return new OnnxBackend(engine, { provider: 'wasm', threads: 1, prepack: true }, new InlineWeights())
}
