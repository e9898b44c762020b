/**
 * A training run that can be stopped at any moment and taken up again, bit for bit: weights, moments, the step's number,
 * the curriculum's progress and the recipe are one safetensors file. The data's position is the step's number.
 */

import { type Backend, FormatError, type HostTensor } from '@afterthought/core'
import { parseSafetensors, writeSafetensors } from '@afterthought/core/io'
import type { Course, Progress } from './course.ts'
import { type Batch, initialState, type Report, Trainer, type TrainingState, weightKey } from './step.ts'

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

/** What a run had come to when its checkpoint was written. */
export interface Checkpoint {
  /** Of the run's course, as JSON. */
  readonly recipe: unknown
  readonly state: TrainingState
  readonly position: Position
}

interface Position {
  readonly done: number
  /** Optimiser steps since the moments were zero. */
  readonly moments: number
  readonly progress: Progress
}

/** @throws FormatError if the bytes are no checkpoint */
export async function readCheckpoint(bytes: Uint8Array): Promise<Checkpoint> {
  const { metadata, tensors } = await parseSafetensors(bytes, 'checkpoint')
  if (metadata.format !== FORMAT) {
    throw new FormatError('not a training checkpoint', {
      where: 'checkpoint',
      expected: FORMAT,
      actual: metadata.format,
    })
  }
  const state = new Map<string, HostTensor>()
  for (const [key, tensor] of tensors) {
    state.set(key, { shape: tensor.shape, dtype: 'f32', data: await tensor.read() })
  }
  return { recipe: JSON.parse(metadata.recipe!), state, position: JSON.parse(metadata.position!) as Position }
}

export class TrainingRun {
  readonly course: Course
  readonly trainer: Trainer
  private done: number
  private progress: Progress
  private prepared: readonly Batch[] | undefined

  private constructor(course: Course, trainer: Trainer, done: number, progress: Progress) {
    this.course = course
    this.trainer = trainer
    this.done = done
    this.progress = progress
  }

  static async start(course: Course, backend: Backend): Promise<TrainingRun> {
    const trainer = new Trainer(backend, initialState(await course.firstWeights()), course.recipe.optimizer)
    return new TrainingRun(course, trainer, 0, course.start())
  }

  /**
   * Goes on bit for bit as the run that wrote the checkpoint would have on the same backend.
   *
   * @param course of the checkpoint's recipe
   */
  static resume({ state, position }: Checkpoint, course: Course, backend: Backend): TrainingRun {
    const trainer = new Trainer(backend, state, course.recipe.optimizer, position.moments)
    return new TrainingRun(course, trainer, position.done, position.progress)
  }

  get steps(): number {
    return this.done
  }

  get finished(): boolean {
    return this.done >= this.course.steps
  }

  /** One step. @throws NumericError if it diverges */
  async step(): Promise<StepRecord> {
    const { course, done } = this
    const { phase, task, objective, rate, thoughts, resets = false } = course.plan(done, this.progress)
    const batches = this.prepared ?? course.batches(done)
    if (resets) this.trainer.resetMoments()
    const running = this.trainer.step(objective, batches, rate)
    // The next step's data is made while the backend computes.
    this.prepared = done + 1 < course.steps ? course.batches(done + 1) : undefined
    const report = await running
    this.progress = course.observe(done, this.progress, report)
    this.done++
    const tokens = batches.reduce((sum, batch) => sum + tokensOf(batch, thoughts), 0)
    return { step: this.done, phase, task, thoughts, learningRate: rate, tokens, report }
  }

  /** Everything, as one file. */
  async checkpoint(): Promise<Uint8Array> {
    const position: Position = { done: this.done, moments: this.trainer.steps, progress: this.progress }
    const metadata = { format: FORMAT, recipe: JSON.stringify(this.course.recipe), position: JSON.stringify(position) }
    return writeSafetensors(await this.trainer.download(), metadata)
  }

  /** The model as files of a folder that `loadModel` reads. */
  async model(): Promise<Readonly<Record<string, Uint8Array | string>>> {
    const prefix = weightKey('')
    const weights = [...(await this.trainer.download())].filter(([key]) => key.startsWith(prefix))
    const named = new Map(weights.map(([key, tensor]) => [key.slice(prefix.length), tensor]))
    return { 'model.safetensors': writeSafetensors(named, { format: 'pt' }), ...this.course.files(this.done) }
  }

  async dispose(): Promise<void> {
    await this.trainer.dispose()
  }
}

/** Columns of a batch, padding included, and latent steps. */
function tokensOf({ ids, asks, behind }: Batch, thoughts: number): number {
  const [, width, questions] = asks?.shape ?? [0, 0, 0]
  const columns = ids!.shape[1]! + (behind?.shape[1] ?? 0) + (width! + thoughts) * questions!
  return ids!.shape[0]! * columns
}
