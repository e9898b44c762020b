/** What recipes of every kind say alike: the optimiser, its schedule, and which early models are kept. */

import { ConfigError } from '@afterthought/core'
import { ConfigReader, type JsonObject } from '@afterthought/core/io'
import type { AdamWOptions, Schedule } from './adamw.ts'
import type { CourseRecipe } from './course.ts'

export const COUNT = { min: 1, max: 1_000_000 }
export const SHARE = { min: 0, max: 1 }
export const RATE = { min: 0, max: 1000 }
export const SEED: { readonly min: number; readonly max: number } = { min: 0, max: Number.MAX_SAFE_INTEGER }

/** `key` with its value if the file has it. */
export const optional = <T>(reader: ConfigReader, key: string, read: () => T): Record<string, T> =>
  reader.has(key) ? { [key]: read() } : {}

/** Those of `keys` that the file has, numbers from 0 on. */
export const numbers = (reader: ConfigReader, keys: readonly string[]): Record<string, number> =>
  Object.assign({}, ...keys.map((key) => optional(reader, key, () => reader.number(key, { min: 0, max: 1e6 }))))

/** A nested object; an absent one is empty. */
export const section = (reader: ConfigReader, key: string): ConfigReader =>
  reader.object(key) ?? new ConfigReader({}, `${reader.where}: ${key}`)

export function parseOptimizer(parent: ConfigReader): AdamWOptions {
  const reader = section(parent, 'optimizer')
  const options = {
    ...numbers(reader, ['epsilon', 'decay', 'clip']),
    ...optional(reader, 'betas', () => parseBetas(reader)),
  }
  reader.end()
  return options
}

function parseBetas(reader: ConfigReader): readonly [number, number] {
  const betas = reader.get('betas')
  const isBeta = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value < 1
  if (Array.isArray(betas) && betas.length === 2 && betas.every(isBeta)) return betas as [number, number]
  throw reader.error('betas', 'two numbers from 0 to below 1', betas)
}

export function parseSchedule(parent: ConfigReader): Schedule {
  const reader = section(parent, 'schedule')
  const schedule = {
    peak: reader.number('peak', RATE),
    ...numbers(reader, ['warmup', 'hold', 'floor']),
    ...optional(reader, 'shape', () => reader.choice('shape', ['constant', 'linear', 'cosine'])),
  }
  reader.end()
  return schedule
}

/** How steps become batches: rows, and micro-batches that they are split into. */
export function parseBatch(reader: ConfigReader): { readonly batch: number; readonly accumulate: number } {
  const batch = reader.integer('batch', COUNT)
  const accumulate = reader.integer('accumulate', COUNT, 1)
  if (batch % accumulate !== 0) throw reader.error('accumulate', `a divisor of batch ${batch}`, accumulate)
  return { batch, accumulate }
}

export function parseKeep(parent: ConfigReader): { readonly keep?: Record<string, number> } {
  return optional(parent, 'keep', () => {
    const reader = section(parent, 'keep')
    const names = parent.get('keep') as JsonObject
    const wrong = Object.keys(names).find((name) => !/^[a-z][\w-]*$/.test(name) || name === 'model')
    if (wrong !== undefined) throw reader.error(wrong, 'a name of letters other than "model"', names[wrong])
    return Object.fromEntries(Object.keys(names).map((name) => [name, reader.integer(name, COUNT)]))
  })
}

/** @throws ConfigError if a model is to be kept after more steps than there are */
export function refuseLateKeep({ keep = {} }: CourseRecipe, steps: number, where = 'recipe'): void {
  for (const [name, step] of Object.entries(keep)) {
    if (step <= steps) continue
    throw new ConfigError('the run is over by then', {
      where: `${where}: keep: ${name}`,
      expected: `at most ${steps}`,
      actual: `${step}`,
    })
  }
}
