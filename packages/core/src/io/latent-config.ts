/**
 * latent_config.json: what a latent-reasoning checkpoint says of itself beside config.json. How a question becomes a
 * prompt, how many thoughts the model was trained to take, and which tokens stand around them.
 */

import { ConfigReader } from './config-reader.ts'
import { type ModelFolder, optionalJsonOf } from './model-folder.ts'

export interface LatentConfig {
  /** `prosqa-symbolic`: see `encodeProsqa`. `text`: the question as a line, then the start tokens. */
  readonly format: 'prosqa-symbolic' | 'text'
  /** Thoughts per question that the model was trained for. */
  readonly latents: number
  /** Tokens after the question, before the first thought: Coconut's start marker. */
  readonly startIds: readonly number[]
  /** Tokens after the last thought, before the answer. */
  readonly endIds: readonly number[]
  /** The marker that stood in the latent slots while training; what a pause control puts there. */
  readonly latentId?: number
  /** The most tokens an answer takes. */
  readonly tokens?: number
}

/**
 * The latent_config.json of a folder, or undefined if it has none.
 *
 * @throws FormatError, ConfigError naming the key
 */
export async function loadLatentConfig(folder: ModelFolder, vocabSize: number): Promise<LatentConfig | undefined> {
  const json = await optionalJsonOf(folder, 'latent_config.json')
  if (json === undefined) return undefined
  const reader = new ConfigReader(json, `${folder.id}/latent_config.json`)
  const id = { min: 0, max: vocabSize - 1 }
  return {
    format: reader.choice('format', ['prosqa-symbolic', 'text']),
    latents: reader.integer('latents', { min: 0, max: 100_000 }),
    startIds: idList(reader, 'startIds', vocabSize),
    endIds: idList(reader, 'endIds', vocabSize),
    ...(reader.has('latentId') && { latentId: reader.integer('latentId', id) }),
    ...(reader.has('tokens') && { tokens: reader.integer('tokens', { min: 1, max: 1_000_000 }) }),
  }
}

function idList(reader: ConfigReader, key: string, vocabSize: number): readonly number[] {
  const value = reader.get(key) ?? []
  const isId = (id: unknown): boolean => Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize
  if (!Array.isArray(value) || value.length > 1000 || !value.every(isId)) {
    throw reader.error(key, `a list of token ids below ${vocabSize}`, value)
  }
  return value
}
