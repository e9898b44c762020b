import { loadModel, reference } from '@afterthought/core'
import type { Dataset } from '@afterthought/core/data'
import { memoryFolder } from '@afterthought/core/io'
import { describe, expect, it } from 'vitest'
import { finish } from '../test/finish.ts'
import { tinyBase, tinyFiles, tinySums, tinyTextRecipe } from '../test/tiny-text.ts'
import { readCheckpoint } from './checkpoint.ts'
import { TrainingRun } from './run.ts'
import { TextCourse } from './text-course.ts'
import { parseTextRecipe } from './text-recipe.ts'
import { textAccuracy } from './validation.ts'

const open = (changes: object = {}, dataset: Dataset = tinySums, base = tinyBase()): Promise<TextCourse> =>
  TextCourse.open({ ...tinyTextRecipe, ...changes }, { base, dataset })

describe('a course over text', () => {
  it('replaces a step by a thought with every stage, and asks every question once an epoch', async () => {
    const course = await open()
    expect(course.steps).toBe(8) // 5 questions in batches of 4: two steps an epoch
    const plans = Array.from({ length: course.steps }, (_, step) => course.plan(step))
    expect(plans.map(({ thoughts }) => thoughts)).toEqual([0, 0, 1, 1, 2, 2, 2, 2])
    expect(plans.map(({ resets }) => resets)).toEqual([false, false, true, false, true, false, true, false])
    const asked = [0, 1].flatMap((step) =>
      course.batches(step).flatMap(({ ids }) => {
        const [rows, columns] = ids!.shape as [number, number]
        return Array.from({ length: rows }, (_, b) => `${ids!.data.slice(b * columns, (b + 1) * columns)}`)
      }),
    )
    expect(asked.length).toBe(8)
    expect(new Set(asked).size).toBe(5)
    expect(course.apart).toBe(0)
  })

  it('pads questions of any length to few widths, the greatest no wider than it must be', async () => {
    const files = tinyFiles()
    const config = { ...JSON.parse(files['config.json'] as string), n_positions: 512 }
    const base = memoryFolder('tiny', { ...files, 'config.json': JSON.stringify(config) })
    const records = Array.from({ length: 210 }, (_, i) => ({ ...tinySums.records[0]!, question: '1'.repeat(i + 1) }))
    const course = await open({ batch: 1, accumulate: 1 }, { ...tinySums, records }, base)
    const batches = Array.from({ length: records.length }, (_, step) => course.batches(step)[0]!)
    const widths = new Set(batches.map(({ ids }) => ids!.shape[1]!))
    expect([...widths].sort((a, b) => a - b)).toEqual([32, 64, 96, 128, 192, 224])
  })

  it('learns to answer without writing its steps, and its model says how it is asked', async () => {
    const course = await open({ epochs: 130, batch: 5, accumulate: 1, resets: 'never', schedule: { peak: 1e-2 } })
    const run = await TrainingRun.start(course, reference())
    expect((await run.step()).task).toBe('coconut')
    const { records } = await finish(run)
    expect(records.at(-1)!.report.loss).toBeLessThan(0.1)
    const files = await run.model()
    const model = await loadModel(memoryFolder('sums', files), reference())
    expect(model.latent).toEqual({ format: 'text', latents: 2, startIds: [19], endIds: [20], latentId: 21, tokens: 18 })
    expect(model.config.vocabSize).toBe(22)
    expect(model.tokenizer!.idOf('<|latent|>')).toBe(21)
    expect(await textAccuracy(files, reference(), tinySums.records)).toBe(1)
    const again = await open({}, tinySums, memoryFolder('sums', files))
    expect(again.config.vocabSize, 'markers that are there are used').toBe(22)
  }, 60_000)

  it('is the same bit by bit, whether or not it was taken up from a checkpoint', async () => {
    const backend = reference()
    const whole = await finish(await TrainingRun.start(await open({ stages: uniform }), backend))
    for (const stop of [1, 4]) {
      const first = await TrainingRun.start(await open({ stages: uniform }), backend)
      for (let i = 0; i < stop; i++) await first.step()
      const checkpoint = await readCheckpoint(await first.checkpoint())
      const course = await TextCourse.open(checkpoint.recipe, { base: tinyBase(), dataset: tinySums })
      const second = TrainingRun.resume(checkpoint, course, backend)
      const rest = await finish(second)
      expect(rest.records).toEqual(whole.records.slice(stop))
      expect(rest.state).toEqual(whole.state)
    }
  })

  it('has the controls: without markers the vocabulary stays', async () => {
    for (const mode of ['noThoughts', 'cot', 'noCot'] as const) {
      const course = await open({ stages: { ...tinyTextRecipe.stages, mode } })
      expect(course.config.vocabSize).toBe(19)
      const run = await TrainingRun.start(course, reference())
      expect((await run.step()).thoughts).toBe(0)
      const model = await loadModel(memoryFolder(mode, await run.model()), reference())
      expect(model.latent).toEqual({ format: 'text', latents: 0, startIds: [], endIds: [], tokens: 18 })
    }
    const pause = await open({ stages: { ...tinyTextRecipe.stages, mode: 'pause' } })
    expect(pause.plan(6).thoughts).toBe(0)
    expect(JSON.parse(pause.files(8)['latent_config.json']!)).toMatchObject({ latents: 2, latentId: 21, tokens: 18 })
  })

  it('refuses what it cannot train on', async () => {
    const first = await open()
    const other = { ...tinySums, records: tinySums.records.slice(1) }
    await expect(TextCourse.open(first.recipe, { base: tinyBase(), dataset: other })).rejects.toThrow(/began with/)
    await expect(open({}, { ...tinySums, canary: 'BENCHMARK DATA' })).rejects.toThrow(/never to be trained on/)
    await expect(open({ markers: { copyOf: '<<' } })).rejects.toThrow(/no such token.*"<<"/)
    const steps = Array.from({ length: 20 }, () => '1+2+3=6')
    const long = { ...tinySums, records: [{ ...tinySums.records[0]!, steps }] }
    await expect(open({}, long)).rejects.toThrow(/longer than the model.*at most 128.*from there on/)
    await expect(open({}, { ...tinySums, records: [] })).rejects.toThrow(/no questions/)
  })
})

/** Stages by lot, so that a step's data depends on its stream. */
const uniform = { ...tinyTextRecipe.stages, uniform: 0.5 }

describe('parseTextRecipe', () => {
  it('names what is wrong', () => {
    const refuse = (changes: object, message: RegExp): void => {
      expect(() => parseTextRecipe({ ...tinyTextRecipe, ...changes }, 'r.json')).toThrow(message)
    }
    refuse({ stages: { ...tinyTextRecipe.stages, mode: 'dream' } }, /r\.json: stages: bad "mode"/)
    refuse({ stages: { ...tinyTextRecipe.stages, depth: 3 } }, /stages: bad "depth".*no other key/)
    refuse({ epochs: 0 }, /"epochs"/)
    refuse({ firstEpoch: 4 }, /"firstEpoch".*below epochs/)
    refuse({ resets: 'always' }, /"resets"/)
    refuse({ markers: 'zero' }, /"markers".*copyOf/)
    refuse({ model: undefined }, /"model"/)
    refuse({ batch: 3 }, /"accumulate".*divisor/)
    refuse({ phases: [] }, /"phases".*no other key/)
  })
})
