import { describe, expect, it } from 'vitest'
import { bootstrapInterval, holm, mcnemarExact, pairedDifference, wilsonInterval } from './statistics.ts'

describe('wilsonInterval', () => {
  it.each([
    [485, 500, 0.9511, 0.9817],
    [410, 500, 0.7839, 0.8512],
    [170, 340, 0.4472, 0.5528],
    [0, 170, 0, 0.0221],
  ])('%i of %i: [%f, %f]', (successes, n, lower, upper) => {
    const interval = wilsonInterval(successes, n)
    expect(interval[0]).toBeCloseTo(lower, 4)
    expect(interval[1]).toBeCloseTo(upper, 4)
  })

  it('ends exactly at 0 and 1', () => {
    expect(wilsonInterval(0, 7)[0]).toBe(0)
    expect(wilsonInterval(7, 7)[1]).toBe(1)
  })

  it('refuses what is no share', () => {
    expect(() => wilsonInterval(3, 2)).toThrow(/wilsonInterval: bad counts/)
    expect(() => wilsonInterval(0, 0)).toThrow(/bad counts/)
    expect(() => wilsonInterval(0.5, 2)).toThrow(/not a count/)
  })
})

describe('mcnemarExact', () => {
  it.each([
    [10, 21, 0.0707555],
    [10, 19, 0.1360459],
    [139, 124, 0.3880243],
    [14, 12, 0.845019],
    [0, 5, 0.0625],
    [0, 6, 0.03125],
    [3, 3, 1],
    [0, 0, 1],
  ])('%i against %i: p = %f', (b, c, p) => {
    expect(mcnemarExact(b, c)).toBeCloseTo(p, 7)
    expect(mcnemarExact(c, b)).toBeCloseTo(p, 7)
  })

  it('keeps small and large counts exact', () => {
    expect(mcnemarExact(222, 113) / 2.644e-9).toBeCloseTo(1, 3)
    expect(mcnemarExact(5000, 5000)).toBe(1)
    expect(mcnemarExact(0, 3000)).toBe(0)
  })

  it.each([
    [6, 0],
    [9, 1],
    [15, 5],
    [21, 9],
    [33, 17],
    [61, 39],
  ])('%i:%i is significant, a split less uneven is not', (b, c) => {
    expect(mcnemarExact(b, c)).toBeLessThan(0.05)
    expect(mcnemarExact(b - 1, c + 1)).toBeGreaterThan(0.05)
  })
})

describe('pairedDifference', () => {
  it('14 against 12 of 500: +0.4 [−1.6, +2.4] points', () => {
    const { difference, interval } = pairedDifference(14, 12, 500)
    expect([difference, ...interval].map((share) => (100 * share).toFixed(1))).toEqual(['0.4', '-1.6', '2.4'])
  })

  it('refuses more disagreements than questions', () => {
    expect(() => pairedDifference(3, 3, 5)).toThrow(/b \+ c ≤ n/)
  })
})

describe('bootstrapInterval', () => {
  it('is near the normal interval, and the same every time', () => {
    const values = Array.from({ length: 200 }, (_, i) => (i % 4 === 0 ? 1 : 0))
    const interval = bootstrapInterval(values)
    const half = 1.96 * Math.sqrt((0.25 * 0.75) / 200)
    expect(Math.abs(interval[0] - (0.25 - half))).toBeLessThan(0.01)
    expect(Math.abs(interval[1] - (0.25 + half))).toBeLessThan(0.01)
    expect(bootstrapInterval(values)).toEqual(interval)
    expect(bootstrapInterval(values, { seed: 1, draws: 500 })).not.toEqual(interval)
  })

  it('needs values', () => {
    expect(() => bootstrapInterval([])).toThrow(/nothing to draw/)
  })
})

describe('holm', () => {
  it('adjusts step by step, in the order given', () => {
    expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(10)))).toEqual([0.03, 0.06, 0.06, 0.02])
    expect(holm([0.9, 0.8])).toEqual([1, 1])
    expect(holm([])).toEqual([])
  })
})
