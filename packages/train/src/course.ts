/**
 * A course: what a training run goes through, step by step. There are two, the symbolic curriculum (`curriculum.ts`) and
 * Coconut's stages over a text data set (`text-course.ts`); `TrainingRun` takes either.
 *
 * What a step does is a function of the recipe, the step's number and the progress below: that is all a checkpoint keeps
 * of the data's position.
 */

import type { HostTensor } from '@afterthought/core'
import type { DecoderConfig } from '@afterthought/core/io'
import type { AdamWOptions } from './adamw.ts'
import type { Batch, Objective, Report } from './step.ts'

/** What a course remembers from step to step: the rung of a ladder. */
export interface Progress {
  readonly thoughts: number
  /** Moving average of the newest thought's mass. */
  readonly mass: number
}

/** What one step does, beside its data. */
export interface Plan {
  /** Index of the phase or stage. */
  readonly phase: number
  /** What the phase is about, in a word. */
  readonly task: string
  readonly objective: Objective
  readonly rate: number
  readonly thoughts: number
  /** Whether AdamW begins anew with this step. Default false. */
  readonly resets?: boolean
}

/** What every recipe says, whatever the course. */
export interface CourseRecipe {
  readonly seed: number
  readonly optimizer: AdamWOptions
  /** Early checkpoints: the model as it is after so many steps is kept under a name of its own. */
  readonly keep?: Readonly<Record<string, number>>
}

/** Steps are counted from 0 throughout. */
export interface Course {
  /** As a checkpoint remembers it. */
  readonly recipe: CourseRecipe
  readonly config: DecoderConfig
  readonly steps: number
  /** Weights before the first step: asked for once, and not where a run goes on. */
  firstWeights(): Promise<ReadonlyMap<string, HostTensor>>
  start(): Progress
  plan(step: number, progress: Progress): Plan
  /** The data of a step, one batch per micro-batch: no progress changes it, so it can be made ahead. */
  batches(step: number): readonly Batch[]
  /** Progress after a step that reported `report`. */
  observe(step: number, progress: Progress, report: Report): Progress
  /** Whether the model as it is after so many steps is validated, and kept if none before it was better. Default: never. */
  competes?(done: number): boolean
  /** Files of the trained model's folder beside its weights, after so many steps. */
  files(done: number): Readonly<Record<string, string>>
}
