import { distancesFrom, prosqaTokens, Random, UNREACHABLE } from '@afterthought/core/data'
import { describe, expect, it } from 'vitest'
import { DRAWS, drawPuzzle, MOST_HOPS, type Puzzle, supervisedLevels } from './puzzles.ts'

const random = new Random(11)
const puzzles: Puzzle[] = (['tiny', 'small', 'real'] as const).flatMap((size) =>
  Array.from({ length: 40 }, () => drawPuzzle(random, size, 4)),
)

describe('questions about one graph', () => {
  it('have one option that the root reaches, and one that it does not', () => {
    for (const { children, symbols, questions } of puzzles) {
      for (const { askIds, root, target, other, hops, draw } of questions) {
        const distances = distancesFrom([root], children)
        expect(distances[target]).toBe(hops)
        expect(hops).toBeLessThanOrEqual(MOST_HOPS)
        expect(distances[other]).toBe(UNREACHABLE)
        const [q, a, b, asks, person] = askIds
        expect([q, asks, person]).toEqual([prosqaTokens.question, prosqaTokens.root, symbols[root]])
        expect(new Set([a, b])).toEqual(new Set([symbols[target], symbols[other]]))
        expect(draw).toBeGreaterThanOrEqual(0)
        expect(draw).toBeLessThan(DRAWS)
      }
    }
  })

  it('are asked of both persons first, then of others too', () => {
    for (const { questions } of puzzles) {
      expect(new Set(questions.slice(0, 2).map(({ root }) => root))).toEqual(new Set([0, 1]))
    }
    // Small graphs have few other names with options of their own.
    const further = puzzles.slice(-40).flatMap(({ questions }) => questions.slice(2))
    expect(further.filter(({ root }) => root > 1).length).toBeGreaterThan(further.length / 4)
  })

  it('have the right option first as often as the wrong one, and the first person as often as the second', () => {
    const first = puzzles.flatMap(({ symbols, questions }) =>
      questions.map(({ askIds, target }) => Number(askIds[1] === symbols[target])),
    )
    const share = first.reduce((sum, value) => sum + value, 0) / first.length
    expect(Math.abs(share - 0.5)).toBeLessThan(0.1)
  })

  it('are taught the names that walks of one, two, … facts reach', () => {
    for (const puzzle of puzzles) {
      for (const question of puzzle.questions) {
        const levels = supervisedLevels(puzzle, question, 'walk')
        expect(levels).toHaveLength(MOST_HOPS)
        expect(levels[question.hops - 1]).toContain(question.target)
        expect(levels.flat()).not.toContain(question.other)
      }
    }
  })
})
