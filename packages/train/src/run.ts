/**
 * A training run that can be stopped at any moment and taken up again, bit for bit: weights, moments, the step's number,
 * the curriculum's progress and the recipe are one safetensors file. The data's position is the step's number.
 */

import { type Backend, FormatError, type HostTensor } from '@afterthought/core'
import { prosqaTokens, Random } from '@afterthought/core/data'
import { type DecoderConfig, parseSafetensors, writeSafetensors } from '@afterthought/core/io'
import { thoughtBatch } from './batches.ts'
import { Curriculum, type Progress } from './curriculum.ts'
import { thoughtObjective, writtenObjective } from './objectives.ts'
import { CHAIN_TOKENS, MOST_HOPS, type Puzzle } from './puzzles.ts'
import { parseRecipe, type Recipe } from './recipe.ts'
import { type Batch, initialState, type Report, Trainer, weightKey } from './step.ts'
import { initialWeights } from './weights.ts'

/** What a step did. */
export interface StepRecord {
  /** Steps done, this one included. */
  readonly step: number
  readonly phase: number
  readonly task: string
  readonly thoughts: number
  readonly learningRate: number
  /** Columns of the batch, padding included, and latent steps. */
  readonly tokens: number
  readonly report: Report
}

const FORMAT = 'afterthought-training-1'
const MODEL_STREAM = -1
/** Rows of a validation batch. */
const VALIDATION_ROWS = 50

export class TrainingRun {
  readonly recipe: Recipe
  readonly config: DecoderConfig
  readonly curriculum: Curriculum
  readonly trainer: Trainer
  private done: number
  private progress: Progress
  private prepared: readonly Batch[] | undefined

  private constructor(recipe: Recipe, config: DecoderConfig, trainer: Trainer, done: number, progress?: Progress) {
    this.recipe = recipe
    this.config = config
    this.trainer = trainer
    this.done = done
    this.curriculum = new Curriculum(recipe, config)
    this.progress = progress ?? this.curriculum.start()
  }

  /**
   * Begins from random weights, or from those given.
   *
   * @throws ConfigError naming the key of the recipe
   */
  static start(json: unknown, backend: Backend, weights?: ReadonlyMap<string, HostTensor>): TrainingRun {
    const { recipe, config } = parseRecipe(json)
    const first = weights ?? initialWeights(config, new Random(recipe.seed, MODEL_STREAM), recipe.initialization)
    return new TrainingRun(recipe, config, new Trainer(backend, initialState(first), recipe.optimizer), 0)
  }

  /**
   * Goes on from a checkpoint, bit for bit as the run that wrote it would have on the same backend.
   *
   * @throws FormatError if it is none
   */
  static async resume(bytes: Uint8Array, backend: Backend): Promise<TrainingRun> {
    const { metadata, tensors } = await parseSafetensors(bytes, 'checkpoint')
    if (metadata.format !== FORMAT) {
      throw new FormatError('not a training checkpoint', {
        where: 'checkpoint',
        expected: FORMAT,
        actual: metadata.format,
      })
    }
    const { recipe, config } = parseRecipe(JSON.parse(metadata.recipe!))
    const state = new Map<string, HostTensor>()
    for (const [key, tensor] of tensors) {
      state.set(key, { shape: tensor.shape, dtype: 'f32', data: await tensor.read() })
    }
    const { done, moments, progress } = JSON.parse(metadata.position!) as Position
    return new TrainingRun(recipe, config, new Trainer(backend, state, recipe.optimizer, moments), done, progress)
  }

  get steps(): number {
    return this.done
  }

  get finished(): boolean {
    return this.done >= this.curriculum.steps
  }

