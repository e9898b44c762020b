import { existsSync, readFileSync } from 'node:fs'
import { onnx } from '@afterthought/backend-onnx'
import { type Backend, F, type HostTensor, reference, type Tensor } from '@afterthought/core'
import { goldenTensor, maxError } from '@afterthought/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { logProbabilitiesOf, policyLoss, setLoss, stateDistillation, tokenLoss } from './losses.ts'
import { initialState, type Terms, Trainer } from './step.ts'

/** Losses of the methods' own functions, stored as numbers. */
const folder = new URL('../../../../shared/goldens/', import.meta.url)
const golden = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))

type Values = Readonly<Record<string, Tensor>>
type Inputs = Readonly<Record<string, HostTensor>>

const f32 = (shape: readonly number[], ...data: number[]): HostTensor => ({
  ...{ shape, dtype: 'f32', data: Float32Array.from(data) },
})
const i32 = (shape: readonly number[], ...data: number[]): HostTensor => ({
  ...{ shape, dtype: 'i32', data: Int32Array.from(data) },
})

/** Values and gradients with respect to `free`. AdamW's first moment after a step is a tenth of the gradient. */
async function differentiated(
  backend: Backend,
  free: Inputs,
  fixed: Inputs,
  terms: (free: Values, fixed: Values) => Terms,
): Promise<{ values: Readonly<Record<string, number>>; gradient: (name: string) => Float32Array }> {
  const trainer = new Trainer(backend, initialState(new Map(Object.entries(free))))
  const objective = {
    key: 'loss',
    terms: (weights: (name: string) => Tensor, batch: Values) =>
      terms(Object.fromEntries(Object.keys(free).map((name) => [name, weights(name)])), batch),
  }
  const values = await trainer.step(objective, [fixed], 0)
  const state = await trainer.download()
  await trainer.dispose()
  return { values, gradient: (name) => (state.get(`first:${name}`)!.data as Float32Array).map((m) => m / (1 - 0.9)) }
}

const layersOf = (states: Tensor): Tensor[] =>
  Array.from({ length: states.shape[0]! }, (_, layer) => F.narrow(states, 0, layer, layer + 1))

for (const name of ['reference', 'onnx'] as const) {
  describe(`losses on ${name}`, () => {
    let backend: Backend
    beforeAll(async () => {
      backend = name === 'reference' ? reference() : await onnx({ provider: 'cpu', threads: 1 })
    })
    afterAll(() => backend.dispose())

    describe.runIf(existsSync(folder))('against stored values', () => {
      it('distil states as CODI does, and leave the teacher alone', async () => {
        const expected = golden('codi_distill')
        const [student, teacher] = ['student', 'teacher'].map((key) => goldenTensor(expected, key))
        const { values, gradient } = await differentiated(
          backend,
          { student: student!, teacher: teacher! },
          {},
          (states) => ({ loss: stateDistillation(layersOf(states.student!), layersOf(states.teacher!)) }),
        )
        expect(values.loss).toBeCloseTo(goldenTensor(expected, 'loss').data[0] as number, 6)
        expect(maxError(gradient('student'), goldenTensor(expected, 'gStudent').data)).toBeLessThan(1e-7)
        expect(gradient('teacher').every((slope) => slope === 0)).toBe(true)
      })

      it('distil states as PCCoT does', async () => {
        const expected = golden('pccot_kd')
        const [student, teacher] = ['student', 'teacher'].map((key) => goldenTensor(expected, key))
        const { values } = await differentiated(
          backend,
          { student: student! },
          { teacher: teacher! },
          (free, fixed) => ({
            loss: stateDistillation(layersOf(free.student!), layersOf(fixed.teacher!)),
          }),
        )
        expect(values.loss).toBeCloseTo(goldenTensor(expected, 'loss_layerwise').data[0] as number, 6)
      })

      it('follow the policy of HRPO: loss, divergence and gradient', async () => {
        const expected = golden('hrpo_grpo_loss')
        const [old, now, mask, advantages] = ['old_logits', 'new_logits', 'mask', 'adv'].map((key) =>
          goldenTensor(expected, key),
        )
        const ids = goldenTensor(expected, 'ids')
        const fixed = { old: old!, mask: mask!, advantages: advantages!, ids: i32(ids.shape, ...ids.data) }
        const { values, gradient } = await differentiated(backend, { now: now! }, fixed, (free, given) => {
          const [policy, before] = [free.now!, given.old!].map((logits) => logProbabilitiesOf(logits, given.ids!))
          return policyLoss(policy!, before!, given.advantages!, given.mask!, 0.005)
        })
        expect(values.loss).toBeCloseTo(goldenTensor(expected, 'loss').data[0] as number, 6)
        expect(values.divergence).toBeCloseTo(goldenTensor(expected, 'kl').data[0] as number, 6)
        expect(maxError(gradient('now'), goldenTensor(expected, 'gNew').data)).toBeLessThan(1e-7)
      })
    })

    it('cross-entropy counts labels that are not negative', async () => {
      const logits = f32([1, 3, 2], 0, Math.log(3), 5, -5, Math.log(7), 0)
      const { values, gradient } = await differentiated(
        backend,
        { logits },
        { labels: i32([1, 3], 1, -1, 1) },
        (free, fixed) => ({ loss: tokenLoss(free.logits!, fixed.labels!) }),
      )
      expect(values.loss).toBeCloseTo((Math.log(4 / 3) + Math.log(8)) / 2, 6)
      const slopes = [1 / 8, -1 / 8, 0, 0, 7 / 16, -7 / 16]
      expect(maxError(gradient('logits'), slopes)).toBeLessThan(1e-6)
    })

    it('sets: divergence from the uniform distribution over them and their mass; empty ones do not count', async () => {
      const logits = f32([3, 4], 0, 0, 0, 0, Math.log(2), Math.log(6), 0, 0, 1, 2, 3, 4)
      const sets = f32([3, 4], 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0)
      const { values } = await differentiated(backend, { logits }, { sets }, (free, fixed) => {
        const { divergence, mass } = setLoss(free.logits!, fixed.sets!)
        return { loss: divergence, mass }
      })
      const divergences = [Math.log(2), 0.5 * Math.log(0.5 / 0.2) + 0.5 * Math.log(0.5 / 0.6)]
      expect(values.loss).toBeCloseTo((divergences[0]! + divergences[1]!) / 2, 6)
      expect(values.mass).toBeCloseTo((0.5 + 0.8) / 2, 6)
    })
  })
}
