/**
 * Training: losses, AdamW, one-graph steps, objectives, curricula, runs.
 *
 * A package of its own, over the public entries of core: whoever only runs models needs none of it, and core stays small
 * enough to be read in a sitting.
 */

export * from './adamw.ts'
export * from './batches.ts'
export * from './checkpoint.ts'
export * from './coconut.ts'
export * from './course.ts'
export * from './curriculum.ts'
export * from './lanes.ts'
export * from './losses.ts'
export * from './objectives.ts'
export * from './puzzles.ts'
export * from './recipe.ts'
export * from './run.ts'
export * from './step.ts'
export * from './text-course.ts'
export * from './text-recipe.ts'
export * from './validation.ts'
export * from './weights.ts'
