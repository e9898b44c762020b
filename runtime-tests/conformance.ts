/** The whole conformance suite in a runtime without a test runner. */

import { type WebGpuOptions, webgpu } from '@afterthought/backend-webgpu'
import { conformanceCases } from '@afterthought/core/testing'

export interface ConformanceReport {
  readonly ok: boolean
  readonly adapter: string
  readonly passed: number
  readonly failures: readonly string[]
}

export async function conformance(options: WebGpuOptions = {}): Promise<ConformanceReport> {
  const backend = await webgpu(options)
  const failures: string[] = []
  let passed = 0
  for (const { name, run } of conformanceCases()) {
    try {
      await run(backend)
      passed += 1
    } catch (error) {
      failures.push(error instanceof Error ? `${name}: ${error.message}` : `${name}: ${error}`)
    }
  }
  await backend.dispose()
  return { ok: failures.length === 0, adapter: backend.adapter.name, passed, failures }
}
