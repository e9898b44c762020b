import { describe, expect, it } from 'vitest'
import { Random } from './random.ts'

describe('Random', () => {
  it('is xoshiro128**: the first ten outputs from state 1, 2, 3, 4', () => {
    const random = Random.from([1, 2, 3, 4])
    expect(Array.from({ length: 10 }, () => random.bits())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ])
  })

  it('stays the same from version to version', () => {
    expect(new Random(0).bits()).toBe(3809008728)
  })

  it('gives equal streams for equal seeds, and others for other seeds and streams', () => {
    const first = (seed: number, stream?: number): number => new Random(seed, stream).bits()
    expect(first(7)).toBe(first(7))
    const firsts = [first(7), first(8), first(-7), first(7 + 2 ** 32), first(7, 1), first(7, 2), first(0, 7)]
    expect(new Set(firsts).size).toBe(firsts.length)
  })

  it('continues from a saved state', () => {
    const random = new Random(3)
    random.bits()
    const copy = Random.from(random.state)
    expect([copy.uniform(), copy.normal()]).toEqual([random.uniform(), random.normal()])
  })

  it('has the moments of its distributions', () => {
    const random = new Random(1)
    const n = 20_000
    const moments = (draw: () => number): [number, number] => {
      const values = Array.from({ length: n }, draw)
      const mean = values.reduce((sum, value) => sum + value, 0) / n
      return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n]
    }
    const close = ([mean, variance]: [number, number], expectedMean: number, expectedVariance: number): void => {
      expect(Math.abs(mean - expectedMean)).toBeLessThan(5 * Math.sqrt(expectedVariance / n))
      expect(variance / expectedVariance).toBeGreaterThan(0.95)
      expect(variance / expectedVariance).toBeLessThan(1.05)
    }
    close(
      moments(() => random.uniform()),
      0.5,
      1 / 12,
    )
    close(
      moments(() => random.integer(6)),
      2.5,
      35 / 12,
    )
    close(
      moments(() => random.normal(3, 2)),
      3,
      4,
    )
    close(
      moments(() => random.poisson(1.4)),
      1.4,
      1.4,
    )
  })

  it('shuffles a copy, every order equally often', () => {
    const random = new Random(2)
    const source = ['a', 'b', 'c'] as const
    const counts = new Map<string, number>()
    for (let i = 0; i < 6000; i++) {
      const order = random.shuffle(source).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(source).toEqual(['a', 'b', 'c'])
    expect(counts.size).toBe(6)
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })

  it('refuses bad arguments', () => {
    expect(() => new Random(0.5)).toThrow(/Random seed: not a whole number; expected a safe integer, got 0.5/)
    expect(() => new Random(0).integer(0)).toThrow(/bad bound/)
    expect(() => new Random(0).poisson(-1)).toThrow(/bad rate/)
    expect(() => Random.from([0, 0, 0, 0])).toThrow(/zeros/)
  })
})
