import { reference } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { describe, expect, it } from 'vitest'
import { tinyGpt } from '../test/tiny-gpt.ts'
import {
  evaluationThoughts,
  type MarkerIds,
  type StageOptions,
  stageAt,
  stageBatch,
  type TextSample,
  textObjective,
  trainingStage,
  withMarkers,
} from './coconut.ts'
import { nextTokenObjective } from './objectives.ts'
import { initialState, Trainer } from './step.ts'
import { initialWeights } from './weights.ts'

/** ProsQA's configuration in the release. */
const prosqa: StageOptions = {
  mode: 'coconut',
  thoughtsPerStep: 1,
  epochsPerStage: 5,
  maxStage: 6,
  padToMax: true,
  uniform: 0,
}
const random = new Random(0)
const at = (changes: Partial<StageOptions>, stage: number, steps: number): [number, number] => {
  const { skipped, thoughts } = trainingStage({ ...prosqa, ...changes }, stage, steps, random)
  return [skipped, thoughts]
}

describe('the stage table', () => {
  it('counts epochs', () => {
    expect([0, 4, 5, 29, 30, 49].map((epoch) => stageAt(prosqa, epoch))).toEqual([0, 0, 1, 5, 6, 9])
    expect(stageAt({ ...prosqa, mode: 'cot' }, 49)).toBe(0)
    expect(stageAt({ ...prosqa, mode: 'noCot' }, 49)).toBe(0)
  })

  it('replaces steps by thoughts, uncapped up to the last stage', () => {
    expect(at({}, 0, 4)).toEqual([0, 0])
    expect(at({}, 2, 4)).toEqual([2, 2])
    expect(at({}, 4, 4)).toEqual([4, 4])
    expect(at({}, 6, 4)).toEqual([4, 6])
    expect(at({ thoughtsPerStep: 2 }, 3, 4)).toEqual([3, 6])
  })

  it('removes every step behind the last stage, with and without padding', () => {
    expect(at({ maxStage: 3 }, 4, 5)).toEqual([5, 3])
    expect(at({}, 7, 4)).toEqual([4, 6])
    expect(at({ padToMax: false }, 7, 4)).toEqual([4, 4])
    expect(at({ padToMax: false, maxStage: 3 }, 7, 5)).toEqual([5, 3])
  })

  it('has the controls', () => {
    expect(at({ mode: 'cot' }, 3, 4)).toEqual([0, 0])
    expect(at({ mode: 'noCot' }, 3, 4)).toEqual([4, 0])
    expect(at({ mode: 'noThoughts' }, 3, 4)).toEqual([3, 0])
    expect(at({ mode: 'pause' }, 3, 4)).toEqual([3, 3])
  })

  it('draws every stage from none to all steps when mixed', () => {
    const drawn = Array.from({ length: 200 }, () => at({ uniform: 1 }, 9, 3))
    expect(new Set(drawn.map(([skipped]) => skipped))).toEqual(new Set([0, 1, 2, 3]))
    expect(drawn.every(([skipped, thoughts]) => skipped === thoughts)).toBe(true)
  })

  it('caps thoughts at evaluation', () => {
    const asked = (changes: Partial<StageOptions>, stage: number, steps: number): number =>
      evaluationThoughts({ ...prosqa, ...changes }, stage, steps)
    expect(asked({}, 3, 2)).toBe(3)
    expect(asked({}, 9, 4)).toBe(6)
    expect(asked({ padToMax: false }, 9, 4)).toBe(4)
    expect(asked({ padToMax: false, thoughtsPerStep: 2 }, 3, 2)).toBe(4)
    expect(asked({ mode: 'noThoughts' }, 3, 4)).toBe(0)
  })
})

const markers: MarkerIds = { start: 20, end: 21, latent: 22 }
const samples: readonly TextSample[] = [
  { question: [1, 2, 3], steps: [[4, 5], [6], [7, 8, 9]], answer: [10, 11] },
  { question: [3, 1, 2, 5, 4], steps: [[6, 7]], answer: [12, 11] },
]
const lengths = [8, 12, 16, 24]
const trainerOf = (): Trainer => {
  const weights = initialWeights(tinyGpt, new Random(1), { deviation: 0.3 })
  return new Trainer(reference(), initialState(weights))
}

/** Loss of samples at an epoch, with as many slots as the batch has. */
async function lossOf(rows: readonly TextSample[], options: StageOptions, epoch: number): Promise<number> {
  const batch = stageBatch(rows, options, epoch, new Random(2), markers, lengths)
  const slots = options.mode === 'coconut' ? Math.max(...batch.thoughts!.data) : 0
  const { loss } = await trainerOf().evaluate(textObjective(tinyGpt, slots), batch)
  return loss!
}

