/** A training run, which can be stopped at any moment and taken up again, bit for bit (`checkpoint.ts`). */

import type { Backend } from '@afterthought/core'
import { writeSafetensors } from '@afterthought/core/io'
import { type Checkpoint, refuseOthers, writeCheckpoint } from './checkpoint.ts'
import type { Course, Progress } from './course.ts'
import { type Batch, initialState, type Report, Trainer, weightKey } from './step.ts'

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

export class TrainingRun {
  readonly course: Course
  readonly trainer: Trainer
  private done: number
  private progress: Progress
  private prepared: readonly Batch[] | undefined
  private stretch = ''

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
   * @throws FormatError if the checkpoint is not of the course's model
   */
  static resume(checkpoint: Checkpoint, course: Course, backend: Backend): TrainingRun {
    refuseOthers(checkpoint, course)
    const { state, position } = checkpoint
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
    await this.enter(`${phase} ${thoughts}`)
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

  /** Steps of one phase and one number of thoughts share their programs, and no course comes back to an earlier one. */
  private async enter(stretch: string): Promise<void> {
    if (this.stretch !== stretch) await this.trainer.forgetPrograms()
    this.stretch = stretch
  }

  /** Everything, as one file. */
  async checkpoint(): Promise<Uint8Array> {
    const position = { done: this.done, moments: this.trainer.steps, progress: this.progress }
    return writeCheckpoint({ recipe: this.course.recipe, state: await this.trainer.download(), position })
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
