/**
 * Choosing the next token where the logits are: greedy, temperature, top-k, top-p (nucleus, Holtzman et al. 2020) and min-p
 * (Nguyen et al. 2024). Filters apply in this order, each to what the one before left, to probabilities after the
 * temperature. They are thresholds, so nothing is sorted and no logit leaves the device.
 *
 * Chance comes in as one uniform number per row and token, from the row's own random stream: a batch draws what single
 * runs draw, and a whole sampled trajectory is one graph.
 */

import { ArgumentError } from '../errors.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant } from '../tensor/trace.ts'

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
 * The next token of every row: [B] i32.
 *
 * @param logits [B, V]
 * @param uniform numbers in 0 … 1 by which to draw: [B]; without them and options the most probable token
 */
export function chooseToken(logits: Tensor, options?: SamplingOptions, uniform?: Tensor): Tensor {
  if (!options || !uniform) return F.argmax(logits, 1)
  const { temperature = 1, topK, topP = 1, minP = 0 } = options
  const [batch, vocabSize] = logits.shape as [number, number]
  // Logarithms of probabilities relative to the largest, and these probabilities with what is filtered out at 0: [B, V].
  const relative = F.div(F.sub(logits, F.reduceMax(logits, [1], true)), temperature)
  let weights = F.exp(relative)
  const keepFrom = (threshold: Tensor | number): void => {
    weights = F.where(F.lessEqual(threshold, relative), weights, 0)
  }
  if (topK !== undefined && topK < vocabSize) keepFrom(F.narrow(F.topK(relative, topK)[0], 1, topK - 1, topK))
  if (topP < 1) keepFrom(nucleusThreshold(relative, weights, topP))
  if (minP > 0) keepFrom(Math.log(minP))
  const running = F.cumsum(weights, 1)
  const target = F.mul(F.reshape(uniform, [batch, 1]), F.narrow(running, 1, vocabSize - 1, vocabSize))
  // The first token whose running sum passes the target. Where rounding leaves none it is the most probable one.
  const passed = F.and(F.less(target, running), F.less(0, weights))
  return F.argmax(F.where(passed, 2, weights), 1)
}

/** Below e^−32 of the largest probability nothing is ever drawn. */
const LEAST = -32

/** The largest threshold with at least the share p of the mass at or above it, by bisection: [B, 1]. */
function nucleusThreshold(relative: Tensor, weights: Tensor, topP: number): Tensor {
  const enough = F.mul(F.reduceSum(weights, [1], true), topP)
  let low = F.broadcastTo(constant(LEAST), enough.shape)
  let high = F.broadcastTo(constant(0), enough.shape)
  for (let i = 0; i < 32; i++) {
    const middle = F.mul(F.add(low, high), 0.5)
    const mass = F.reduceSum(F.where(F.lessEqual(middle, relative), weights, 0), [1], true)
    const reached = F.lessEqual(enough, mass)
    low = F.where(reached, middle, low)
    high = F.where(reached, high, middle)
  }
  return low
}
