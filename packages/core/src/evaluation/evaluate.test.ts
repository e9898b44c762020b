import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type QuestionRecord, readRecords } from '../data/formats.ts'
import { Random } from '../data/random.ts'
import { taskOf } from '../data/task.ts'
import { AbortedError, ArgumentError } from '../errors.ts'
import { openFolder } from '../files/hub.ts'
import type { ThoughtModels } from '../latent/programs.ts'
import { loadModel } from '../models/language-model.ts'
import { reference } from '../reference/backend.ts'
import { type EvaluateOptions, type EvaluationSettings, evaluate, permuted } from './evaluate.ts'
import type { ItemRecord, RowInput } from './report.ts'

const cli = new URL('../../../cli/', import.meta.url)
let models: Required<ThoughtModels>
let records: readonly QuestionRecord[]

beforeAll(async () => {
  const backend = reference()
  const load = async (name: string): Promise<ThoughtModels['main']> =>
    loadModel(await openFolder(new URL(`models/prosqa/${name}`, cli).pathname), backend)
  models = { main: await load('main'), good: await load('good'), bad: await load('bad') }
  records = readRecords(readFileSync(new URL('data/prosqa-sample.json', cli), 'utf8'), 'sample').records.slice(0, 6)
})

const run = (settings: Partial<EvaluationSettings>, options: Partial<EvaluateOptions> = {}): Promise<RowInput> =>
  evaluate(models, records, {
    task: taskOf(models.main),
    settings: { name: 'row', latents: 4, ...settings },
    batch: 3,
    ...options,
  })
const answers = ({ items }: RowInput): readonly (readonly number[])[] => items.map((item) => item.answerIds)

describe('evaluate', () => {
  it('answers every question in order, with what is needed to judge it', async () => {
    const row = await run({})
    expect(row.items.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
    for (const item of row.items) {
      expect(item).toMatchObject({ row: 'row', latents: 4, tokens: 1, gold: records[item.index]!.answer })
      expect(item.correct).toBe(item.answer === item.gold)
      // These questions have exactly two answers that the model ever gives.
      expect(item.twoWay).toBe(item.correct)
    }
    expect(row.items.filter(({ correct }) => correct).length).toBeGreaterThanOrEqual(5)
    expect(row.ms).toBeCloseTo(
      row.items.reduce((sum, { ms }) => sum + ms, 0),
      6,
    )
  })

  it.each<Partial<EvaluationSettings>>([
    {},
    { replace: 'noise' },
    { replace: 'other-question' },
    { replace: 'permute' },
    { refinement: { search: { step: 0.5 }, control: 'randomDirection' } },
  ])('does not depend on the batch: %j', async (settings) => {
    expect(answers(await run(settings, { batch: 4 }))).toEqual(answers(await run(settings, { batch: 1 })))
  })

  it('without thoughts, or with those of another question, it is guessing', async () => {
    for (const settings of [{ latents: 0 }, { replace: 'zero' }, { replace: 'other-question' }] as const) {
      const row = await run(settings)
      expect(row.items.filter(({ correct }) => correct).length).toBeLessThan(6)
    }
  })

  it('continues where an earlier run stopped', async () => {
    const whole = await run({})
    const seen: ItemRecord[] = []
    const controller = new AbortController()
    const interrupted = run(
      {},
      {
        signal: controller.signal,
        onItems: (items) => {
          seen.push(...items)
          controller.abort()
        },
      },
    )
    await expect(interrupted).rejects.toThrow(AbortedError)
    expect(seen.length).toBe(3)
    const computed: ItemRecord[] = []
    const onItems = (items: readonly ItemRecord[]): void => {
      computed.push(...items)
    }
    const resumed = await run({}, { known: seen, onItems })
    expect(computed.length).toBe(3)
    expect(answers(resumed)).toEqual(answers(whole))
  })

  it('refuses a question of another kind, naming it', async () => {
    const mixed = [records[0]!, { question: 'What is 2 + 2?', steps: [], answer: '4' }]
    const options = { task: taskOf(models.main), settings: { name: 'row', latents: 1 } }
    await expect(evaluate(models, mixed, options)).rejects.toThrow(/question 1/)
  })

  it('refuses thoughts of another question where there is none', async () => {
    const options = {
      task: taskOf(models.main),
      settings: { name: 'row', latents: 1, replace: 'other-question' },
    } as const
    await expect(evaluate(models, records.slice(0, 1), options)).rejects.toThrow(ArgumentError)
  })
})

describe('permuted', () => {
  it('keeps the thoughts and moves at least one', () => {
    for (let seed = 0; seed < 50; seed++) {
      const order = permuted([0, 1], new Random(seed))
      expect(order).toEqual([1, 0])
    }
    expect(permuted(['only'], new Random(0))).toEqual(['only'])
  })
})
