/**
 * The symbolic curriculum (specs: training, "A recipe for symbolic ProsQA"): phases of neighbour queries, of thoughts and
 * of chains in tokens, over graphs that grow. A *ladder* adds a thought whenever the newest is read well enough.
 *
 * What a step does is a function of the seed, the step's number and the progress below: that is all a checkpoint keeps
 * of the data's position.
 */

import { Random } from '@afterthought/core/data'
import type { DecoderConfig } from '@afterthought/core/io'
import { learningRate } from './adamw.ts'
import { queryBatch, thoughtBatch, tokenBatch } from './batches.ts'
import { queryObjective, thoughtObjective, tokenObjective } from './objectives.ts'
import { ASK_TOKENS, drawPuzzle, MOST_HOPS, type Puzzle } from './puzzles.ts'
import type { Phase, Recipe } from './recipe.ts'
import type { Batch, Objective, Report } from './step.ts'

/** What a curriculum remembers from step to step: the rung of its ladder. */
export interface Progress {
  readonly thoughts: number
  /** Moving average of the newest thought's mass. */
  readonly mass: number
}

const LOWEST: Progress = { thoughts: 1, mass: 0 }

/** What one step does, beside its data. */
export interface Plan {
  /** Index of the phase. */
  readonly phase: number
  readonly objective: Objective
  readonly rate: number
  readonly thoughts: number
}

/** Batches are cut from one pool sorted by length, so that little of a batch is padding. */
const POOL = 4
/** Weight of one step in the ladder's moving average. */
const SMOOTHING = 0.02

export class Curriculum {
  readonly steps: number
  private readonly recipe: Recipe
  private readonly config: DecoderConfig
  private pool: { readonly key: string; readonly batches: readonly (readonly Puzzle[])[] } | undefined

  constructor(recipe: Recipe, config: DecoderConfig) {
    this.recipe = recipe
    this.config = config
    this.steps = recipe.phases.reduce((sum, { steps }) => sum + steps, 0)
  }

  /** Before the first step. */
  start(): Progress {
    return LOWEST
  }

  /** @param step counted from 0, here and below */
  plan(step: number, progress: Progress): Plan {
    const { recipe, config } = this
    const phase = this.phaseAt(step)
    const { task, rate: factor = 1, thoughts: wanted = 0, slots = 'thoughts' } = recipe.phases[phase]!
    const count = wanted === 'ladder' ? progress.thoughts : wanted
    const supervised = recipe.supervision !== 'none' && count > 0
    const truncate = recipe.truncate === undefined ? {} : { truncate: recipe.truncate }
    const objectives = {
      queries: () => queryObjective(config),
      tokens: () => tokenObjective(config),
      thoughts: () => thoughtObjective(config, { count, slots, supervised, ...truncate }),
    }
    const rate = learningRate(recipe.schedule, step + 1, this.steps) * factor
    return { phase, objective: objectives[task](), rate, thoughts: count }
  }

  /** The data of a step, one batch per micro-batch: no progress changes it, so it can be made ahead. */
  batches(step: number): readonly Batch[] {
    const { seed, batch, accumulate, phases } = this.recipe
    const phase = phases[this.phaseAt(step)]!
    const puzzles = this.puzzles(step, phase)
    const size = batch / accumulate
    const random = new Random(seed, 2 * step + 1)
    return Array.from({ length: accumulate }, (_, i) =>
      this.batch(random, phase, puzzles.slice(i * size, (i + 1) * size)),
    )
  }

  /** Progress after a step that reported `report`. */
  observe(step: number, { thoughts, mass }: Progress, report: Report): Progress {
    const phase = this.phaseAt(step)
    const { thoughts: kind, pass = 0.9, most = MOST_HOPS } = this.recipe.phases[phase]!
    if (kind !== 'ladder' || this.phaseAt(step + 1) !== phase) return LOWEST
    const next = mass + SMOOTHING * (report.newest! - mass)
    return next > pass && thoughts < most ? { thoughts: thoughts + 1, mass: 0 } : { thoughts, mass: next }
  }

  private phaseAt(step: number): number {
    let end = 0
    const index = this.recipe.phases.findIndex(({ steps }) => {
      end += steps
      return step < end
    })
    return index < 0 ? this.recipe.phases.length : index
  }

  private batch(random: Random, phase: Phase, puzzles: readonly Puzzle[]): Batch {
    const { lengths, supervision, queries: count } = this.recipe
    const { vocabSize } = this.config
    switch (phase.task) {
      case 'queries':
        return queryBatch(random, puzzles, lengths, vocabSize, { count, superposed: phase.superposed ?? 1 })
      case 'thoughts':
        return thoughtBatch(puzzles, lengths, vocabSize, supervision)
      default:
        return tokenBatch(random, puzzles, lengths, phase.skip ?? 0)
    }
  }

  private puzzles(step: number, phase: Phase): readonly Puzzle[] {
    const { seed, batch, lengths } = this.recipe
    const questions = phase.task === 'queries' ? 1 : this.recipe.questions
    const group = Math.floor(step / POOL)
    const key = `${group} ${questions} ${phase.graphs}`
    if (this.pool?.key !== key) {
      const random = new Random(seed, 2 * group)
      const size = random.choice(phase.graphs)
      const rows: Puzzle[] = []
      while (rows.length < POOL * batch) {
        const puzzle = drawPuzzle(random, size, questions)
        if (puzzle.factIds.length + ASK_TOKENS <= lengths.at(-1)!) rows.push(puzzle)
      }
      rows.sort((a, b) => a.factIds.length - b.factIds.length)
      const batches = Array.from({ length: POOL }, (_, i) => rows.slice(i * batch, (i + 1) * batch))
      this.pool = { key, batches: random.shuffle(batches) }
    }
    return this.pool.batches[step % POOL]!
  }
}
