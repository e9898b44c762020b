import { reference } from '@afterthought/core'
import { describe, expect, it } from 'vitest'
import { gradientErrors, hasTrajectories, modes, trajectoryErrors } from '../test/toy-trajectory.ts'

/** Tolerances of the specification for 32-bit floats: AdamW scales up gradients near zero, most of all PCCoT's. */
const tolerances = { codi: 1e-5, pccot: 1e-3, kava: 1e-5 }

describe.runIf(hasTrajectories)('five AdamW steps through latent thoughts, on the reference backend', () => {
  for (const mode of modes) {
    it(`${mode}: every loss of every step`, async () => {
      const errors = await trajectoryErrors(reference(), mode)
      expect(errors).toHaveLength(6)
      expect(Math.max(...errors)).toBeLessThan(tolerances[mode])
    })

    it(`${mode}: the norm of every gradient`, async () => {
      for (const [name, error] of await gradientErrors(reference(), mode)) expect(error, name).toBeLessThan(1e-3)
    })
  }
})
