/** Typed, bounded access to the keys of a config.json; every complaint names key, expectation and value. */

import { ConfigError } from '../errors.ts'
import { describe, isJsonObject, type JsonObject } from './json.ts'

/** Inclusive bounds of a number. */
export interface Bounds {
  readonly min: number
  readonly max: number
}

export class ConfigReader {
  readonly where: string
  private readonly json: JsonObject
  private readonly asked = new Set<string>()

  /** @throws ConfigError if `json` is not an object */
  constructor(json: unknown, where: string) {
    if (!isJsonObject(json)) throw new ConfigError('not a JSON object', { where, actual: describe(json) })
    this.json = json
    this.where = where
  }

  /** The raw value; null counts as absent, as everywhere in Hugging Face configurations. */
  get(key: string): unknown {
    this.asked.add(key)
    return (Object.hasOwn(this.json, key) ? this.json[key] : undefined) ?? undefined
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  /** An integer within `bounds`; `fallback` stands in for an absent key, and without it the key is required. */
  integer(key: string, bounds: Bounds, fallback?: number): number {
    const value = this.get(key) ?? fallback
    if (!Number.isSafeInteger(value) || !within(value as number, bounds)) {
      throw this.error(key, `an integer from ${bounds.min} to ${bounds.max}`, value)
    }
    return value as number
  }

  /** A finite number within `bounds`; required. */
  number(key: string, bounds: Bounds): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !within(value, bounds)) {
      throw this.error(key, `a number from ${bounds.min} to ${bounds.max}`, value)
    }
    return value
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback
    if (typeof value !== 'boolean') throw this.error(key, 'true or false', value)
    return value
  }

  /** One of `allowed`; required. */
  choice<T extends string>(key: string, allowed: readonly T[]): T {
    const value = this.get(key)
    if (!allowed.includes(value as T)) throw this.error(key, allowed.map((name) => describe(name)).join(' or '), value)
    return value as T
  }

  /** A nested object, or undefined if the key is absent. */
  object(key: string): ConfigReader | undefined {
    const value = this.get(key)
    if (value === undefined) return undefined
    if (!isJsonObject(value)) throw this.error(key, 'an object', value)
    return new ConfigReader(value, `${this.where}: ${key}`)
  }

  /** @throws ConfigError unless the key is absent or equals `only`: any other value would change the arithmetic */
  insist(key: string, only: boolean | number | string): void {
    const value = this.get(key) ?? only
    if (value !== only) throw this.error(key, `${describe(only)} (no other is supported)`, value)
  }

  /** @throws ConfigError if there is a key that nobody asked for: in a file of ours, a slip of the pen */
  end(): void {
    const key = Object.keys(this.json).find((name) => !this.asked.has(name))
    if (key !== undefined) throw this.error(key, `no other key than ${[...this.asked].join(', ')}`, this.json[key])
  }

  error(key: string, expected: string, actual: unknown): ConfigError {
    return new ConfigError(`bad ${describe(key)}`, { where: this.where, expected, actual: describe(actual) })
  }
}

function within(value: number, { min, max }: Bounds): boolean {
  return value >= min && value <= max
}
