import { describe, expect, it } from 'vitest'
import { type LogLine, learningCurves } from './learning-curves.ts'

const report = (step: number, task: string, phase: number, thoughts: number, loss: number): LogLine => ({
  ...{ step, task, phase, thoughts, loss, mass: 0.5 },
})
const lines: readonly LogLine[] = [
  report(100, 'queries', 0, 0, 10),
  report(200, 'queries', 0, 0, 1),
  { step: 200, accuracy: 0.25, withoutThoughts: 0.5 },
  report(300, 'thoughts', 1, 1, 0.1),
  report(400, 'thoughts', 1, 2, 0.1),
]
/** x of the texts that say so. */
const placesOf = (elements: readonly string[], text: string): number[] =>
  [...elements.join('').matchAll(/<text x="([\d.]+)"[^>]*>([^<]*)</g)].flatMap(([, x, said]) =>
    said === text ? [Number(x)] : [],
  )

describe('learning curves', () => {
  const { elements, description, width, height } = learningCurves(lines, 'Training')

  it('put steps on one scale, and the loss on a logarithmic one', () => {
    const [loss, right] = [...elements.join('').matchAll(/ d="([^"]+)"/g)].map(([, d]) =>
      d!
        .split(/[ML]/)
        .slice(1)
        .map((point) => point.split(' ').map(Number)),
    ) as [number[][], number[][]]
    const x = loss.map(([at]) => at!)
    expect(x[1]! - x[0]!).toBeCloseTo(x[3]! - x[2]!, 0)
    expect(x[0]! - 56).toBeCloseTo(x[1]! - x[0]!, 0)
    const y = loss.map(([, at]) => at!)
    expect(y[1]! - y[0]!).toBeCloseTo(y[2]! - y[1]!, 0)
    expect(right).toHaveLength(1)
    expect(right[0]![0]).toBe(x[1])
  })

  it('mark where tasks begin and thoughts are added, once in each panel', () => {
    const [first, second] = [placesOf(elements, 'thoughts'), placesOf(elements, '2')]
    expect(first).toHaveLength(2)
    expect(second).toHaveLength(2)
    expect(second[0]).toBeGreaterThan(first[0]!)
  })

  it('say in words how they end, and stay inside their frame', () => {
    expect(description).toMatch(/loss ends at 0\.1.*right ends at 0\.25.*no thoughts ends at 0\.5.*mass ends at 0\.5/)
    const numbers = [...elements.join('').matchAll(/ (x[12]?|y[12]?)="([\d.-]+)"/g)]
    expect(numbers.length).toBeGreaterThan(20)
    for (const [, axis, value] of numbers) expect(Number(value)).toBeLessThanOrEqual(axis![0] === 'x' ? width : height)
  })

  it('need no line at all', () => {
    expect(learningCurves([], 'Nothing yet').elements.join('')).toContain('Nothing yet')
  })
})
