import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readRecords } from '../data/formats.ts'
import type { ProsqaItem } from '../data/prosqa.ts'
import { blindBaseline, constantBaseline, graphRules, ruleTable } from './heuristics.ts'

/** Tom → a1 → a2 → a3 and a1 → a3; Bob → b1; Max → b1. */
const item: ProsqaItem = {
  question:
    'Bob is a b1. Every a1 is a a2. Every a2 is a a3. Max is a b1. Tom is a a1. Every a1 is a a3. Bob is a b2. Is Tom a b1 or a3?',
  answer: 'Tom is a a3.',
  steps: ['Tom is a a1.', 'Every a1 is a a3.'],
  idx_to_symbol: ['Tom', 'Bob', 'a1', 'a2', 'a3', 'b1', 'Max', 'b2'],
  edges: [
    [1, 5],
    [2, 3],
    [3, 4],
    [6, 5],
    [0, 2],
    [2, 4],
    [1, 7],
  ],
  root: 0,
  target: 4,
  neg_target: 5,
}
const records = [{ question: item.question, steps: item.steps, answer: item.answer, prosqa: item }]

describe('graphRules', () => {
  it('score nodes as their names say', () => {
    const scores = graphRules.map((rule) => [4, 5].map(rule.score(item)))
    expect(scores).toEqual([
      [2, 1],
      [3, 2],
      [3, 1],
      [-2, -2],
      [4, 5],
      [-26, -17],
      [1, 0],
      [1, 0],
      [1, 0],
    ])
  })

  it('count ties half', () => {
    expect(ruleTable([item]).map((rule) => [rule.accuracy, rule.ties])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
      [0.5, 1],
      [0, 0],
      [0, 0],
      [1, 0],
      [1, 0],
      [1, 0],
    ])
  })
})

describe('baselines', () => {
  it('are the most common answer', () => {
    expect(constantBaseline([{ answer: 'No' }, { answer: 'Yes' }, { answer: 'No' }])).toMatchObject({
      answer: 'No',
      correct: 2,
      accuracy: 2 / 3,
    })
  })

  it('are the best blind rule where there are graphs, in reverse if that is better', () => {
    expect(blindBaseline(records)).toEqual({ name: 'larger distance from any person', accuracy: 1 })
    const swapped = { ...item, root: 1, target: 5, neg_target: 4 }
    expect(blindBaseline([{ ...records[0], prosqa: swapped } as (typeof records)[number]])).toEqual({
      name: 'larger distance from any person, reversed',
      accuracy: 1,
    })
  })
})

const shared = new URL('../../../../../shared/data/', import.meta.url)
describe.runIf(existsSync(shared))('the published files', () => {
  const read = (path: string): ReturnType<typeof readRecords>['records'] =>
    readRecords(readFileSync(new URL(path, shared), 'utf8'), path).records

  it.each([
    ['prosqa/prosqa_test.json', [91.1, 71.2, 73.2, 66.2, 59.8, 55.4, 70.2, 91.9, 98.8]],
    ['prosqa/prosqa_valid.json', [92.5, 69.8, 71.7, 66.7, 60.3, 54.0, 70.7, 92.8, 98.8]],
    ['prosqa_symbolic/prosqa_test_graph_4_coconut.json', [89.6, 68.0, 70.3, 65.2, 58.5, 53.2, 74.1, 100, 100]],
    ['prosqa/prosqa_paired_realgraphs.json', [50, 50, 50, 50, 50, 50, 90.9, 99.4, 100]],
    ['prosqa_synth/prosqa_synth_ood_7hop.json', [99.8, 87.2, 95.3, 74.0, 64.0, 58.0, 50, 50, 50]],
  ])('%s: the rule table', (path, expected) => {
    const items = read(path).flatMap((record) => record.prosqa ?? [])
    expect(ruleTable(items).map((rule) => Number((100 * rule.accuracy).toFixed(1)))).toEqual(expected)
  })

  it('have these constant answers', () => {
    const percent = (path: string): string => {
      const { answer, accuracy } = constantBaseline(read(path))
      return `${answer} ${(100 * accuracy).toFixed(1)}`
    }
    expect(percent('strategyqa/strategyqa_dev.json')).toBe('No 53.3')
    expect(percent('aqua/aqua_test.json')).toBe('A 24.8')
    expect(percent('mathqa/mathqa_test.jsonl')).toBe('d 23.1')
    expect(percent('prontoqa/prontoqa_5hop_fictional_250.json')).toBe('False 52.0')
    expect(percent('prontoqa/345hop_random_true.json')).toBe('True 51.0')
  })
})
