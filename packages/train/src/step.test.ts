import { F, type HostTensor, reference } from '@afterthought/core'
import { describe, expect, it } from 'vitest'
import { type AdamWOptions, learningRate } from './adamw.ts'
import { meanOf } from './losses.ts'
import { type Batch, initialState, type Objective, Trainer, weightKey } from './step.ts'

const f32 = (shape: readonly number[], ...data: number[]): HostTensor => ({
  ...{ shape, dtype: 'f32', data: Float32Array.from(data) },
})

/** Mean of (x·w + b − y)² over three rows; its gradient is easily written down. */
const regression: Objective = {
  key: 'regression',
  terms(weights, { x, y }) {
    const error = F.sub(F.add(F.matmul(x!, weights('w')), weights('b')), y!)
    return { loss: meanOf(F.mul(error, error)) }
  },
}
const rows = (x: readonly number[], y: readonly number[]): Batch => ({
  x: f32([y.length, 2], ...x),
  y: f32([y.length, 1], ...y),
})
const batches = [rows([1, 2, -1, 0.5, 3, 1], [3, -2, 7]), rows([0.5, 1, 2, -2, 1, 1], [1, 0, -4])] as const
const start = { w: [0.3, -0.7], b: [0.1] }

const trainerOf = (options: AdamWOptions = {}): Trainer =>
  new Trainer(
    reference(),
    initialState(new Map([['w', f32([2, 1], ...start.w)] as const, ['b', f32([1], ...start.b)] as const])),
    options,
  )

const weightsOf = async (trainer: Trainer): Promise<number[]> => {
  const state = await trainer.download()
  return ['w', 'b'].flatMap((name) => [...state.get(weightKey(name))!.data])
}

/** Gradient of the mean loss of batches with respect to w₀, w₁, b, in doubles. */
function slopesOf([w0, w1, b]: readonly number[], given: readonly Batch[]): number[] {
  const sums = [0, 0, 0]
  for (const { x, y } of given) {
    y!.data.forEach((wanted, row) => {
      const [x0, x1] = [x!.data[2 * row]!, x!.data[2 * row + 1]!]
      const slope = (2 * (x0 * w0! + x1 * w1! + b! - wanted)) / y!.data.length / given.length
      for (const [i, factor] of [x0, x1, 1].entries()) sums[i]! += slope * factor
    })
  }
  return sums
}

/** AdamW as in the paper, in doubles; `group` gives factor on the rate and decay of each parameter. */
function adamwInDoubles(
  steps: number,
  rate: number,
  clip: number,
  group: (index: number) => readonly [rate: number, decay: number],
  given: readonly Batch[],
): number[] {
  const weights = [...start.w, ...start.b]
  const [m, v] = [new Array(3).fill(0), new Array(3).fill(0)] as [number[], number[]]
  for (let t = 1; t <= steps; t++) {
    const slopes = slopesOf(weights, given)
    const factor = Math.min(1, clip / (Math.hypot(...slopes) + 1e-6))
    slopes.forEach((slope, i) => {
      const [own, decay] = group(i)
      m[i] = 0.9 * m[i]! + 0.1 * slope * factor
      v[i] = 0.99 * v[i]! + 0.01 * (slope * factor) ** 2
      weights[i]! *= 1 - rate * own * decay
      weights[i]! -= (rate * own * (m[i]! / (1 - 0.9 ** t))) / (Math.sqrt(v[i]! / (1 - 0.99 ** t)) + 1e-8)
    })
  }
  return weights
}

describe('a training step', () => {
  const options: AdamWOptions = {
    betas: [0.9, 0.99],
    clip: 2,
    decay: 0.1,
    groupOf: (name) => (name === 'b' ? { rate: 3, decay: 0 } : {}),
  }
  const group = (index: number): readonly [number, number] => (index === 2 ? [3, 0] : [1, 0.1])

  it('is AdamW with groups and clipping', async () => {
    const trainer = trainerOf(options)
    for (let i = 0; i < 7; i++) await trainer.step(regression, [batches[0]], 0.05)
    const expected = adamwInDoubles(7, 0.05, 2, group, [batches[0]])
    for (const [i, weight] of (await weightsOf(trainer)).entries()) expect(weight).toBeCloseTo(expected[i]!, 5)
  })

  it('takes the mean gradient of several batches', async () => {
    const trainer = trainerOf(options)
    const reports = []
    for (let i = 0; i < 7; i++) reports.push(await trainer.step(regression, batches, 0.05))
    const expected = adamwInDoubles(7, 0.05, 2, group, batches)
    for (const [i, weight] of (await weightsOf(trainer)).entries()) expect(weight).toBeCloseTo(expected[i]!, 5)
    expect(reports[0]!.gradientNorm).toBeCloseTo(Math.hypot(...slopesOf([...start.w, ...start.b], batches)), 4)
  })

  it('leaves frozen parameters alone, and evaluating leaves all', async () => {
    const trainer = trainerOf({ groupOf: (name) => (name === 'w' ? 'frozen' : {}) })
    await trainer.evaluate(regression, batches[0])
    expect(await weightsOf(trainer)).toEqual([...start.w, ...start.b].map(Math.fround))
    await trainer.step(regression, [batches[0]], 0.05)
    const [w0, w1, b] = await weightsOf(trainer)
    expect([w0, w1]).toEqual(start.w.map(Math.fround))
    expect(b).not.toBeCloseTo(start.b[0]!, 3)
    expect([...(await trainer.download()).keys()]).toEqual(['weight:w', 'weight:b', 'first:b', 'second:b'])
  })

  it('begins anew when its moments are forgotten', async () => {
    const [trainer, other] = [trainerOf(), trainerOf()]
    for (const one of [trainer, other]) for (let i = 0; i < 3; i++) await one.step(regression, [batches[0]], 0.05)
    trainer.resetMoments()
    const fresh = new Trainer(
      reference(),
      new Map([...(await other.download())].filter(([key]) => key.startsWith(weightKey('')))),
    )
    for (const one of [trainer, fresh]) await one.step(regression, [batches[1]], 0.05)
    expect(await weightsOf(trainer)).toEqual(await weightsOf(fresh))
  })

  it('says where training diverged', async () => {
    const trainer = trainerOf()
    const wild = rows([3e38, 3e38], [-3e38])
    await expect(trainer.step(regression, [wild], 0.05)).rejects.toThrow(
      /step 1: loss: training has diverged.*Infinity/,
    )
  })
})

describe('learningRate', () => {
  it('rises, holds and falls to its floor', () => {
    const at = (step: number, shape: 'constant' | 'linear' | 'cosine'): number =>
      learningRate({ peak: 2, warmup: 10, shape, hold: 0.5, floor: 0.1 }, step, 100)
    expect([1, 5, 10, 50].map((step) => at(step, 'linear'))).toEqual([0.2, 1, 2, 2])
    expect(at(75, 'linear')).toBeCloseTo(1)
    expect(at(75, 'cosine')).toBeCloseTo(1)
    expect(at(60, 'cosine')).toBeCloseTo(1 + Math.cos(0.2 * Math.PI))
    expect([100, 1000].map((step) => at(step, 'linear'))).toEqual([0.2, 0.2])
    expect(at(1000, 'constant')).toBe(2)
    expect(learningRate({ peak: 2 }, 1, 100)).toBe(2)
  })
})
