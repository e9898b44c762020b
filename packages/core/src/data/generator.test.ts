import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { graphRules, ruleAccuracy } from '../evaluation/heuristics.ts'
import { countPairs } from '../evaluation/pairs.ts'
import { generateProsqa, longGraphs } from './generator.ts'
import { prosqaViolations } from './prosqa.ts'
import { prosqaStatistics } from './prosqa-statistics.ts'

describe('generateProsqa', () => {
  const items = generateProsqa({ count: 4000, seed: 0 })

  it('gives faithful items, none twice', () => {
    expect(items.flatMap(prosqaViolations)).toEqual([])
    expect(new Set(items.map((item) => item.question)).size).toBe(items.length)
  })

  it('has the statistics of the 800 published items', () => {
    const statistics = prosqaStatistics(items)
    const near = (value: number, real: number, tolerance: number): void => {
      expect(Math.abs(value - real), `${value} for ${real}`).toBeLessThanOrEqual(tolerance)
    }
    near(statistics.nodes, 22.8, 0.5)
    near(statistics.edges, 35.99, 0.8)
    near(statistics.hops, 3.77, 0.05)
    const hops = [0.408, 0.438, 0.131, 0.024]
    for (const [i, share] of hops.entries()) near(statistics.hopShares.get(i + 3) ?? 0, share, 0.03)
    near(statistics.persons, 2.55, 0.15)
    near(statistics.rootOutDegree, 2.94, 0.2)
    near(statistics.rootLeaves, 3.66, 0.2)
    near(statistics.shortestPaths, 1.59, 0.1)
    const inDegrees = [0.027, 0.479, 0.304, 0.133, 0.042, 0.011]
    for (const [degree, share] of inDegrees.entries()) near(statistics.inDegreeShares.get(degree) ?? 0, share, 0.02)
    near(statistics.reach.root, 0.535, 0.03)
    near(statistics.reach.other, 0.372, 0.03)
    near(statistics.reach.both, 0.06, 0.03)
    near(statistics.reach.none, 0.034, 0.03)
  })

  it('leaves every rule within 6 points of its accuracy on the published test file', () => {
    const published = [91.1, 71.2, 73.2, 66.2, 59.8, 55.4, 70.2, 91.9, 98.8]
    graphRules.forEach((rule, i) => {
      const { accuracy } = ruleAccuracy(rule, items)
      expect(Math.abs(100 * accuracy - (published[i] as number)), rule.name).toBeLessThanOrEqual(6)
    })
  })

  it('repeats itself, and differs with the seed', () => {
    expect(generateProsqa({ count: 3, seed: 0 })).toEqual(items.slice(0, 3))
    expect(generateProsqa({ count: 3, seed: 1 })).not.toEqual(items.slice(0, 3))
  })

  it('makes pairs on which every rule that ignores the person gets half', () => {
    const paired = generateProsqa({ count: 200, seed: 2, pairs: true })
    expect(paired.flatMap(prosqaViolations)).toEqual([])
    expect(countPairs(paired.map((item) => item.question))).toBe(100)
    for (const rule of graphRules.filter((candidate) => !candidate.readsPerson)) {
      expect(ruleAccuracy(rule, paired).accuracy, rule.name).toBe(0.5)
    }
  })

  it('keeps to the hops asked for, seven with longer graphs', () => {
    const short = generateProsqa({ count: 20, seed: 3, hops: [3, 4] })
    expect(short.every((item) => item.steps.length <= 4)).toBe(true)
    const long = generateProsqa({ count: 10, seed: 3, hops: [7, 7], graphs: longGraphs })
    expect(long.flatMap(prosqaViolations).every((violation) => violation.rule === 'hops')).toBe(true)
    expect(long.every((item) => item.steps.length === 7)).toBe(true)
  })

  it('relabels at random: only the invariants of order are lost', () => {
    const relabelled = generateProsqa({ count: 20, seed: 4, relabel: 'random' })
    const rules = new Set(
      relabelled
        .filter((item) => item.root > 1)
        .flatMap(prosqaViolations)
        .map((violation) => violation.rule),
    )
    expect([...rules]).toEqual(['order'])
    expect(relabelled.some((item) => item.root > 1)).toBe(true)
  })

  it('adds the nodes on shortest paths', () => {
    for (const item of generateProsqa({ count: 20, seed: 5, neighborK: true })) {
      const levels = Object.entries(item.neighbor_k ?? {})
      expect(levels).toHaveLength(item.steps.length + 1)
      expect(levels[0]).toEqual(['0', [item.root]])
      expect(levels.at(-1)?.[1]).toEqual([item.target])
    }
  })

  it('leaves out what it is told to', () => {
    const again = generateProsqa({ count: 3, seed: 0, exclude: [items[0]?.question ?? ''] })
    expect(again[0]).toEqual(items[1])
  })

  it('refuses what it cannot make', () => {
    expect(() => generateProsqa({ count: 0, seed: 0 })).toThrow(/generateProsqa count: bad option/)
    expect(() => generateProsqa({ count: 3, seed: 0, pairs: true })).toThrow(/an even number with pairs/)
    expect(() => generateProsqa({ count: 2, seed: 0, hops: [5, 3] })).toThrow(/generateProsqa hops/)
    const tiny = { ...longGraphs, nodes: { mean: 3, deviation: 0, least: 3, most: 3 } }
    expect(() => generateProsqa({ count: 1, seed: 0, graphs: tiny })).toThrow(/no such graph found/)
  })
})

const samples = new URL('../../../cli/data/', import.meta.url)
describe.runIf(existsSync(samples))('the samples of the command line', () => {
  it.each([
    ['prosqa-sample.json', 2506],
    ['prosqa-validation.json', 8552],
  ])('%s is what make-sets.ts writes', (file, seed) => {
    const items: unknown = JSON.parse(readFileSync(new URL(file, samples), 'utf8'))
    expect(items).toEqual(generateProsqa({ count: 60, seed, hops: [3, 5], pairs: true }))
  })
})
