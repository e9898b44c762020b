import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { generateProsqa } from './generator.ts'
import { parseProsqaItems } from './prosqa.ts'
import { encodeProsqa, frontiers, hopDistances, parseProsqaQuestion } from './question.ts'

const small =
  'Tom is a wumpus. Every wumpus is a lorpus. Tom is a impus. Bob is a jelpus. ' +
  'Every jelpus is a yumpus. Every impus is a lorpus. Is Tom a yumpus or lorpus?'

describe('parseProsqaQuestion', () => {
  it('takes a question apart', () => {
    const { facts, options, person } = parseProsqaQuestion(small)
    expect(facts).toHaveLength(6)
    expect(facts[1]).toEqual({ subject: 'wumpus', class: 'lorpus', every: true })
    expect(facts[3]).toEqual({ subject: 'Bob', class: 'jelpus', every: false })
    expect(options).toEqual(['yumpus', 'lorpus'])
    expect(person).toBe('Tom')
  })

  it('forgives line breaks, "an" and a repeated article', () => {
    const typed = 'Zoë is an elf.\n  every elf is a  being.\nEvery orc is a beast. Is Zoë a beast or a being ?\n'
    expect(parseProsqaQuestion(typed)).toMatchObject({ person: 'Zoë', options: ['beast', 'being'] })
  })

  it.each([
    ['What is 2 + 2?', /does not end in a question with two options; expected "Is NAME/],
    ['', /does not end in a question/],
    ['Is Tom a wumpus or lorpus?', /there are no facts/],
    [
      'Tom is a wumpus. Tom likes tea. Is Tom a wumpus or lorpus?',
      /a sentence is not a fact; expected .*, got "Tom likes tea"/,
    ],
    ['Tom is a wumpus. . Is Tom a wumpus or lorpus?', /a sentence is not a fact/],
    ['Tom is a wumpus. Is Bob a wumpus or lorpus?', /no fact says what Bob is/],
    ['Tom is a wumpus. Is Tom a wumpus or wumpus?', /the two options are the same/],
  ])('says what is wrong with %j', (text, message) => {
    expect(() => parseProsqaQuestion(text)).toThrow(message)
    expect(() => parseProsqaQuestion(text)).toThrow(/ProsQA questions look like this/)
  })

  it('refuses a long text without an answer to it in linear time', () => {
    expect(() => parseProsqaQuestion('Is '.repeat(200_000))).toThrow(/does not end in a question/)
    expect(() => parseProsqaQuestion(`${'every '.repeat(200_000)}. Is Tom a b or c?`)).toThrow(/not a fact/)
  })
})

describe('encodeProsqa', () => {
  it('numbers names by first appearance', () => {
    const encoded = encodeProsqa(small)
    expect(encoded.symbols).toEqual(['Tom', 'wumpus', 'lorpus', 'impus', 'Bob', 'jelpus', 'yumpus'])
    expect(encoded.promptIds).toEqual([40, 0, 1, 41, 1, 2, 41, 0, 3, 41, 4, 5, 41, 5, 6, 41, 3, 2, 42, 6, 2, 43, 0])
    expect(encoded.endIds).toEqual([44])
    expect(encoded.optionIds).toEqual([6, 2])
    expect([encoded.person, encoded.personId]).toEqual(['Tom', 0])
    expect(encoded.edges[3]).toEqual([4, 5])
  })

  it('writes answers, and shows tokens that are none', () => {
    const encoded = encodeProsqa(small)
    expect([2, 41, 40, 17].map((id) => encoded.answerText(id))).toEqual(['Tom is a lorpus.', '|', '<eos>', '17'])
  })

  it('gives hop distances and the nodes that thoughts should read', () => {
    const encoded = encodeProsqa(small)
    expect(hopDistances(encoded)).toEqual([0, 1, 2, 1, -1, -1, -1])
    expect(frontiers(encoded, 3)).toEqual([[0], [1, 3], [2], []])
  })

  it('holds at most 40 names', () => {
    const chain = (names: number): string =>
      Array.from({ length: names - 2 }, (_, i) => (i === 0 ? 'Tom is a c0.' : `Every c${i - 1} is a c${i}.`)).join(' ')
    expect(encodeProsqa(`${chain(40)} Is Tom a c5 or other?`).symbols).toHaveLength(40)
    expect(() => encodeProsqa(`${chain(41)} Is Tom a c5 or other?`)).toThrow(
      /too many names; expected at most 40 different names, got 41/,
    )
  })

  it('keeps graph, options and answer of every generated item', () => {
    for (const item of generateProsqa({ count: 50, seed: 5 })) {
      const encoded = encodeProsqa(item.question)
      expect(encoded.promptIds).toHaveLength(3 * item.edges.length + 5)
      expect(encoded.edges.map(([a, b]) => `${encoded.symbols[a]} ${encoded.symbols[b]}`).sort()).toEqual(
        item.edges.map(([a, b]) => `${item.idx_to_symbol[a]} ${item.idx_to_symbol[b]}`).sort(),
      )
      const target = encoded.symbols.indexOf(item.idx_to_symbol[item.target] ?? '')
      expect(encoded.answerText(target)).toBe(item.answer)
      expect(encoded.optionIds).toContain(target)
      expect(hopDistances(encoded)[target]).toBe(item.steps.length)
    }
  })
})

const shared = new URL('../../../../../shared/', import.meta.url)
describe.runIf(existsSync(shared))('encodeProsqa on the published test file', () => {
  const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, shared), 'utf8'))

  it('gives the recorded prompts, and turns the recorded tokens into the right answers', () => {
    const items = parseProsqaItems(read('data/prosqa/prosqa_test.json'))
    const expected = read('models/prosqa/expected.json') as {
      thoughts: Record<string, { prompt: number[] }[]>
      sets: { main: { test: Record<string, { answers: number[]; correct: number }> } }
    }
    const prompts = expected.thoughts['test[0..3], main, plain']?.map((entry) => entry.prompt)
    expect(items.slice(0, 4).map((item) => encodeProsqa(item.question).promptIds)).toEqual(prompts)
    const { answers, correct } = expected.sets.main.test['latents 6'] ?? { answers: [], correct: -1 }
    const right = items.filter(
      (item, i) => encodeProsqa(item.question).answerText(answers[i] as number) === item.answer,
    )
    expect(right).toHaveLength(correct)
  })
})
