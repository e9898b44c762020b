/**
 * Intervals and tests for accuracies: none is printed without them.
 *
 * All take counts. Differences between two systems on the same questions use only the questions on which they disagree:
 * b that the first alone gets right, c that the second alone gets right.
 */

import { Random } from '../data/random.ts'
import { ArgumentError } from '../errors.ts'

export type Interval = readonly [lower: number, upper: number]

/** The 97.5 % point of the normal distribution, for two-sided 95 % intervals. */
const Z = 1.959963984540054

/**
 * Wilson's 95 % score interval of a proportion (Wilson, 1927): honest also near 0 and 1 and for small n.
 *
 * @throws ArgumentError unless 0 ≤ successes ≤ n and n ≥ 1
 */
export function wilsonInterval(successes: number, n: number): Interval {
  requireCounts('wilsonInterval', successes, n)
  if (n === 0 || successes > n) {
    throw new ArgumentError('bad counts', {
      where: 'wilsonInterval',
      expected: '0 ≤ successes ≤ n, n ≥ 1',
      actual: `${successes} of ${n}`,
    })
  }
  const share = successes / n
  const scale = 1 + Z ** 2 / n
  const centre = (share + Z ** 2 / (2 * n)) / scale
  const half = (Z / scale) * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2))
  // At the ends rounding would leave a bound of 1e-17 instead of 0, or hide the 1.
  return [successes === 0 ? 0 : centre - half, successes === n ? 1 : centre + half]
}

/**
 * Two-sided exact McNemar test: the chance, were both systems equally good, that b + c disagreements split at least so
 * unevenly (McNemar, 1947, in its binomial form).
 *
 * @throws ArgumentError unless both are counts
 */
export function mcnemarExact(b: number, c: number): number {
  requireCounts('mcnemarExact', b, c)
  const n = b + c
  let logTerm = -n * Math.LN2 // of C(n, i) / 2^n, in logarithms since 2^-n underflows from 1,075 on
  let sum = 0
  for (let i = 0; i <= Math.min(b, c); i++) {
    sum += Math.exp(logTerm)
    logTerm += Math.log((n - i) / (i + 1))
  }
  return Math.min(1, 2 * sum)
}

export interface Difference {
  /** Accuracy of the first minus accuracy of the second, as a fraction. */
  readonly difference: number
  /** 95 %. */
  readonly interval: Interval
}

/**
 * Difference of two accuracies on the same n questions, with its 95 % normal interval from the disagreements.
 *
 * @throws ArgumentError unless all are counts and b + c ≤ n, n ≥ 1
 */
export function pairedDifference(b: number, c: number, n: number): Difference {
  requireCounts('pairedDifference', b, c, n)
  if (n === 0 || b + c > n) {
    throw new ArgumentError('bad counts', {
      where: 'pairedDifference',
      expected: 'b + c ≤ n, n ≥ 1',
      actual: `${b} + ${c} of ${n}`,
    })
  }
  const half = (Z * Math.sqrt(b + c - (b - c) ** 2 / n)) / n
  const difference = (b - c) / n
  return { difference, interval: [difference - half, difference + half] }
}

/**
 * Bootstrap 95 % interval of a mean (Efron, 1979; percentiles). For paired sets a value is one *pair*, since its two
 * items are not independent. The same values give the same interval: the seed is fixed unless given.
 *
 * @param values one per independent unit
 * @throws ArgumentError if there are none
 */
export function bootstrapInterval(
  values: readonly number[],
  options: { readonly draws?: number; readonly seed?: number } = {},
): Interval {
  const { draws = 10_000, seed = 0 } = options
  const n = values.length
  if (n === 0 || !(Number.isInteger(draws) && draws >= 1)) {
    throw new ArgumentError('nothing to draw', {
      where: 'bootstrapInterval',
      expected: 'at least one value and one draw',
      actual: `${n} values, ${draws} draws`,
    })
  }
  const random = new Random(seed)
  const means = new Float64Array(draws)
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0
    for (let i = 0; i < n; i++) sum += values[random.integer(n)] as number
    means[draw] = sum / n
  }
  means.sort()
  return [quantile(means, 0.025), quantile(means, 0.975)]
}

/** Linear interpolation between order statistics, as NumPy's default. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const below = Math.floor(at)
  const lower = sorted[below] as number
  const upper = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return lower + (at - below) * (upper - lower)
}

/**
 * Holm's adjusted p-values (Holm, 1979), in the order given: compare each with the level of the whole table.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => (pValues[a] as number) - (pValues[b] as number))
  const adjusted = new Array<number>(pValues.length).fill(1)
  let largest = 0
  order.forEach((at, rank) => {
    largest = Math.max(largest, Math.min(1, (pValues.length - rank) * (pValues[at] as number)))
    adjusted[at] = largest
  })
  return adjusted
}

function requireCounts(where: string, ...values: readonly number[]): void {
  for (const value of values) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new ArgumentError('not a count', { where, expected: 'whole numbers from 0 on', actual: String(value) })
    }
  }
}
