/** The recipes that come with the package, shrunk to seconds: each trains, and its model is asked as the run asked it. */

import { readFileSync } from 'node:fs'
import { onnx } from '@afterthought/backend-onnx'
import { type Backend, loadModel } from '@afterthought/core'
import { parseProsqaItems, taskOf } from '@afterthought/core/data'
import { evaluate } from '@afterthought/core/evaluation'
import { type JsonObject, memoryFolder } from '@afterthought/core/io'
import {
  Curriculum,
  parseRecipe,
  parseTextRecipe,
  puzzleAccuracy,
  puzzleOf,
  type Recipe,
  TrainingRun,
} from '@afterthought/train'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asset } from './assets.ts'

let backend: Backend
beforeAll(async () => {
  backend = await onnx({ provider: 'cpu', threads: 1 })
})
afterAll(() => backend.dispose())

const json = (path: string): unknown => JSON.parse(readFileSync(asset(path), 'utf8'))
const recipeNamed = (name: string): Recipe => parseRecipe(json(`recipes/${name}.json`), name).recipe

const items = parseProsqaItems(json('data/prosqa-validation.json'), 'validation')
const puzzles = items.map(puzzleOf)

/** The same phases for a few steps on tiny graphs, with a model of a tenth of the weights. */
function shrunk(recipe: Recipe): unknown {
  const model: JsonObject = { ...recipe.model, hidden_size: 32, intermediate_size: 64, head_dim: 16 }
  const phases = recipe.phases.map((phase, i) => {
    const steps = i === recipe.phases.length - 1 ? LAST : BEFORE
    const ladder = phase.thoughts === 'ladder' ? { pass: 0.01 } : {}
    return { ...phase, ...ladder, graphs: ['tiny'], steps, rate: 1 }
  })
  return { ...recipe, model, batch: 16, schedule: { peak: 4e-3, warmup: 20 }, phases, keep: {} }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const [BEFORE, LAST] = [8, 60]
/** Phases of looking up neighbours, with which every recipe begins. */
const QUERIES = 3
const textNames = ['coconut-prosqa', 'coconut-gsm8k']
const names = ['prosqa', 'prosqa-pause', 'prosqa-cot', 'prosqa-no-cot', 'prosqa-curriculum']

/** Weights after the look-ups, recipe by recipe. */
const beginnings: Buffer[] = []
const weightsOf = async (training: TrainingRun): Promise<Buffer> =>
  Buffer.from((await training.model())['model.safetensors'] as Uint8Array)

for (const name of names) {
  describe(name, () => {
    const recipe = recipeNamed(name)

    it('has the budget of prosqa, and its beginning: with one seed they share a space', () => {
      const main = recipeNamed('prosqa')
      const budget = ({ phases }: Recipe): number => phases.reduce((sum, phase) => sum + phase.steps, 0)
      expect(budget(recipe)).toBe(budget(main))
      const same = ({ phases, latents, keep, ...rest }: Recipe): object => ({
        ...rest,
        begins: phases.slice(0, QUERIES),
      })
      expect(same(recipe)).toEqual(same(main))
      expect(recipe.schedule.hold! * budget(recipe)).toBeGreaterThan(
        budget({ ...recipe, phases: recipe.phases.slice(0, QUERIES) }),
      )
    })

    it('trains, and its model answers when it is loaded as it did in the run', async () => {
      const course = new Curriculum(shrunk(recipe))
      const training = await TrainingRun.start(course, backend)
      const losses: number[] = []
      while (!training.finished) {
        losses.push((await training.step()).report.loss!)
        if (losses.length === QUERIES * BEFORE) beginnings.push(await weightsOf(training))
      }
      expect(beginnings.at(-1)!.equals(beginnings[0]!), 'what the look-ups taught').toBe(true)
      const last = losses.slice(-LAST)
      expect(mean(last.slice(-5))).toBeLessThan(0.95 * mean(last.slice(0, 5)))
      const accuracy = await puzzleAccuracy(training.trainer, course, puzzles, recipe.latents)
      const model = await loadModel(memoryFolder(name, await training.model()), backend)
      const pause = recipe.phases.at(-1)!.slots === 'pause' ? { replace: 'pause' as const } : {}
      const settings = { name, latents: model.latent!.latents, ...pause }
      const row = await evaluate({ main: model }, items, { task: taskOf(model), settings })
      const right = row.items.filter(({ correct }) => correct).length
      expect(right).toBe(Math.round(accuracy * items.length))
      await training.dispose()
    })
  })
}

it('prosqa ends a step with the same bytes whatever the number of threads', async () => {
  const { phases, ...recipe } = recipeNamed('prosqa')
  const states: Buffer[] = []
  for (const threads of [1, 2, 4]) {
    const backend = await onnx({ provider: 'cpu', threads })
    const last = { ...recipe, phases: [{ ...phases.at(-1)!, steps: 1 }], keep: {} }
    const training = await TrainingRun.start(new Curriculum(last), backend)
    await training.step()
    states.push(Buffer.from(await training.checkpoint()))
    await training.dispose()
    await backend.dispose()
  }
  for (const state of states) expect(state.equals(states[0]!)).toBe(true)
})

describe('the recipes for text', () => {
  it.each(textNames)('%s is whole but for what it is given', (name) => {
    const given = { model: 'gpt2', data: 'train.json', validation: 'valid.json' }
    const recipe = parseTextRecipe({ ...(json(`recipes/${name}.json`) as JsonObject), ...given }, name)
    expect(recipe.stages.mode).toBe('coconut')
    expect(recipe.resets, 'as in the release').toBe('epoch')
  })
})
