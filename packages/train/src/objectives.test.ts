import { type HostTensor, reference, sizeOf } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { expect, it } from 'vitest'
import { tinyGpt } from '../test/tiny-gpt.ts'
import { nextTokenObjective, type Tile } from './objectives.ts'
import { initialState, Trainer } from './step.ts'
import { initialWeights } from './weights.ts'

it('steps alike, whatever goes through the model together', async () => {
  const random = new Random(4)
  const integers = (shape: readonly number[], from: number, to: number): HostTensor => ({
    shape,
    dtype: 'i32',
    data: Int32Array.from({ length: sizeOf(shape) }, () => from + random.integer(to - from)),
  })
  const [ids, labels, start] = [integers([5, 7], 0, 23), integers([5, 7], -6, 23), integers([5], 0, 4)]
  const taught = labels.data.map((label, i) => (i % 7 < start.data[Math.floor(i / 7)]! ? -1 : label)) // no padding
  const batch = { ids, labels: { ...labels, data: taught }, start }
  const reportOf = async (tile: Tile): Promise<[loss: number, gradientNorm: number]> => {
    const weights = initialWeights(tinyGpt, new Random(1), { deviation: 0.3 })
    const trainer = new Trainer(reference(), initialState(weights), { clip: 1 })
    const report = await trainer.step(nextTokenObjective(tinyGpt, tile), [batch], 1e-3)
    return [report.loss!, report.gradientNorm!]
  }
  const together = await reportOf({})
  const tiles = [1, 2, 4, 5, 6].flatMap((rows) => [{ rows }, { rows, columns: 8 - rows }])
  for (const tile of [...tiles, { columns: 1 }, { columns: 7 }]) {
    const [loss, gradientNorm] = await reportOf(tile)
    expect(loss).toBeCloseTo(together[0], 5)
    expect(gradientNorm).toBeCloseTo(together[1], 4)
  }
  for (const wrong of [{ rows: 0 }, { rows: 2.5 }, { columns: Number.NaN }, { columns: -1 }]) {
    expect(() => nextTokenObjective(tinyGpt, wrong)).toThrow(/no part of a batch.*at least 1.*(0|2\.5|NaN|-1)/)
  }
})
