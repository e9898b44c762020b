import { describe, expect, it } from 'vitest'
import { exactMatch, extractAnswer, numberOf, numericMatch } from './answers.ts'

describe('answers', () => {
  it('are what follows the last #, without commas', () => {
    expect(extractAnswer('<<1+1=2>>\n### 1,234 ')).toBe('1234')
    expect(extractAnswer('#### 3 #### 4')).toBe('4')
    expect(extractAnswer(' True ')).toBe('True')
    expect(extractAnswer('###')).toBe('')
  })

  it('match as text', () => {
    expect(exactMatch('1,000', '1000 ')).toBe(true)
    expect(exactMatch('18.0', '18')).toBe(false)
    expect(exactMatch('Tom is a wumpus.', 'Tom is a wumpus.')).toBe(true)
  })

  it('match as numbers', () => {
    expect(numericMatch('18.0', '18')).toBe(true)
    expect(numericMatch('3244047.1', '3244047.0999999996')).toBe(true)
    expect(numericMatch('2.01070e-06', '2.0106999999999997e-06')).toBe(true)
    expect(numericMatch('1.00001', '1')).toBe(false)
    expect(numericMatch('0.0000001', '0')).toBe(false)
    expect(numericMatch('eighteen', '18')).toBe(false)
    expect(numericMatch('', '0')).toBe(false)
    expect([numberOf('-.5'), numberOf('0x10'), numberOf('Infinity')]).toEqual([-0.5, undefined, undefined])
  })
})
