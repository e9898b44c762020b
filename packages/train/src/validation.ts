/** How often a model under training answers right, on questions that it is not taught. */

import { type Backend, loadModel } from '@afterthought/core'
import { type QuestionRecord, taskOf } from '@afterthought/core/data'
import { type EvaluationSettings, evaluate } from '@afterthought/core/evaluation'
import { memoryFolder } from '@afterthought/core/io'
import { thoughtBatch } from './batches.ts'
import type { Curriculum } from './curriculum.ts'
import { thoughtObjective, writtenObjective } from './objectives.ts'
import type { Puzzle } from './puzzles.ts'
import type { Trainer } from './step.ts'

/** Rows of a validation batch. */
const ROWS = 50

/** Share of puzzles answered right: behind so many thoughts, or behind what the model writes if it is taught to. */
export async function puzzleAccuracy(
  trainer: Trainer,
  { recipe, config, writes }: Curriculum,
  puzzles: readonly Puzzle[],
  latents: number,
): Promise<number> {
  const { slots = 'thoughts' } = recipe.phases.at(-1)!
  const objective = writes
    ? writtenObjective(config)
    : thoughtObjective(config, { count: latents, slots, supervised: false })
  const sorted = [...puzzles].sort((a, b) => a.factIds.length - b.factIds.length)
  const longest = sorted.at(-1)?.factIds.length ?? 0
  const lengths = [...recipe.lengths, recipe.lengths.at(-1)! + longest]
  let right = 0
  for (let from = 0; from < sorted.length; from += ROWS) {
    const part = sorted.slice(from, from + ROWS)
    const batch = thoughtBatch(part, lengths, config.vocabSize, 'none')
    const { accuracy } = await trainer.evaluate(objective, batch)
    right += accuracy! * part.length
  }
  return right / sorted.length
}

/**
 * Share of questions whose written answer is right, by Coconut's rule.
 *
 * @param files of the model as it is, see `TrainingRun.model`
 * @param backend one that is disposed of afterwards: it keeps the weights
 * @param settings thoughts before the answer, by default what the model says of itself, and what stands in their place
 */
export async function textAccuracy(
  files: Readonly<Record<string, Uint8Array | string>>,
  backend: Backend,
  records: readonly QuestionRecord[],
  settings: Partial<EvaluationSettings> = {},
): Promise<number> {
  const main = await loadModel(memoryFolder('trained', files), backend)
  const asked = { name: 'validation', latents: main.latent!.latents, ...settings }
  const { items } = await evaluate({ main }, records, { task: taskOf(main), settings: asked })
  await main.dispose()
  return items.filter(({ correct }) => correct).length / items.length
}
