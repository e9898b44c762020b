import { onnx } from '@afterthought/backend-onnx'
import { webgpu } from '@afterthought/backend-webgpu'
import { type Backend, reference } from '@afterthought/core'
import { describe, expect, it } from 'vitest'
import { gradientErrors, hasTrajectories, modes, trajectoryErrors } from '../test/toy-trajectory.ts'

/** Tolerances of the specification for 32-bit floats: AdamW scales up gradients near zero, most of all PCCoT's. */
const tolerances = { codi: 1e-5, pccot: 1e-3, kava: 1e-5 }

const backends: Readonly<Record<string, () => Promise<Backend>>> = {
  reference: async () => reference(),
  'onnx:cpu': () => onnx({ provider: 'cpu', threads: 1 }),
  webgpu: () => webgpu(),
}

describe.runIf(hasTrajectories)('five AdamW steps through latent thoughts', () => {
  describe.each(Object.keys(backends))('on %s', (name) => {
    it.each(modes)('%s: every loss of every step, and the norm of every gradient', async (mode) => {
      const backend = await backends[name]!()
      const errors = await trajectoryErrors(backend, mode)
      expect(errors).toHaveLength(6)
      expect(Math.max(...errors)).toBeLessThan(tolerances[mode])
      for (const [parameter, error] of await gradientErrors(backend, mode)) expect(error, parameter).toBeLessThan(1e-3)
      await backend.dispose()
    })
  })
})
