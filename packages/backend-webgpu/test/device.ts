/** What the tests of this package share: an adapter or a word why there is none, and backends with other kernels. */

import { describe } from 'vitest'
import { type WebGpuOptions, webgpuStatus } from '../src/index.ts'

const status = await webgpuStatus()

if (!status.available) {
  // Where the tests must run, a missing adapter is a failure.
  if (process.env.CI === 'true') throw new Error(`no WebGPU adapter: ${status.reason}`)
  console.log(`WebGPU tests are skipped: ${status.reason}. See scripts/gpu-setup.mjs`)
}

export const describeOnGpu: typeof describe.runIf extends (condition: unknown) => infer Result ? Result : never =
  describe.runIf(status.available)

/** Software adapters get kernels without barriers; these are the ones of GPUs, in both forms of reduction. */
export const kernelVariants: Readonly<Record<string, NonNullable<WebGpuOptions['kernels']>>> = {
  'of CPU drivers': { software: true },
  'of GPUs, with subgroups': { software: false },
  'of GPUs, with workgroup memory': { software: false, subgroups: false, f16: false },
}
