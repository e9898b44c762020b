/** The commands, in the order of the help. Each is a file of its own that is loaded when it is asked for. */

import type { Command } from './command.ts'

export interface CommandEntry {
  readonly summary: string
  load(): Promise<{ readonly command: Command }>
}

export const commands: Readonly<Record<string, CommandEntry>> = {
  demo: {
    summary: 'The whole in a minute: a question, its thoughts, an evaluation with controls',
    load: () => import('./commands/demo.ts'),
  },
  solve: {
    summary: 'Answer a question and show the thoughts on the way',
    load: () => import('./commands/solve.ts'),
  },
  trace: {
    summary: 'Record the thoughts of one question: a drawing, or JSON with their vectors',
    load: () => import('./commands/trace.ts'),
  },
  generate: {
    summary: 'Continue token ids, a prompt or a chat',
    load: () => import('./commands/generate.ts'),
  },
  eval: {
    summary: 'Accuracy on a data set, with controls, intervals and tests',
    load: () => import('./commands/eval.ts'),
  },
  sweep: {
    summary: 'Accuracy over a grid of refinement strengths',
    load: () => import('./commands/sweep.ts'),
  },
  train: {
    summary: 'Train a latent reasoner by a recipe, or go on training',
    load: () => import('./commands/train.ts'),
  },
  export: {
    summary: 'Write a whole trajectory as one ONNX model',
    load: () => import('./commands/export.ts'),
  },
  verify: {
    summary: 'Hold this machine against a fixture folder of expected values',
    load: () => import('./commands/verify.ts'),
  },
  bench: {
    summary: 'Measure speed against peers, as ratios taken in one run',
    load: () => import('./commands/bench.ts'),
  },
  models: {
    summary: 'List the models that are here: inside this package and in the hub cache',
    load: () => import('./commands/models.ts'),
  },
  doctor: {
    summary: 'Try every backend of this machine and say what was found',
    load: () => import('./commands/doctor.ts'),
  },
  complete: {
    summary: 'Print the completion script of a shell (zsh, bash, fish, powershell)',
    load: () => import('./commands/complete.ts'),
  },
}
