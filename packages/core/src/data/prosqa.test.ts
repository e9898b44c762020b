import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { generateProsqa, neighborsByHop } from './generator.ts'
import { type ProsqaItem, type ProsqaRule, parseProsqaItems, prosqaViolations } from './prosqa.ts'

const [item] = generateProsqa({ count: 1, seed: 11 }) as [ProsqaItem]
const rulesBroken = (changed: ProsqaItem): ProsqaRule[] => [
  ...new Set(prosqaViolations(changed).map((violation) => violation.rule)),
]

describe('parseProsqaItems', () => {
  it('returns items as they are', () => {
    const items = generateProsqa({ count: 4, seed: 12, neighborK: true })
    expect(parseProsqaItems(JSON.parse(JSON.stringify(items)))).toEqual(items)
  })

  it.each<[string, unknown, RegExp]>([
    ['no list', { question: 'x' }, /f.json: bad value; expected a JSON list .* got an object/],
    ['an empty list', [], /got \[\]/],
    ['a number', [item, 7], /f.json, item 1: bad value; expected an object, got 7/],
    [
      'a missing question',
      [{ ...item, question: undefined }],
      /item 0, question: bad value; expected a string, got nothing/,
    ],
    ['steps that are no strings', [{ ...item, steps: [1] }], /item 0, steps: bad value; expected a list of strings/],
    [
      'a giant graph',
      [{ ...item, idx_to_symbol: new Array(1001).fill('x') }],
      /idx_to_symbol: bad value; expected at most 1000/,
    ],
    ['a root outside', [{ ...item, root: 99 }], /item 0, root: bad value; expected a node index below \d+, got 99/],
    ['a fractional target', [{ ...item, target: 1.5 }], /item 0, target: bad value; .* got 1.5/],
    [
      'an edge of three',
      [{ ...item, edges: [[0, 1, 2]] }],
      /item 0, edges\[0\]: bad value; expected two node indices, got \[0, 1, 2\]/,
    ],
    ['an edge outside', [{ ...item, edges: [[0, -1]] }], /item 0, edges\[0\]: bad value; expected a node index/],
    [
      'bad levels',
      [{ ...item, neighbor_k: { one: [0] } }],
      /item 0, neighbor_k: bad value; expected hop numbers as keys, got "one"/,
    ],
  ])('refuses %s', (_, json, message) => {
    expect(() => parseProsqaItems(json, 'f.json')).toThrow(message)
    expect(() => parseProsqaItems(json, 'f.json')).toThrow(FormatError)
  })
})

describe('prosqaViolations', () => {
  it('finds none in a faithful item', () => {
    expect(prosqaViolations(item)).toEqual([])
  })

  it('finds each broken rule', () => {
    expect(rulesBroken({ ...item, edges: [...item.edges].reverse() })).toContain('order')
    expect(rulesBroken({ ...item, edges: item.edges.slice(1) })).toContain('text')
    expect(rulesBroken({ ...item, idx_to_symbol: item.idx_to_symbol.map((name) => name.toLowerCase()) })).toContain(
      'names',
    )
    expect(rulesBroken({ ...item, answer: 'Tom is a cat.' })).toEqual(['text'])
    expect(rulesBroken({ ...item, question: 'What?' })).toEqual(['text'])
    expect(rulesBroken({ ...item, target: item.neg_target, neg_target: item.target })).toEqual(
      expect.arrayContaining(['text', 'target', 'steps']),
    )
    expect(rulesBroken({ ...item, steps: item.steps.slice(1) })).toEqual(['steps'])
    expect(rulesBroken({ ...item, steps: [...item.steps].reverse() })).toEqual(['steps'])
  })

  it('tells shallow targets by depth and hops', () => {
    const shallow: ProsqaItem = {
      question: 'Tom is a a1. Bob is a b1. Tom is a a2. Every a2 is a a3. Is Tom a a1 or b1?',
      answer: 'Tom is a a1.',
      steps: ['Tom is a a1.'],
      idx_to_symbol: ['Tom', 'Bob', 'a1', 'b1', 'a2', 'a3'],
      edges: [
        [0, 2],
        [1, 3],
        [0, 4],
        [4, 5],
      ],
      root: 0,
      target: 2,
      neg_target: 3,
    }
    expect(rulesBroken(shallow)).toEqual(['depth', 'hops'])
  })
})

const shared = new URL('../../../../../shared/data/', import.meta.url)
describe.runIf(existsSync(shared))('the published files', () => {
  const read = (path: string): ProsqaItem[] =>
    parseProsqaItems(JSON.parse(readFileSync(new URL(path, shared), 'utf8')), path)
  const allowed = (path: string): ProsqaRule[] =>
    path.includes('rootswap') ? ['depth', 'hops'] : path.includes('7hop') ? ['hops'] : []

  it.each([
    ['prosqa/prosqa_valid.json', 300],
    ['prosqa/prosqa_test.json', 500],
    ['prosqa/prosqa_test_rootswap.json', 500],
    ['prosqa/prosqa_valid_rootswap.json', 300],
    ['prosqa/prosqa_paired_realgraphs.json', 340],
    ['prosqa_symbolic/prosqa_valid_graph_4_coconut.json', 257],
    ['prosqa_symbolic/prosqa_test_graph_4_coconut.json', 419],
    ['prosqa_synth/prosqa_synth_ood_7hop.json', 300],
  ])('%s: %i items, the invariants hold', (path, count) => {
    const items = read(path)
    expect(items).toHaveLength(count)
    expect([...new Set(items.flatMap(rulesBroken))].sort()).toEqual(allowed(path))
  })

  it('has the neighbor_k that we compute', () => {
    const sorted = (levels: Readonly<Record<string, readonly number[]>> | undefined): string =>
      JSON.stringify(Object.entries(levels ?? {}).map(([hop, nodes]) => [hop, [...nodes].sort((a, b) => a - b)]))
    for (const split of ['valid', 'test']) {
      for (const item of read(`prosqa_symbolic/prosqa_${split}_graph_4_coconut.json`)) {
        expect(sorted(neighborsByHop(item))).toBe(sorted(item.neighbor_k))
      }
    }
  })
})
