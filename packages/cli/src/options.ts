/**
 * The options that commands share, by what they are about. A command spreads the groups it takes into its own options;
 * names and values are fixed for programs, so they change in one place or not at all.
 */

/** Every command has these. */
export const commonOptions = {
  json: {
    type: 'flag',
    group: 'Output',
    description: 'Print JSON on stdout: one document, or one a line where results come bit by bit',
  },
  quiet: { type: 'flag', group: 'Output', description: 'No progress and no notes on stderr' },
  help: { type: 'flag', group: 'Output', description: 'Show this help' },
} as const

/** What computes. */
export const backendOptions = {
  backend: {
    type: 'choice',
    group: 'Backend',
    choices: ['auto', 'reference', 'onnx', 'onnx:cpu', 'onnx:cuda', 'onnx:webgpu', 'webgpu'],
    description: 'What computes; default auto, the best that works here (see afterthought doctor)',
  },
  dtype: {
    type: 'choice',
    group: 'Backend',
    choices: ['f32', 'f16', 'int8', 'int4'],
    description: 'How weights are stored; default f32',
  },
  threads: { type: 'integer', least: 1, value: 'N', group: 'Backend', description: 'Threads; default all' },
} as const

/** Which models. */
export const modelOptions = {
  model: {
    type: 'text',
    value: 'FOLDER-or-hub-id',
    group: 'Models',
    description: 'The model; default the embedded prosqa (see afterthought models)',
  },
  good: { type: 'text', value: 'FOLDER-or-hub-id', group: 'Models', description: 'The strong reference of the search' },
  bad: { type: 'text', value: 'FOLDER-or-hub-id', group: 'Models', description: 'The weak reference of the search' },
  method: {
    type: 'choice',
    choices: ['coconut'],
    group: 'Models',
    description: 'How the model thinks: Coconut, plain or refined; the only one so far',
  },
} as const

/** How many thoughts, and what stands in their places. */
export const thoughtOptions = {
  latents: {
    type: 'integer',
    value: 'T',
    group: 'Thoughts',
    description: 'Thoughts before the answer; default what the model was trained for',
  },
  replace: {
    type: 'choice',
    group: 'Thoughts',
    choices: ['zero', 'noise', 'first', 'other-question', 'permute', 'pause'],
    description: 'A control: what stands in the slots instead of the thoughts; other-question and permute are for eval',
  },
  seed: { type: 'integer', value: 'N', group: 'Thoughts', description: 'Of everything drawn at random; default 0' },
} as const

/** Refinement of the thoughts, after arXiv 2506.08552; both operations are off unless asked for. */
export const refinementOptions = {
  alpha: {
    type: 'number',
    least: 0,
    most: 1,
    value: 'A',
    group: 'Residual refinement',
    description: 'Memory rate, 0 … 1: h[t] = A·h[t−1] + (1−A)·f(h[t−1])',
  },
  first: {
    type: 'choice',
    group: 'Residual refinement',
    choices: ['none', 'start-embedding'],
    description: 'What the first thought is blended with; default none',
  },
  step: {
    type: 'number',
    value: 'S',
    group: 'Contrastive search',
    description: "Scale-free step: h' = h + S·(good − bad)",
  },
  eta: {
    type: 'number',
    value: 'E',
    group: 'Contrastive search',
    description: 'η of the printed rule instead; S = 2E/D',
  },
  sign: {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['code', 'paper'],
    description: 'code (default) moves towards good, paper is the rule as printed',
  },
  reduction: {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['per-vector', 'batch-mean', 'sum'],
    description: 'How the mean squared error is averaged; scales η; default per-vector',
  },
  'step-mode': {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['gradient', 'relative'],
    description: 'relative moves by L·‖h‖ along the direction; default gradient',
  },
  lambda: { type: 'number', value: 'L', group: 'Contrastive search', description: 'L of --step-mode relative' },
  gradient: {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['detached', 'full'],
    description: 'full differentiates through both references; default detached',
  },
  'inner-steps': { type: 'integer', least: 1, value: 'K', group: 'Contrastive search', description: 'Default 1' },
  'recompute-references': {
    type: 'flag',
    group: 'Contrastive search',
    description: 'Ask the references again before every inner step',
  },
  'ref-context': {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['prefix', 'none'],
    description: 'Whether references see the question; default prefix',
  },
  'ref-embeddings': {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['own', 'main'],
    description: "Whose embeddings fill the references' prompt; default own",
  },
  'ref-step': {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['next', 'same'],
    description: 'f(h[t]) or f(h[t−1]) against h[t]; default next',
  },
  'ref-commit': {
    type: 'choice',
    group: 'Contrastive search',
    choices: ['refined', 'probe'],
    description: "What stays in the references' caches; default refined",
  },
  order: {
    type: 'choice',
    group: 'Refinement',
    choices: ['residual-first', 'search-first'],
    description: 'Order inside a step; default residual-first',
  },
  'apply-at': {
    type: 'text',
    value: 'every | SLOTS',
    group: 'Refinement',
    description: 'Which thoughts are refined, counted from 1, as 1,3; default every',
  },
  control: {
    type: 'choice',
    group: 'Refinement',
    choices: ['none', 'random-direction', 'swap-references', 'pause'],
    description: 'A control of the search (pause: of the thoughts); default none',
  },
} as const
