/** Training: losses, AdamW, one-graph steps, curricula, checkpoints. Exported as `@afterthought/core/train`. */

export * from './adamw.ts'
export * from './losses.ts'
export * from './step.ts'
