/**
 * Choosing the next token from logits on the host: greedy, temperature, top-k, top-p (nucleus, Holtzman et al. 2020) and
 * min-p (Nguyen et al. 2024), seeded. Filters apply in this order, each to what the one before left, to probabilities
 * after the temperature. Every row has a random stream of its own, so that a batch draws what single runs draw.
 */

import type { Random } from '../data/random.ts'
import { ArgumentError } from '../errors.ts'

export interface SamplingOptions {
  /** Logits are divided by it. Default 1; 0 is greedy. */
  readonly temperature?: number
  /** Keep the k most probable tokens. */
  readonly topK?: number
  /** Keep the most probable tokens until their sum reaches p, that one included. */
  readonly topP?: number
  /** Drop tokens less than this share as probable as the most probable one. */
  readonly minP?: number
}

/** Whether the options leave nothing to chance. */
export function isGreedy(options: SamplingOptions | undefined): boolean {
  return options === undefined || options.temperature === 0 || options.topK === 1
}

/** @throws ArgumentError naming the option */
export function checkSampling({ temperature = 1, topK, topP, minP }: SamplingOptions): void {
  const check = (name: string, value: number | undefined, holds: (value: number) => boolean, range: string): void => {
    if (value === undefined || (Number.isFinite(value) && holds(value))) return
    throw new ArgumentError('out of range', { where: name, expected: range, actual: String(value) })
  }
  check('temperature', temperature, (value) => value >= 0, 'a number from 0 on')
  check('topK', topK, (value) => Number.isInteger(value) && value >= 1, 'a whole number from 1 on')
  check('topP', topP, (value) => value > 0 && value <= 1, 'above 0, at most 1')
  check('minP', minP, (value) => value >= 0 && value <= 1, '0 … 1')
}

/**
 * Draws a token.
 *
 * @param logits of one row: [V]
 */
export function sampleToken(logits: Float32Array, options: SamplingOptions, random: Random): number {
  const { temperature = 1, topK = logits.length, topP = 1, minP = 0 } = options
  const order = Int32Array.from(logits, (_, id) => id).sort((a, b) => logits[b]! - logits[a]! || a - b)
  if (isGreedy(options)) return order[0]!
  const largest = logits[order[0]!]!
  const kept = order.subarray(0, Math.min(topK, order.length))
  const weights = Float64Array.from(kept, (id) => Math.exp((logits[id]! - largest) / temperature))
  const count = nucleus(weights, topP, minP)
  let left = random.uniform() * sum(weights, count)
  for (let i = 0; i < count - 1; i++) {
    left -= weights[i]!
    if (left < 0) return kept[i]!
  }
  return kept[count - 1]!
}

/** How many of the descending weights top-p and then min-p keep; at least one. */
function nucleus(weights: Float64Array, topP: number, minP: number): number {
  const enough = topP * sum(weights, weights.length)
  let count = 0
  let mass = 0
  while (count < weights.length && mass < enough) mass += weights[count++]!
  while (count > 1 && weights[count - 1]! < minP * weights[0]!) count--
  return Math.max(count, 1)
}

function sum(weights: Float64Array, count: number): number {
  let total = 0
  for (let i = 0; i < count; i++) total += weights[i]!
  return total
}
