import { type HostTensor, reference, sizeOf } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { expect, it } from 'vitest'
import { tinyGpt } from '../test/tiny-gpt.ts'
import { nextTokenObjective } from './objectives.ts'
import { initialState, Trainer } from './step.ts'
import { initialWeights } from './weights.ts'

it('steps alike, however many rows go through the model together', async () => {
  const random = new Random(4)
  const integers = (shape: readonly number[], from: number, to: number): HostTensor => ({
    shape,
    dtype: 'i32',
    data: Int32Array.from({ length: sizeOf(shape) }, () => from + random.integer(to - from)),
  })
  const batch = { ids: integers([5, 7], 0, 23), labels: integers([5, 7], -6, 23), start: integers([5], 0, 4) }
  const reportOf = async (rows?: number): Promise<[loss: number, gradientNorm: number]> => {
    const weights = initialWeights(tinyGpt, new Random(1), { deviation: 0.3 })
    const trainer = new Trainer(reference(), initialState(weights), { clip: 1 })
    const report = await trainer.step(nextTokenObjective(tinyGpt, rows), [batch], 1e-3)
    return [report.loss!, report.gradientNorm!]
  }
  const together = await reportOf()
  for (const rows of [1, 2, 4, 5, 6]) {
    const [loss, gradientNorm] = await reportOf(rows)
    expect(loss).toBeCloseTo(together[0], 5)
    expect(gradientNorm).toBeCloseTo(together[1], 4)
  }
  expect(() => nextTokenObjective(tinyGpt, 0)).toThrow(/no rows.*at least 1.*0/)
})
