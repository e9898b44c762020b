import type { Backend } from '@afterthought/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gradientErrors, hasTrajectories, modes, trajectoryErrors } from '../../core/test/toy-trajectory.ts'
import { onnx } from './index.ts'

const tolerances = { codi: 1e-5, pccot: 1e-3, kava: 1e-5 }

describe.runIf(hasTrajectories)('five AdamW steps through latent thoughts, on ONNX Runtime', () => {
  let backend: Backend
  beforeAll(async () => {
    backend = await onnx({ provider: 'cpu', threads: 1 })
  })
  afterAll(() => backend.dispose())

  for (const mode of modes) {
    it(`${mode}: every loss of every step, and the norm of every gradient`, async () => {
      const errors = await trajectoryErrors(backend, mode)
      expect(Math.max(...errors)).toBeLessThan(tolerances[mode])
      for (const [name, error] of await gradientErrors(backend, mode)) expect(error, name).toBeLessThan(1e-3)
    })
  }
})
