/**
 * The symbolic curriculum (specs: training, "A recipe for symbolic ProsQA"): phases of neighbour queries, of thoughts and
 * of chains in tokens, over graphs that grow. A *ladder* adds a thought whenever the newest is read well enough.
 */

import { CapacityError, type HostTensor } from '@afterthought/core'
import { prosqaTokens, Random } from '@afterthought/core/data'
import type { DecoderConfig } from '@afterthought/core/io'
import { learningRate } from './adamw.ts'
import { queryBatch, thoughtBatch, tokenBatch } from './batches.ts'
import type { Course, Plan, Progress } from './course.ts'
import { jsonFile } from './json-file.ts'
import { queryObjective, thoughtObjective, tokenObjective } from './objectives.ts'
import { ASK_TOKENS, drawPuzzle, type GraphSize, MOST_HOPS, type Puzzle, WRITTEN_TOKENS } from './puzzles.ts'
import { type Phase, parseRecipe, type Recipe } from './recipe.ts'
import { refuseLateKeep } from './recipe-parts.ts'
import type { Batch, Report } from './step.ts'
import { initialWeights } from './weights.ts'

const LOWEST: Progress = { thoughts: 1, mass: 0 }
/** Stream of the seed that first weights are drawn from; steps have those from 0 on. */
const MODEL_STREAM = -1

/** Batches are cut from one pool sorted by length, so that little of a batch is padding. */
const POOL = 4
/** Graphs that are drawn for a row before it is clear that none fits. */
const ATTEMPTS = 1000
/** Weight of one step in the ladder's moving average. */
const SMOOTHING = 0.02

export class Curriculum implements Course {
  readonly recipe: Recipe
  readonly config: DecoderConfig
  readonly steps: number
  private pool: { readonly key: string; readonly batches: readonly (readonly Puzzle[])[] } | undefined

  /** @throws ConfigError naming the key of the recipe */
  constructor(json: unknown, where?: string) {
    const { recipe, config } = parseRecipe(json, where)
    this.recipe = recipe
    this.config = config
    this.steps = recipe.phases.reduce((sum, { steps }) => sum + steps, 0)
    refuseLateKeep(recipe, this.steps, where)
  }

  /** Whether the model is taught to write facts before its answer, to the end. */
  get writes(): boolean {
    const { task, skip = 0 } = this.recipe.phases.at(-1)!
    return task === 'tokens' && skip < MOST_HOPS
  }

  async firstWeights(): Promise<ReadonlyMap<string, HostTensor>> {
    const { seed, initialization } = this.recipe
    return initialWeights(this.config, new Random(seed, MODEL_STREAM), initialization)
  }

  start(): Progress {
    return LOWEST
  }

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
    return { phase, task, objective: objectives[task](), rate, thoughts: count }
  }

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

  observe(step: number, { thoughts, mass }: Progress, report: Report): Progress {
    const phase = this.phaseAt(step)
    const { thoughts: kind, pass = 0.9, most = MOST_HOPS } = this.recipe.phases[phase]!
    if (kind !== 'ladder' || this.phaseAt(step + 1) !== phase) return LOWEST
    const next = mass + SMOOTHING * (report.newest! - mass)
    return next > pass && thoughts < most ? { thoughts: thoughts + 1, mass: 0 } : { thoughts, mass: next }
  }

  files(): Readonly<Record<string, string>> {
    const { latents, model, phases } = this.recipe
    const latent = {
      format: 'prosqa-symbolic',
      latents,
      startIds: [],
      endIds: this.writes ? [] : [prosqaTokens.answer],
      // Without a marker that was trained, a pause is the mean embedding.
      ...(phases.some(({ slots }) => slots === 'pause') && { latentId: prosqaTokens.latent }),
      tokens: this.writes ? WRITTEN_TOKENS : 1,
    }
    return { 'config.json': jsonFile(model), 'latent_config.json': jsonFile(latent) }
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
      const rows = Array.from({ length: POOL * batch }, () => fittingPuzzle(random, size, questions, lengths.at(-1)!))
      rows.sort((a, b) => a.factIds.length - b.factIds.length)
      const batches = Array.from({ length: POOL }, (_, i) => rows.slice(i * batch, (i + 1) * batch))
      this.pool = { key, batches: random.shuffle(batches) }
    }
    return this.pool.batches[step % POOL]!
  }
}

/** @throws CapacityError if graphs of that size do not fit into a row of so many tokens */
function fittingPuzzle(random: Random, size: GraphSize, questions: number, longest: number): Puzzle {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const puzzle = drawPuzzle(random, size, questions)
    if (puzzle.factIds.length + ASK_TOKENS <= longest) return puzzle
  }
  throw new CapacityError(`${size} graphs do not fit`, {
    where: 'recipe: lengths',
    expected: `room for one of ${ATTEMPTS} graphs with its question`,
    actual: `${longest} tokens`,
    hint: 'Raise the greatest of "lengths"',
  })
}
