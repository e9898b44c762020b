/** A symbolic recipe: everything that decides a training run on ProsQA's graphs, as one JSON file. */

import { prosqaTokens } from '@afterthought/core/data'
import { ConfigReader, type DecoderConfig, type JsonObject, parseConfig } from '@afterthought/core/io'
import type { Schedule } from './adamw.ts'
import type { CourseRecipe } from './course.ts'
import type { Slots } from './objectives.ts'
import { type GraphSize, MOST_HOPS, type Supervision, WRITTEN_TOKENS } from './puzzles.ts'
import {
  COUNT,
  numbers,
  optional,
  parseBatch,
  parseKeep,
  parseOptimizer,
  parseSchedule,
  RATE,
  SEED,
  SHARE,
  section,
} from './recipe-parts.ts'
import type { Initialization } from './weights.ts'

/** A stretch of steps with one objective. */
export interface Phase {
  /** `queries`: neighbour look-up. `thoughts`: latent steps, then the answer. `tokens`: the chain written out. */
  readonly task: 'queries' | 'thoughts' | 'tokens'
  readonly graphs: readonly GraphSize[]
  readonly steps: number
  /** Factor on the learning rate. Default 1. */
  readonly rate?: number
  /** `queries`: nodes whose embeddings are averaged, at most. Default 1. */
  readonly superposed?: number
  /** `thoughts`: how many, or `ladder`: one more whenever the newest is read with `pass` of its mass. */
  readonly thoughts?: number | 'ladder'
  readonly pass?: number
  /** Where the ladder ends. */
  readonly most?: number
  /** `thoughts`: what stands in the slots. Default the model's own thoughts. */
  readonly slots?: Slots
  /** `tokens`: facts at the start of the chain that are not written. Default 0; from `MOST_HOPS` on, the answer alone. */
  readonly skip?: number
}

export interface Recipe extends CourseRecipe {
  /** config.json of the model, in Hugging Face's spelling. */
  readonly model: JsonObject
  readonly initialization: Initialization
  readonly schedule: Schedule
  /** Graphs per step, and micro-batches they are split into. */
  readonly batch: number
  readonly accumulate: number
  /** Columns of a batch: each is padded to the least of these that holds it. Ascending. */
  readonly lengths: readonly number[]
  /** Questions about every graph, where not neighbours are looked up. Default 1. */
  readonly questions: number
  /** Neighbours looked up per graph. */
  readonly queries: number
  readonly supervision: Supervision
  /** Latent steps that a gradient passes at most. Default: all. */
  readonly truncate?: number
  readonly phases: readonly Phase[]
  /** Thoughts that the trained model is meant to take; none if it writes. */
  readonly latents: number
}

/** Names and markers of the task. */
const TOKENS = Math.max(...Object.values(prosqaTokens)) + 1

/** @throws ConfigError naming the key */
export function parseRecipe(
  json: unknown,
  where = 'recipe',
): { readonly recipe: Recipe; readonly config: DecoderConfig } {
  const reader = new ConfigReader(json, where)
  const list = (key: string): unknown[] => {
    const value = reader.get(key)
    if (!Array.isArray(value) || value.length === 0) throw reader.error(key, 'a list', value)
    return value
  }
  const config = parseConfig(reader.get('model'), `${where}: model`)
  const lengths = list('lengths').map((_, i, all) => {
    const ascending = Number.isInteger(all[i]) && (all[i] as number) > ((all[i - 1] as number | undefined) ?? 0)
    if (!ascending) throw reader.error('lengths', 'ascending whole numbers', all)
    return all[i] as number
  })
  const initialization = section(reader, 'initialization')
  const recipe: Recipe = {
    seed: reader.integer('seed', SEED, 0),
    model: reader.get('model') as JsonObject,
    initialization: numbers(initialization, ['deviation', 'embedding', 'residual', 'finalNorm']),
    optimizer: parseOptimizer(reader),
    schedule: parseSchedule(reader),
    ...parseBatch(reader),
    lengths,
    questions: reader.integer('questions', COUNT, 1),
    queries: reader.integer('queries', COUNT, 12),
    supervision: reader.choice('supervision', ['walk', 'frontier', 'optimalPath', 'none']),
    ...optional(reader, 'truncate', () => reader.integer('truncate', COUNT)),
    phases: list('phases').map((phase, i) => parsePhase(new ConfigReader(phase, `${where}: phases[${i}]`))),
    latents: reader.integer('latents', { min: 0, max: 100 }),
    ...parseKeep(reader),
  }
  if (recipe.latents > 0 && recipe.phases.at(-1)!.task === 'tokens') {
    throw reader.error('latents', '0 for a model that ends by writing tokens', recipe.latents)
  }
  if (recipe.supervision === 'none' && recipe.phases.some(({ thoughts }) => thoughts === 'ladder')) {
    throw reader.error('supervision', 'one that a ladder can climb by', recipe.supervision)
  }
  // A prompt, and behind it whatever a phase or the trained model puts there.
  const columns = lengths.at(-1)! + Math.max(recipe.queries, recipe.latents + 1, WRITTEN_TOKENS)
  if (config.vocabSize < TOKENS) throw reader.error('model', `one of at least ${TOKENS} tokens`, config.vocabSize)
  if (config.maxPositions < columns) {
    throw reader.error('model', `one of at least ${columns} positions, for these "lengths"`, config.maxPositions)
  }
  initialization.end()
  reader.end()
  return { recipe, config }
}

function parsePhase(reader: ConfigReader): Phase {
  const graphs = reader.get('graphs')
  const sizes: readonly unknown[] = ['tiny', 'small', 'real']
  if (!Array.isArray(graphs) || graphs.length === 0 || !graphs.every((size) => sizes.includes(size))) {
    throw reader.error('graphs', 'a list of tiny, small, real', graphs)
  }
  const task = reader.choice('task', ['queries', 'thoughts', 'tokens'])
  const phase: Phase = {
    task,
    graphs: graphs as GraphSize[],
    steps: reader.integer('steps', COUNT),
    ...optional(reader, 'rate', () => reader.number('rate', RATE)),
    ...keysOf[task](reader),
  }
  reader.end()
  return phase
}

/** What one kind of phase says and no other: there it would do nothing, and is refused. */
const keysOf: Readonly<Record<Phase['task'], (reader: ConfigReader) => Partial<Phase>>> = {
  queries: (reader) => optional(reader, 'superposed', () => reader.integer('superposed', COUNT)),
  thoughts: (reader) => ({
    ...optional(reader, 'thoughts', () =>
      reader.get('thoughts') === 'ladder' ? 'ladder' : reader.integer('thoughts', { min: 0, max: MOST_HOPS }),
    ),
    ...(reader.get('thoughts') === 'ladder' && {
      ...optional(reader, 'pass', () => reader.number('pass', SHARE)),
      ...optional(reader, 'most', () => reader.integer('most', { min: 1, max: MOST_HOPS })),
    }),
    ...optional(reader, 'slots', () => reader.choice('slots', ['thoughts', 'pause'])),
  }),
  tokens: (reader) => optional(reader, 'skip', () => reader.integer('skip', { min: 0, max: MOST_HOPS })),
}
