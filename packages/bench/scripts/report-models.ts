/** Where the trained models of the report lie: a folder a seed. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const reportFolder: string = fileURLToPath(new URL('../report', import.meta.url))
export const root: string = join(reportFolder, '../../..')

export const modelNames = ['main', 'early', 'good', 'bad', 'pause', 'curriculum', 'no-cot'] as const
export type ModelName = (typeof modelNames)[number]

/** `seed-0`, `seed-1`, … */
export const seeds: readonly string[] = readdirSync(join(reportFolder, 'models')).sort()

export const modelOf = (seed: string, name: ModelName): string => join(reportFolder, 'models', seed, name)

export const has = (seed: string, name: ModelName): boolean =>
  existsSync(join(modelOf(seed, name), 'model.safetensors'))

const recipe: { readonly seed: number } = JSON.parse(
  readFileSync(join(root, 'packages/cli/recipes/prosqa.json'), 'utf8'),
)

/** The recipes' own seed, whose models the command has inside. */
export const embeddedSeed: string = `seed-${recipe.seed}`
