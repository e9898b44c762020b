/** What `train` needs beside a recipe: the course itself, and a way to tell how often its model answers right. */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Dataset, parseProsqaItems, type QuestionRecord, readRecords } from '@afterthought/core/data'
import type { Course, Curriculum, TextCourse, TrainingRun } from '@afterthought/train'
import { asset } from './assets.ts'
import { type BackendValues, openBackend } from './backend.ts'
import { readJson, readText } from './files.ts'
import { openModelFolder } from './models.ts'
import type { Output } from './output.ts'
import { UsageError } from './usage-error.ts'

/** Shares of validation questions answered right. */
export interface Validation {
  readonly n: number
  readonly accuracy: number
  /** Where there are thoughts to leave out. */
  readonly withoutThoughts?: number
}

export interface PreparedCourse {
  readonly course: Course
  validate(run: TrainingRun): Promise<Validation>
}

export interface CourseValues extends BackendValues {
  readonly seed?: number | undefined
  readonly model?: string | undefined
  readonly data?: string | undefined
  readonly validation?: string | undefined
}

/** The course of a recipe as a file has it, with what the options say in place of it. */
export async function beginCourse(
  json: unknown,
  where: string,
  values: CourseValues,
  output: Output,
): Promise<PreparedCourse> {
  const { isTextRecipe } = await import('@afterthought/train')
  const { seed, model, data, validation } = values
  const own = seed === undefined ? {} : { seed }
  if (!isTextRecipe(json)) {
    for (const name of ['model', 'data'] as const) {
      if (values[name] === undefined) continue
      throw new UsageError('has no effect: this recipe begins from nothing and draws its questions', {
        where: `--${name}`,
      })
    }
    return symbolicCourse({ ...(json as object), ...own }, values, where)
  }
  const recipe: Record<string, unknown> = { ...(json as object), ...own }
  // Absolute, because the run may be taken up from another folder.
  if (model !== undefined) recipe.model = existsSync(model) ? resolve(model) : model
  for (const [name, path] of Object.entries({ data, validation })) if (path !== undefined) recipe[name] = resolve(path)
  for (const name of ['model', 'data', 'validation']) {
    if (recipe[name] !== undefined) continue
    throw new UsageError('this recipe trains a model further, on questions with their steps', {
      where: `train ${where}`,
      expected: '--model FOLDER --data FILE --validation FILE',
      actual: `no --${name}`,
    })
  }
  return textCourse(recipe, values, output, where)
}

/** The course of a recipe that a checkpoint remembers. */
export async function rememberedCourse(recipe: unknown, values: CourseValues, output: Output): Promise<PreparedCourse> {
  const { isTextRecipe } = await import('@afterthought/train')
  return isTextRecipe(recipe) ? textCourse(recipe, values, output) : symbolicCourse(recipe, values)
}

async function symbolicCourse(recipe: unknown, values: CourseValues, where?: string): Promise<PreparedCourse> {
  const { Curriculum, puzzleAccuracy, puzzleOf } = await import('@afterthought/train')
  const course: Curriculum = new Curriculum(recipe, where)
  const file = values.validation ?? asset('data/prosqa-validation.json')
  const puzzles = parseProsqaItems(await readJson(file), file).map(puzzleOf)
  return {
    course,
    async validate({ trainer }) {
      const { latents } = course.recipe
      const asked = { n: puzzles.length, accuracy: await puzzleAccuracy(trainer, course, puzzles, latents) }
      return latents === 0 ? asked : { ...asked, withoutThoughts: await puzzleAccuracy(trainer, course, puzzles, 0) }
    },
  }
}

async function textCourse(
  json: unknown,
  values: CourseValues,
  output: Output,
  where?: string,
): Promise<PreparedCourse> {
  const { parseTextRecipe, TextCourse, textAccuracy } = await import('@afterthought/train')
  const recipe = parseTextRecipe(json, where)
  const base = await openModelFolder(recipe.model, output)
  const read = async (path: string): Promise<Dataset> => readRecords(await readText(path), path)
  // Both files first: a slip in one should not cost the reading of a model.
  const dataset = await read(recipe.data)
  const { records } = await read(values.validation ?? recipe.validation)
  const course: TextCourse = await TextCourse.open(recipe, { base, dataset }, where)
  if (course.apart > 0) output.note(`${course.apart} questions are other tokens in pieces than as one text`)
  const replace = recipe.stages.mode === 'pause' ? { replace: 'pause' as const } : {}
  return {
    course,
    async validate(run) {
      const files = await run.model()
      const { latents } = JSON.parse(files['latent_config.json'] as string) as { latents: number }
      const asked = { n: records.length, accuracy: await answersRight(files, records, replace) }
      if (latents === 0) return asked
      return { ...asked, withoutThoughts: await answersRight(files, records, { latents: 0 }) }
    },
  }

  /** On a backend of its own, which lets go of the weights when it ends. */
  async function answersRight(
    files: Parameters<typeof textAccuracy>[0],
    questions: readonly QuestionRecord[],
    settings: Parameters<typeof textAccuracy>[3],
  ): Promise<number> {
    const backend = await openBackend(values, () => undefined)
    try {
      return await textAccuracy(files, backend, questions, settings)
    } finally {
      await backend.dispose()
    }
  }
}
