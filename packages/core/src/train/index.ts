/** Training: losses, AdamW, one-graph steps, objectives, curricula, runs. Exported as `@afterthought/core/train`. */

export * from './adamw.ts'
export * from './batches.ts'
export * from './coconut.ts'
export * from './curriculum.ts'
export * from './losses.ts'
export * from './objectives.ts'
export * from './puzzles.ts'
export * from './recipe.ts'
export * from './run.ts'
export * from './step.ts'
export * from './weights.ts'