/** Supervised tokens of a sample at a stage. */
const taught = ({ steps, answer }: TextSample, skipped: number): number =>
  [...steps.slice(skipped).flat(), ...answer].length

describe('the loss', () => {
  it('without slots is that of a plain language model', async () => {
    const { question, steps, answer } = samples[0]!
    const text = [...question, ...steps.flat(), ...answer]
    const labels = text.map((_, i) => (i + 1 < text.length && i + 1 >= question.length ? text[i + 1]! : -1))
    const { loss } = await trainerOf().evaluate(nextTokenObjective(tinyGpt), {
      ids: { shape: [1, text.length], dtype: 'i32', data: Int32Array.from(text) },
      labels: { shape: [1, text.length], dtype: 'i32', data: Int32Array.from(labels) },
      start: { shape: [1], dtype: 'i32', data: new Int32Array(1) },
    })
    expect(await lossOf([samples[0]!], { ...prosqa, mode: 'cot' }, 0)).toBeCloseTo(loss!, 5)
  })

  it('of a row does not depend on the slots of others: both padding modes, thoughts and pauses', async () => {
    for (const mode of ['coconut', 'pause'] as const) {
      for (const options of [
        { ...prosqa, mode, padToMax: false },
        { ...prosqa, mode, maxStage: 2 },
      ]) {
        for (const epoch of [0, 10, 40]) {
          const skipped = samples.map(({ steps }) =>
            trainingStage(options, stageAt(options, epoch), steps.length, random),
          )
          const weights = samples.map((sample, i) => taught(sample, skipped[i]!.skipped))
          const alone = await Promise.all(samples.map((sample) => lossOf([sample], options, epoch)))
          const expected = (alone[0]! * weights[0]! + alone[1]! * weights[1]!) / (weights[0]! + weights[1]!)
          expect(await lossOf(samples, options, epoch)).toBeCloseTo(expected, 5)
        }
      }
    }
  })

  it('takes a batch with fewer columns than slots are asked for', async () => {
    const batch = stageBatch(samples, prosqa, 10, new Random(2), markers, lengths)
    const lossWith = async (slots: number): Promise<number> =>
      (await trainerOf().evaluate(textObjective(tinyGpt, slots), batch)).loss!
    expect(await lossWith(batch.behind!.shape[1]! + 3)).toBeCloseTo(await lossWith(batch.behind!.shape[1]!), 6)
  })

  it('reads pauses in one pass as in many', async () => {
    const batch = stageBatch(samples, { ...prosqa, mode: 'pause' }, 10, new Random(2), markers, lengths)
    const none = { ...batch, thoughts: { ...batch.thoughts!, data: new Int32Array(2) } }
    const [single, multiple] = await Promise.all(
      [textObjective(tinyGpt, 0), textObjective(tinyGpt, 2)].map((objective) => trainerOf().evaluate(objective, none)),
    )
    expect(multiple!.loss).toBeCloseTo(single!.loss!, 5)
  })

  it('falls while thoughts are trained', async () => {
    const batch = stageBatch(samples, prosqa, 10, new Random(2), markers, lengths)
    const trainer = trainerOf()
    const losses: number[] = []
    for (let i = 0; i < 12; i++) losses.push((await trainer.step(textObjective(tinyGpt, 2), [batch], 1e-2)).loss!)
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2)
  })
})

describe('new markers', () => {
  it('copy a row, take the mean, or are drawn', () => {
    const weights = initialWeights(tinyGpt, new Random(1), { deviation: 0.3 })
    const table = weights.get('wte.weight')!
    const row = (tensor: typeof table, index: number): number[] => [...tensor.data.slice(index * 16, (index + 1) * 16)]
    const copied = withMarkers(weights, 3, { copyOf: 5 }).get('wte.weight')!
    expect(copied.shape).toEqual([26, 16])
    expect(row(copied, 25)).toEqual(row(table, 5))
    expect(row(copied, 7)).toEqual(row(table, 7))
    const mean = withMarkers(weights, 1, 'mean').get('wte.weight')!
    const expected = Array.from({ length: 23 }, (_, i) => row(table, i)[3]!).reduce((sum, value) => sum + value) / 23
    expect(row(mean, 23)[3]).toBeCloseTo(expected, 6)
    const drawn = withMarkers(weights, 2, { deviation: 0.02, random: new Random(4) }).get('wte.weight')!
    expect(row(drawn, 23)).not.toEqual(row(drawn, 24))
    expect(Math.max(...row(drawn, 24).map(Math.abs))).toBeLessThan(0.15)
  })
})
