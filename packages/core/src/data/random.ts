/**
 * Random numbers that are the same on every runtime: xoshiro128** (Blackman and Vigna, 2018), seeded by SplitMix32.
 *
 * Thirty-two-bit arithmetic only, so no BigInt on the hot path. Equal seeds give equal streams; `stream` separates uses
 * of one seed that must not influence each other (a row of a batch, an epoch, a bootstrap).
 */

import { ArgumentError } from '../errors.ts'

export type RandomState = readonly [number, number, number, number]

export class Random {
  readonly #state: Uint32Array = new Uint32Array(4)

  /**
   * @param seed any safe integer
   * @param stream which of the independent streams of that seed
   * @throws ArgumentError if either is not a safe integer
   */
  constructor(seed: number, stream = 0) {
    for (const [name, value] of [
      ['seed', seed],
      ['stream', stream],
    ] as const) {
      if (!Number.isSafeInteger(value)) {
        throw new ArgumentError('not a whole number', {
          where: `Random ${name}`,
          expected: 'a safe integer',
          actual: String(value),
        })
      }
    }
    let state = 0
    for (const value of [seed, stream]) {
      state = mix(state ^ (value >>> 0))
      state = mix(state ^ (Math.floor(value / 2 ** 32) >>> 0))
    }
    for (let i = 0; i < 4; i++) {
      state = (state + 0x9e3779b9) >>> 0
      this.#state[i] = mix(state)
    }
  }

  /** Continues from a state read with `state`; not all words may be zero. */
  static from(state: RandomState): Random {
    if (state.every((word) => word >>> 0 === 0)) {
      throw new ArgumentError('a state of zeros only ever gives zeros', { where: 'Random.from' })
    }
    const random = new Random(0)
    random.#state.set(state)
    return random
  }

  get state(): RandomState {
    const [a = 0, b = 0, c = 0, d = 0] = this.#state
    return [a, b, c, d]
  }

  /** The next 32 bits, 0 … 2³² − 1. */
  bits(): number {
    const s = this.#state
    const s1 = s[1] as number
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0
    s[2] = (s[2] as number) ^ (s[0] as number)
    s[3] = (s[3] as number) ^ s1
    s[1] = s1 ^ (s[2] as number)
    s[0] = (s[0] as number) ^ (s[3] as number)
    s[2] = (s[2] as number) ^ (s1 << 9)
    s[3] = rotateLeft(s[3] as number, 11)
    return result
  }

  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53
  }

  /**
   * Uniform in 0 … bound − 1, without modulo bias.
   *
   * @throws ArgumentError unless bound is an integer in 1 … 2³²
   */
  integer(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new ArgumentError('bad bound', {
        where: 'Random.integer',
        expected: 'an integer in 1 … 2^32',
        actual: String(bound),
      })
    }
    const limit = 2 ** 32 - (2 ** 32 % bound)
    for (;;) {
      const bits = this.bits()
      if (bits < limit) return bits % bound
    }
  }

  /** Normal by the polar method (Marsaglia and Bray, 1964); the second value of each pair is not kept. */
  normal(mean = 0, deviation = 1): number {
    for (;;) {
      const u = 2 * this.uniform() - 1
      const v = 2 * this.uniform() - 1
      const square = u * u + v * v
      if (square > 0 && square < 1) return mean + deviation * u * Math.sqrt((-2 * Math.log(square)) / square)
    }
  }

  /** Poisson by products of uniforms (Knuth); meant for small rates, the time grows with `rate`. */
  poisson(rate: number): number {
    if (!(rate >= 0 && rate <= 500)) {
      throw new ArgumentError('bad rate', { where: 'Random.poisson', expected: '0 … 500', actual: String(rate) })
    }
    const limit = Math.exp(-rate)
    let product = this.uniform()
    let count = 0
    while (product > limit) {
      product *= this.uniform()
      count++
    }
    return count
  }

  /** One of the items, all equally likely. */
  choice<T>(items: readonly T[]): T {
    return items[this.integer(items.length)] as T
  }

  /** A shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const out = [...items]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const held = out[i] as T
      out[i] = out[j] as T
      out[j] = held
    }
    return out
  }
}

function rotateLeft(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mix(value: number): number {
  let z = value >>> 0
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 0
}
