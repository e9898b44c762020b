/** Pipelines and layouts, made once per text, in parallel, and kept: Deno has no cache of its own. */

import { BackendError } from '@afterthought/core'
import { assemble, declaredBindings } from '../kernels/kernel.ts'
import type { PlannedKernel } from '../plan/allocate.ts'
import type { DeviceGuard } from './guard.ts'

export interface Pipeline {
  readonly gpu: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

/** @param done pipelines ready so far, out of `total` */
export type Progress = (done: number, total: number) => void

export class PipelineCache {
  private readonly guard: DeviceGuard
  private readonly pipelines = new Map<string, Promise<Pipeline>>()
  private readonly layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>()

  constructor(guard: DeviceGuard) {
    this.guard = guard
  }

  /** Pipelines of all kernels, in their order. @throws BackendError naming the kernel that the device refuses */
  async prepare(kernels: readonly PlannedKernel[], where: string, progress?: Progress): Promise<Pipeline[]> {
    const texts = kernels.map(({ kernel, inPlace }) => assemble(kernel, inPlace))
    const missing = new Map<string, PlannedKernel>()
    texts.forEach((text, i) => {
      if (!this.pipelines.has(text)) missing.set(text, kernels[i]!)
    })
    let done = 0
    progress?.(0, missing.size)
    for (const [text, planned] of missing) {
      const made = this.create(text, planned, `${where}: ${planned.kernel.label}`)
      this.pipelines.set(text, made)
      made.then(
        () => progress?.(++done, missing.size),
        () => this.pipelines.delete(text),
      )
    }
    return Promise.all(texts.map((text) => this.pipelines.get(text)!))
  }

  private create(text: string, planned: PlannedKernel, where: string): Promise<Pipeline> {
    const { device } = this.guard
    return this.guard.scoped(where, async () => {
      const layout = this.layout(planned)
      const module = device.createShaderModule({ label: planned.kernel.label, code: text })
      try {
        const gpu = await device.createComputePipelineAsync({
          label: planned.kernel.label,
          layout: layout.pipeline,
          compute: { module, entryPoint: 'main' },
        })
        return { gpu, layout: layout.group }
      } catch (cause) {
        throw new BackendError('the device refuses a kernel', { where, actual: await explain(module, cause), cause })
      }
    })
  }

  private layout({ kernel, inPlace }: PlannedKernel): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    const bindings = declaredBindings(kernel, inPlace)
    const key = bindings.map(({ access }) => access).join()
    let layout = this.layouts.get(key)
    if (!layout) {
      const { device } = this.guard
      const visibility = GPUShaderStage.COMPUTE
      const group = device.createBindGroupLayout({
        entries: [
          { binding: 0, visibility, buffer: { type: 'uniform' } },
          ...bindings.map(
            ({ access }, i): GPUBindGroupLayoutEntry => ({
              binding: i + 1,
              visibility,
              buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
            }),
          ),
        ],
      })
      layout = { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) }
      this.layouts.set(key, layout)
    }
    return layout
  }
}

/** The compiler's words, where the runtime passes them on (bun-webgpu does not). */
async function explain(module: GPUShaderModule, cause: unknown): Promise<string> {
  const fallback = cause instanceof Error ? cause.message : String(cause)
  try {
    const { messages } = await module.getCompilationInfo()
    return messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`).join('; ') || fallback
  } catch {
    return fallback
  }
}
