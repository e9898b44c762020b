import { describe, expect, it } from 'vitest'
import { readRecords } from '../data/formats.ts'
import { generateProsqa } from '../data/generator.ts'
import { countPairs } from './pairs.ts'
import { evaluationReport, type ItemRecord, type RowInput } from './report.ts'
import { wilsonInterval } from './statistics.ts'

const paired = readRecords(JSON.stringify(generateProsqa({ count: 8, seed: 1, pairs: true }))).records
const single = readRecords(JSON.stringify(generateProsqa({ count: 8, seed: 1 }))).records

function row(name: string, right: readonly boolean[], extra: Partial<ItemRecord> = {}): RowInput {
  const items = right.map(
    (correct, index): ItemRecord => ({
      row: name,
      index,
      gold: 'g',
      answer: 'a',
      answerIds: [1],
      correct,
      latents: 6,
      tokens: 1 + (index % 2),
      ms: 10,
      ...extra,
    }),
  )
  return { name, settings: { latents: 6 }, items, ms: 80 }
}
const rightAt = (...indices: number[]): boolean[] => Array.from({ length: 8 }, (_, i) => indices.includes(i))

describe('evaluationReport', () => {
  it('counts, with intervals', () => {
    const report = evaluationReport([row('plain', rightAt(0, 1, 2, 4, 5))], {
      data: 'x.json',
      records: single,
      seed: 7,
    })
    expect(report).toMatchObject({ data: 'x.json', n: 8, seed: 7 })
    const [plain] = report.rows
    expect(plain).toMatchObject({
      correct: 5,
      n: 8,
      accuracy: 0.625,
      latents: 6,
      tokensPerQuestion: 1.5,
      msPerQuestion: 10,
    })
    expect(plain?.interval).toEqual(wilsonInterval(5, 8))
    expect(Object.keys(plain ?? {})).not.toContain('paired')
    expect(Object.keys(plain ?? {})).not.toContain('against')
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  it('counts pairs with both right, where the questions are pairs', () => {
    const options = { data: 'x', records: paired, seed: 0 }
    const [half, better] = evaluationReport(
      [row('half', rightAt(0, 2, 4, 6)), row('better', rightAt(0, 1, 2, 3, 4))],
      options,
    ).rows
    expect(half?.paired).toEqual({ correct: 0, n: 4, accuracy: 0, interval: wilsonInterval(0, 4) })
    expect(better?.paired).toMatchObject({ correct: 2, n: 4, accuracy: 0.5 })
    expect(evaluationReport([], options).baseline.accuracy).toBe(0.5)
  })

  it('groups by hops', () => {
    const [plain] = evaluationReport([row('plain', rightAt(0, 1))], { data: 'x', records: single, seed: 0 }).rows
    const groups = Object.values(plain?.byHop ?? {})
    expect(groups.reduce((sum, group) => sum + group.n, 0)).toBe(8)
    expect(groups.reduce((sum, group) => sum + group.correct, 0)).toBe(2)
  })

  it('compares with the base row', () => {
    const rows = [row('base', rightAt(0, 1, 2)), row('other', rightAt(0, 4)), row('same', rightAt(0, 1, 2))]
    const [base, other, same] = evaluationReport(rows, { data: 'x', records: single, seed: 0, base: 'base' }).rows
    expect(base?.against).toBeUndefined()
    expect(other?.against).toMatchObject({ row: 'base', b: 1, c: 2, p: 1, pAdjusted: 1, difference: -0.125 })
    expect(same?.against).toMatchObject({ b: 0, c: 0, p: 1, difference: 0, interval: [0, 0] })
  })

  it('draws pairs, not items, for the interval on a paired set', () => {
    const rows = [row('base', rightAt()), row('all', rightAt(0, 1, 2, 3, 4, 5, 6, 7))]
    const comparison = evaluationReport(rows, { data: 'x', records: paired, seed: 0, base: 'base' }).rows[1]?.against
    expect(comparison).toMatchObject({ b: 8, c: 0, difference: 1, interval: [1, 1] })
  })

  it('reports two-way, numeric and unparsable answers apart', () => {
    const extra = { twoWay: true, numeric: false, unparsable: true }
    const [plain] = evaluationReport([row('plain', rightAt(0), extra)], { data: 'x', records: single, seed: 0 }).rows
    expect(plain).toMatchObject({
      correct: 1,
      twoWay: { correct: 8, n: 8 },
      numeric: { correct: 0, n: 8 },
      unparsable: 8,
    })
  })

  it('refuses answers that are not to these questions', () => {
    const records = single
    expect(() => evaluationReport([row('short', [true])], { data: 'x', records, seed: 0 })).toThrow(
      /evaluationReport short: answers and questions/,
    )
    expect(() => evaluationReport([row('a', rightAt())], { data: 'x', records, seed: 0, base: 'b' })).toThrow(
      /no such row; expected a, got b/,
    )
    expect(() => evaluationReport([], { data: 'x', records: [], seed: 0 })).toThrow(/no questions/)
  })
})

describe('countPairs', () => {
  const questions = paired.map((record) => record.question)
  it('finds pairs, with one item left over too', () => {
    expect(countPairs(questions)).toBe(4)
    expect(countPairs(questions.slice(0, 5))).toBe(2)
  })

  it('needs every pair to be one', () => {
    expect(countPairs(questions.slice(1))).toBe(0)
    expect(countPairs([questions[0] ?? '', questions[0] ?? ''])).toBe(0)
    expect(countPairs(single.map((record) => record.question))).toBe(0)
    expect(countPairs(['What is 1 + 1?', 'What is 2 + 2?'])).toBe(0)
    expect(countPairs([])).toBe(0)
  })
})
