import { reference } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { describe, expect, it } from 'vitest'
import { tinyRecipe } from '../test/tiny-recipe.ts'
import { thoughtBatch, tokenBatch } from './batches.ts'
import { thoughtObjective, tokenObjective } from './objectives.ts'
import { drawPuzzle, type Puzzle } from './puzzles.ts'
import { parseRecipe } from './recipe.ts'
import { type Batch, initialState, type Objective, Trainer } from './step.ts'
import { initialWeights } from './weights.ts'

const QUESTIONS = 3
const lengths = [40]
const { config } = parseRecipe(tinyRecipe)

const drawn = (): Puzzle[] => {
  const random = new Random(2)
  return Array.from({ length: 2 }, () => drawPuzzle(random, 'tiny', QUESTIONS))
}
const only = (puzzles: readonly Puzzle[], k: number): Puzzle[] =>
  puzzles.map((puzzle) => ({ ...puzzle, questions: [puzzle.questions[k]!] }))

describe('questions side by side', () => {
  const trainer = new Trainer(reference(), initialState(initialWeights(config, new Random(1))))
  const lossOf = async (objective: Objective, batch: Batch): Promise<number> =>
    (await trainer.evaluate(objective, batch)).loss!

  for (const slots of ['thoughts', 'pause'] as const) {
    it(`are answered as if each were alone: ${slots}`, async () => {
      const objective = thoughtObjective(config, { count: 3, slots, supervised: false })
      const batchOf = (puzzles: readonly Puzzle[]): Batch => thoughtBatch(puzzles, lengths, config.vocabSize, 'none')
      const alone = await Promise.all([0, 1, 2].map((k) => lossOf(objective, batchOf(only(drawn(), k)))))
      expect(new Set(alone).size).toBe(QUESTIONS)
      const mean = alone.reduce((sum, loss) => sum + loss) / QUESTIONS
      expect(await lossOf(objective, batchOf(drawn()))).toBeCloseTo(mean, 5)
    })
  }

  it('are written as if each were alone', async () => {
    const objective = tokenObjective(config)
    const batchOf = (puzzles: readonly Puzzle[]): Batch => tokenBatch(new Random(5), puzzles, lengths, 6)
    const alone = await Promise.all([0, 1, 2].map((k) => lossOf(objective, batchOf(only(drawn(), k)))))
    const mean = alone.reduce((sum, loss) => sum + loss) / QUESTIONS
    expect(await lossOf(objective, batchOf(drawn()))).toBeCloseTo(mean, 5)
  })
})
