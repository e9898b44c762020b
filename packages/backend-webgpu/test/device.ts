/** What the tests of this package share: the proof that there is an adapter, and backends with other kernels. */

import { type WebGpuOptions, webgpuStatus } from '../src/index.ts'

const status = await webgpuStatus()
if (!status.available) throw new Error(`${status.reason}. A software adapter for tests: node scripts/gpu-setup.mjs`)

/** Software adapters get kernels without barriers; these are the ones of GPUs, in both forms of reduction. */
export const kernelVariants: Readonly<Record<string, NonNullable<WebGpuOptions['kernels']>>> = {
  'of CPU drivers': { software: true },
  'of GPUs, with subgroups': { software: false },
  'of GPUs, with workgroup memory': { software: false, subgroups: false, f16: false },
}
