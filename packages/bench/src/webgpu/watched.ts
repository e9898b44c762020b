/** A WebGPU backend for models whose runs are looked at before they happen. */

import type { WebGpuBackend, WebGpuExecutable } from '@afterthought/backend-webgpu'
import { type Backend, type Buffer, derivedBackend } from '@afterthought/core'

export type Inputs = Readonly<Record<string, Buffer>>

/** @param run what happens instead of `executable.run(inputs)` */
export function watched(
  backend: WebGpuBackend,
  run: (executable: WebGpuExecutable, inputs: Inputs) => Promise<Record<string, Buffer>>,
): Backend {
  return derivedBackend(backend, {
    async compile(graph, parameters) {
      const executable = await backend.compile(graph, parameters)
      return { run: (inputs) => run(executable, inputs), dispose: () => executable.dispose() }
    },
  })
}
