/** A recipe for Coconut's stages over a text data set, from a model that writes already: one JSON file. */

import { ConfigReader } from '@afterthought/core/io'
import type { Schedule } from './adamw.ts'
import type { StageOptions } from './coconut.ts'
import type { CourseRecipe } from './course.ts'
import { COUNT, optional, parseBatch, parseKeep, parseOptimizer, parseSchedule, SEED, SHARE } from './recipe-parts.ts'

export interface TextRecipe extends CourseRecipe {
  readonly stages: StageOptions
  readonly epochs: number
  /** Where the count of epochs begins: a model that writes its chains already can skip the first stage. Default 0. */
  readonly firstEpoch: number
  /** When AdamW begins anew. The release does so at every epoch, its README says at every stage. Default `never`. */
  readonly resets: 'never' | 'stage' | 'epoch'
  /**
   * Whether every epoch in the final form, all that is ever replaced being replaced, is validated and the best one kept.
   * The release chooses so, though among all epochs. Default false.
   */
  readonly keepBest: boolean
  /** How the markers' embeddings begin: as copies of this token's, which must be one token, or as the mean of all. */
  readonly markers: { readonly copyOf: string } | 'mean'
  readonly schedule: Schedule
  /** Questions per step, and micro-batches that they are split into. */
  readonly batch: number
  readonly accumulate: number
  /** The model that is trained further, its questions and those to validate it: as whoever opens them names them. */
  readonly model: string
  readonly data: string
  readonly validation: string
  /** Of the questions in tokens, once a course has begun with them: it cannot go on with others. */
  readonly sha256?: string
}

const MODES = ['coconut', 'pause', 'noThoughts', 'cot', 'noCot'] as const

/** Whether a recipe is one for text. */
export const isTextRecipe = (json: unknown): boolean => typeof json === 'object' && json !== null && 'stages' in json

/** @throws ConfigError naming the key */
export function parseTextRecipe(json: unknown, where = 'recipe'): TextRecipe {
  const reader = new ConfigReader(json, where)
  const stages = reader.object('stages')
  if (stages === undefined) throw reader.error('stages', 'an object', undefined)
  const name = (key: string): string => {
    const value = reader.get(key)
    if (typeof value !== 'string' || value === '') throw reader.error(key, 'a name or a path', value)
    return value
  }
  const recipe: TextRecipe = {
    seed: reader.integer('seed', SEED, 0),
    stages: {
      mode: stages.choice('mode', MODES),
      thoughtsPerStep: stages.integer('thoughtsPerStep', { min: 0, max: 100 }, 1),
      epochsPerStage: stages.integer('epochsPerStage', COUNT, 1),
      maxStage: stages.integer('maxStage', { min: 0, max: 100 }),
      padToMax: stages.boolean('padToMax', true),
      uniform: stages.has('uniform') ? stages.number('uniform', SHARE) : 0,
    },
    epochs: reader.integer('epochs', COUNT),
    firstEpoch: reader.integer('firstEpoch', { min: 0, max: COUNT.max }, 0),
    resets: reader.has('resets') ? reader.choice('resets', ['never', 'stage', 'epoch']) : 'never',
    keepBest: reader.boolean('keepBest', false),
    markers: parseMarkers(reader),
    optimizer: parseOptimizer(reader),
    schedule: parseSchedule(reader),
    ...parseBatch(reader),
    model: name('model'),
    data: name('data'),
    validation: name('validation'),
    ...parseKeep(reader),
    ...optional(reader, 'sha256', () => name('sha256')),
  }
  if (recipe.firstEpoch >= recipe.epochs)
    throw reader.error('firstEpoch', `below epochs ${recipe.epochs}`, recipe.firstEpoch)
  stages.end()
  reader.end()
  return recipe
}

function parseMarkers(reader: ConfigReader): TextRecipe['markers'] {
  const value = reader.get('markers') ?? 'mean'
  if (value === 'mean') return value
  const wanted = '"mean" or {"copyOf": TOKEN}'
  if (typeof value !== 'object') throw reader.error('markers', wanted, value)
  const copy = new ConfigReader(value, `${reader.where}: markers`)
  const copyOf = copy.get('copyOf')
  copy.end()
  if (typeof copyOf !== 'string') throw reader.error('markers', wanted, value)
  return { copyOf }
}
