import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  defaults,
  describeChange,
  fraction,
  fromFragment,
  isPlain,
  type PlaygroundState,
  refinementOf,
  steps,
  toFragment,
} from './state.ts'

const states: fc.Arbitrary<PlaygroundState> = fc.record({
  question: fc.string({ minLength: 1, maxLength: 300 }).map((text) => text.trim() || 'x'),
  model: fc.constantFrom('main', 'main-early'),
  latents: fc.integer({ min: 0, max: 8 }),
  alpha: fc.integer({ min: 0, max: 20 }).map((share) => share / 20),
  step: fc.constantFrom(...steps),
  sign: fc.constantFrom('code', 'paper'),
  slots: fc.constantFrom('own', 'zero', 'pause', 'noise', 'first', 'other-question'),
  direction: fc.constantFrom('none', 'randomDirection', 'swapReferences'),
  seed: fc.nat(),
  at: fc.integer({ min: 1, max: 8 }),
  backend: fc.constantFrom('auto', 'webgpu', 'wasm', 'reference'),
})

describe('links', () => {
  test('a state comes back from its link', () => {
    fc.assert(
      fc.property(states, (state) => {
        expect(fromFragment(`#${toFragment(state)}`)).toEqual(state)
      }),
    )
  })

  test('the defaults need no link', () => {
    expect(toFragment(defaults)).toBe('')
    expect(fromFragment('')).toEqual(defaults)
  })

  test('what is not understood keeps its default', () => {
    const link = '#alpha=7&latents=2.5&model=other&step=-1&seed=NaN&at=0&slots=&sign=__proto__&question=%20&x=1'
    expect(fromFragment(link)).toEqual(defaults)
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(Object.keys(fromFragment(text))).toEqual(Object.keys(defaults))
      }),
    )
  })
})

describe('refinement', () => {
  const off = { ...defaults, alpha: 0 }

  test('nothing where nothing is changed', () => {
    expect(refinementOf(off)).toBeUndefined()
    expect(isPlain(off)).toBe(true)
  })

  test('a control in the slots leaves nothing to refine', () => {
    expect(refinementOf({ ...defaults, step: 1, slots: 'zero' })).toBeUndefined()
    expect(isPlain({ ...off, slots: 'zero' })).toBe(false)
  })

  test('both operations, and a control of the search', () => {
    const state: PlaygroundState = { ...defaults, alpha: 0.1, step: 1 / 4, sign: 'paper', direction: 'randomDirection' }
    expect(refinementOf(state)).toEqual({
      residual: { alpha: 0.1 },
      search: { step: 0.25, sign: 'paper' },
      control: 'randomDirection',
    })
    expect(describeChange(state)).toBe('α = 0.1 and s = 1/4, random direction')
  })

  test('a control of the search does nothing without a step', () => {
    expect(refinementOf({ ...defaults, direction: 'swapReferences' })).toEqual({ residual: { alpha: 0.3 } })
  })
})

test('steps are written as fractions', () => {
  expect(steps.map(fraction)).toEqual(['0', '1/64', '1/32', '1/16', '1/8', '1/4', '1/2', '1'])
  expect(fraction(0.3)).toBe('0.3')
})
