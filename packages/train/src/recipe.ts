/** A recipe: everything that decides a training run, as one JSON file. */

import { ConfigReader, type DecoderConfig, type JsonObject, parseConfig } from '@afterthought/core/io'
import type { AdamWOptions, Schedule } from './adamw.ts'
import type { Slots } from './objectives.ts'
import { type GraphSize, MOST_HOPS, type Supervision } from './puzzles.ts'
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

export interface Recipe {
  readonly seed: number
  /** config.json of the model, in Hugging Face's spelling. */
  readonly model: JsonObject
  readonly initialization: Initialization
  readonly optimizer: AdamWOptions
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
  /** Early checkpoints: the model as it is after so many steps is kept under a name of its own. */
  readonly keep?: Readonly<Record<string, number>>
}

const COUNT = { min: 1, max: 1_000_000 }
const SHARE = { min: 0, max: 1 }
const RATE = { min: 0, max: 1000 }

const optional = <T>(reader: ConfigReader, key: string, read: () => T): Record<string, T> =>
  reader.has(key) ? { [key]: read() } : {}

/** @throws ConfigError naming the key */
export function parseRecipe(
  json: unknown,
  where = 'recipe',
): { readonly recipe: Recipe; readonly config: DecoderConfig } {
  const reader = new ConfigReader(json, where)
  const section = (key: string): ConfigReader => reader.object(key) ?? new ConfigReader({}, `${where}: ${key}`)
  const list = (from: ConfigReader, key: string): unknown[] => {
    const value = from.get(key)
    if (!Array.isArray(value) || value.length === 0) throw from.error(key, 'a list', value)
    return value
  }
  const config = parseConfig(reader.get('model'), `${where}: model`)
  const batch = reader.integer('batch', COUNT)
  const accumulate = reader.integer('accumulate', COUNT, 1)
  if (batch % accumulate !== 0) throw reader.error('accumulate', `a divisor of batch ${batch}`, accumulate)
  const lengths = list(reader, 'lengths').map((_, i, all) => {
    const ascending = Number.isInteger(all[i]) && (all[i] as number) > ((all[i - 1] as number | undefined) ?? 0)
    if (!ascending) throw reader.error('lengths', 'ascending whole numbers', all)
    return all[i] as number
  })
  const numbers = (from: ConfigReader, keys: readonly string[]): Record<string, number> =>
    Object.assign({}, ...keys.map((key) => optional(from, key, () => from.number(key, { min: 0, max: 1e6 }))))
  const [optimizer, schedule, initialization] = ['optimizer', 'schedule', 'initialization'].map(section) as [
    ConfigReader,
    ConfigReader,
    ConfigReader,
  ]
  const betas = optimizer.get('betas') as AdamWOptions['betas']
  if (betas !== undefined && !(Array.isArray(betas) && betas.length === 2 && betas.every((b) => b >= 0 && b < 1))) {
    throw optimizer.error('betas', 'two numbers below 1', betas)
  }
  const recipe: Recipe = {
    seed: reader.integer('seed', { min: 0, max: Number.MAX_SAFE_INTEGER }, 0),
    model: reader.get('model') as JsonObject,
    initialization: numbers(initialization, ['deviation', 'embedding', 'residual', 'finalNorm']),
    optimizer: { ...numbers(optimizer, ['epsilon', 'decay', 'clip']), ...(betas && { betas }) },
    schedule: {
      peak: schedule.number('peak', RATE),
      ...numbers(schedule, ['warmup', 'hold', 'floor']),
      ...optional(schedule, 'shape', () => schedule.choice('shape', ['constant', 'linear', 'cosine'])),
    },
    batch,
    accumulate,
    lengths,
    questions: reader.integer('questions', COUNT, 1),
    queries: reader.integer('queries', COUNT, 12),
    supervision: reader.choice('supervision', ['walk', 'frontier', 'optimalPath', 'none']),
    ...optional(reader, 'truncate', () => reader.integer('truncate', COUNT)),
    phases: list(reader, 'phases').map((phase, i) => parsePhase(new ConfigReader(phase, `${where}: phases[${i}]`))),
    latents: reader.integer('latents', { min: 0, max: 100 }),
    ...optional(reader, 'keep', () => parseKeep(section('keep'), reader.get('keep') as JsonObject)),
  }
  if (recipe.latents > 0 && recipe.phases.at(-1)!.task === 'tokens') {
    throw reader.error('latents', '0 for a model that ends by writing tokens', recipe.latents)
  }
  for (const part of [reader, optimizer, schedule, initialization]) part.end()
  return { recipe, config }
}

function parseKeep(reader: ConfigReader, names: JsonObject): Record<string, number> {
  const wrong = Object.keys(names).find((name) => !/^[a-z][\w-]*$/.test(name) || name === 'model')
  if (wrong !== undefined) throw reader.error(wrong, 'a name of letters other than "model"', names[wrong])
  return Object.fromEntries(Object.keys(names).map((name) => [name, reader.integer(name, COUNT)]))
}

function parsePhase(reader: ConfigReader): Phase {
  const graphs = reader.get('graphs')
  const sizes: readonly unknown[] = ['tiny', 'small', 'real']
  if (!Array.isArray(graphs) || graphs.length === 0 || !graphs.every((size) => sizes.includes(size))) {
    throw reader.error('graphs', 'a list of tiny, small, real', graphs)
  }
  const count = (key: string) => (): number => reader.integer(key, COUNT)
  const phase: Phase = {
    task: reader.choice('task', ['queries', 'thoughts', 'tokens']),
    graphs: graphs as GraphSize[],
    steps: reader.integer('steps', COUNT),
    ...optional(reader, 'rate', () => reader.number('rate', RATE)),
    ...optional(reader, 'superposed', count('superposed')),
    ...optional(reader, 'thoughts', () =>
      reader.get('thoughts') === 'ladder' ? 'ladder' : reader.integer('thoughts', { min: 0, max: MOST_HOPS }),
    ),
    ...optional(reader, 'pass', () => reader.number('pass', SHARE)),
    ...optional(reader, 'most', () => reader.integer('most', { min: 1, max: MOST_HOPS })),
    ...optional(reader, 'slots', () => reader.choice('slots', ['thoughts', 'pause'])),
    ...optional(reader, 'skip', () => reader.integer('skip', { min: 0, max: MOST_HOPS })),
  }
  reader.end()
  return phase
}