  /** One step. @throws NumericError if it diverges */
  async step(): Promise<StepRecord> {
    const { curriculum, done } = this
    const { phase, objective, rate, thoughts } = curriculum.plan(done, this.progress)
    const batches = this.prepared ?? curriculum.batches(done)
    const running = this.trainer.step(objective, batches, rate)
    // The next step's data is made while the backend computes.
    this.prepared = done + 1 < curriculum.steps ? curriculum.batches(done + 1) : undefined
    const report = await running
    this.progress = curriculum.observe(done, this.progress, report)
    this.done++
    const tokens = batches.reduce((sum, batch) => sum + tokensOf(batch, thoughts), 0)
    const { task } = this.recipe.phases[phase]!
    return { step: this.done, phase, task, thoughts, learningRate: rate, tokens, report }
  }

  /** Share of puzzles answered right: behind so many thoughts, or behind what the model writes if it is taught to. */
  async accuracy(puzzles: readonly Puzzle[], latents: number): Promise<number> {
    const { config, recipe } = this
    const { slots = 'thoughts' } = recipe.phases.at(-1)!
    const objective = this.writes
      ? writtenObjective(config)
      : thoughtObjective(config, { count: latents, slots, supervised: false })
    const sorted = [...puzzles].sort((a, b) => a.factIds.length - b.factIds.length)
    const longest = sorted.at(-1)?.factIds.length ?? 0
    const lengths = [...recipe.lengths, recipe.lengths.at(-1)! + longest]
    let right = 0
    for (let from = 0; from < sorted.length; from += VALIDATION_ROWS) {
      const part = sorted.slice(from, from + VALIDATION_ROWS)
      const batch = thoughtBatch(part, lengths, config.vocabSize, 'none')
      const { accuracy } = await this.trainer.evaluate(objective, batch)
      right += accuracy! * part.length
    }
    return right / sorted.length
  }

  /** Everything, as one file. */
  async checkpoint(): Promise<Uint8Array> {
    const position: Position = { done: this.done, moments: this.trainer.steps, progress: this.progress }
    const metadata = { format: FORMAT, recipe: JSON.stringify(this.recipe), position: JSON.stringify(position) }
    return writeSafetensors(await this.trainer.download(), metadata)
  }

  /** The model as files of a folder that `loadModel` reads. */
  async model(): Promise<Readonly<Record<string, Uint8Array | string>>> {
    const prefix = weightKey('')
    const weights = [...(await this.trainer.download())].filter(([key]) => key.startsWith(prefix))
    const named = new Map(weights.map(([key, tensor]) => [key.slice(prefix.length), tensor]))
    const latent = {
      format: 'prosqa-symbolic',
      latents: this.recipe.latents,
      startIds: [],
      endIds: this.writes ? [] : [prosqaTokens.answer],
      // Without a marker that was trained, a pause is the mean embedding.
      ...(this.recipe.phases.some(({ slots }) => slots === 'pause') && { latentId: prosqaTokens.latent }),
      tokens: this.writes ? CHAIN_TOKENS : 1,
    }
    return {
      'model.safetensors': writeSafetensors(named, { format: 'pt' }),
      'config.json': `${JSON.stringify(this.recipe.model, undefined, 2)}\n`,
      'latent_config.json': `${JSON.stringify(latent, undefined, 2)}\n`,
    }
  }

  async dispose(): Promise<void> {
    await this.trainer.dispose()
  }

  /** Whether the model is taught to write facts before its answer, to the end. */
  private get writes(): boolean {
    const { task, skip = 0 } = this.recipe.phases.at(-1)!
    return task === 'tokens' && skip < MOST_HOPS
  }
}

/** Columns of a batch, padding included, and latent steps. */
function tokensOf({ ids, asks }: Batch, thoughts: number): number {
  const [, width, questions] = asks?.shape ?? [0, 0, 0]
  return ids!.shape[0]! * (ids!.shape[1]! + (width! + thoughts) * questions!)
}

interface Position {
  readonly done: number
  /** Optimiser steps since the moments were zero. */
  readonly moments: number
  readonly progress: Progress
}
