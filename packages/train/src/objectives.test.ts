import { type HostTensor, reference, sizeOf } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { parseConfig } from '@afterthought/core/io'
import { expect, it } from 'vitest'
import { nextTokenObjective } from './objectives.ts'
import { initialState, Trainer } from './step.ts'
import { initialWeights } from './weights.ts'

const config = parseConfig(
  {
    model_type: 'gpt2',
    activation_function: 'gelu_new',
    n_embd: 16,
    n_head: 2,
    n_layer: 2,
    n_positions: 16,
    vocab_size: 23,
    layer_norm_epsilon: 1e-5,
  },
  'test',
)

it('steps alike, however many rows go through the model together', async () => {
  const random = new Random(4)
  const integers = (shape: readonly number[], from: number, to: number): HostTensor => ({
    shape,
    dtype: 'i32',
    data: Int32Array.from({ length: sizeOf(shape) }, () => from + random.integer(to - from)),
  })
  const batch = { ids: integers([5, 7], 0, 23), labels: integers([5, 7], -6, 23), start: integers([5], 0, 4) }
  const reportOf = async (rows?: number): Promise<[loss: number, gradientNorm: number]> => {
    const weights = initialWeights(config, new Random(1), { deviation: 0.3 })
    const trainer = new Trainer(reference(), initialState(weights), { clip: 1 })
    const report = await trainer.step(nextTokenObjective(config, rows), [batch], 1e-3)
    return [report.loss!, report.gradientNorm!]
  }
  const together = await reportOf()
  for (const rows of [1, 2, 4, 5, 6]) {
    const [loss, gradientNorm] = await reportOf(rows)
    expect(loss).toBeCloseTo(together[0], 5)
    expect(gradientNorm).toBeCloseTo(together[1], 4)
  }
  expect(() => nextTokenObjective(config, 0)).toThrow(/no rows.*at least 1.*0/)
})
