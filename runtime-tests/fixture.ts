/** Another implementation's numbers for a tiny model, in a runtime without a command line. */

import { type WebGpuOptions, webgpu } from '@afterthought/backend-webgpu'
import { verifyFixture } from '@afterthought/bench/fixture'
import type { ModelFolder } from '@afterthought/core/io'

export interface FixtureSummary {
  readonly ok: boolean
  readonly adapter: string
  readonly checks: number
  readonly failed: readonly string[]
  /** The largest error as a share of what is allowed. */
  readonly worst: number
}

export async function fixture(folder: ModelFolder, options: WebGpuOptions = {}): Promise<FixtureSummary> {
  const backend = await webgpu(options)
  const { ok, checks } = await verifyFixture(folder, backend)
  await backend.dispose()
  const shares = checks.map(({ maxError, tolerance }) => (maxError === 0 ? 0 : maxError / tolerance))
  const failed = checks.filter((check) => !check.ok).map(({ name }) => name)
  return { ok, adapter: backend.adapter.name, checks: checks.length, failed, worst: Math.max(...shares) }
}
