/**
 * What the playground shows, as one plain object, and its link form: everything that differs from the defaults stands in
 * the page's fragment, so a link carries a finding and no server is asked.
 */

import type { RefinementOptions } from '@afterthought/core'

/** What stands in the latent slots: the model's own thoughts, or a control. */
export type Slots = 'own' | 'zero' | 'pause' | 'noise' | 'first' | 'other-question'

export type Direction = 'none' | 'randomDirection' | 'swapReferences'

export type BackendChoice = 'auto' | 'webgpu' | 'wasm' | 'reference'

export interface PlaygroundState {
  readonly question: string
  readonly model: 'main' | 'main-early'
  /** T */
  readonly latents: number
  /** Memory rate of residual refinement. */
  readonly alpha: number
  /** Step s of contrastive feedback; its sign is `sign`. */
  readonly step: number
  readonly sign: 'code' | 'paper'
  readonly slots: Slots
  readonly direction: Direction
  /** Of noise and random directions. */
  readonly seed: number
  /** The thought looked at, counted from 1. */
  readonly at: number
  readonly backend: BackendChoice
}

/** `newQuestion(24)`: four facts to the answer, few enough names to be seen, and an answer that blending changes. */
export const firstQuestion =
  'Every jompus is a gwompus. Every zumpus is a yerpus. Every scrompus is a rompus. Every lorpus is a gorpus. Every terpus is a chorpus. Every jelpus is a zumpus. Every gorpus is a boompus. Every timpus is a zumpus. Every jompus is a numpus. Every scrompus is a felpus. Every brimpus is a jelpus. Every zumpus is a scrompus. Every timpus is a rorpus. Every brimpus is a terpus. Every quimpus is a vumpus. Sally is a bompus. Every terpus is a timpus. Every terpus is a zumpus. Every timpus is a felpus. Every lorpus is a jompus. Every terpus is a felpus. Davis is a brimpus. Every gwompus is a quimpus. Every yimpus is a boompus. Every yerpus is a felpus. Sally is a lorpus. Every brimpus is a timpus. Every chorpus is a rompus. Every jompus is a vumpus. Every yimpus is a numpus. Every jompus is a quimpus. Every dumpus is a numpus. Sally is a vumpus. Davis is a jelpus. Every yimpus is a jompus. Every lorpus is a yimpus. Every quimpus is a gorpus. Every rorpus is a felpus. Every gwompus is a dumpus. Sally is a yimpus. Every gorpus is a bompus. Is Davis a vumpus or rompus?'

export const defaults: PlaygroundState = {
  question: firstQuestion,
  model: 'main',
  latents: 6,
  alpha: 0.3,
  step: 0,
  sign: 'code',
  slots: 'own',
  direction: 'none',
  seed: 0,
  at: 1,
  backend: 'auto',
}

export const MOST_LATENTS = 8

/** The steps of the slider; 0 is off. */
export const steps: readonly number[] = [0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]

const allowed = {
  model: ['main', 'main-early'],
  sign: ['code', 'paper'],
  slots: ['own', 'zero', 'pause', 'noise', 'first', 'other-question'],
  direction: ['none', 'randomDirection', 'swapReferences'],
  backend: ['auto', 'webgpu', 'wasm', 'reference'],
} as const

const ranges = {
  latents: [0, MOST_LATENTS],
  alpha: [0, 1],
  step: [0, 4],
  seed: [0, 2 ** 31],
  at: [1, MOST_LATENTS],
} as const

const MOST_CHARACTERS = 10_000

/** The state as the fragment of a link, without `#`. */
export function toFragment(state: PlaygroundState): string {
  const changed = Object.entries(state).filter(([key, value]) => value !== defaults[key as keyof PlaygroundState])
  return new URLSearchParams(changed.map(([key, value]) => [key, String(value)])).toString()
}

/** The state of a link. Whatever is not understood there keeps its default: a link never breaks the page. */
export function fromFragment(fragment: string): PlaygroundState {
  const given = new URLSearchParams(fragment.replace(/^#/, ''))
  const read: Record<string, string | number> = {}
  for (const [key, values] of Object.entries(allowed)) {
    const value = given.get(key)
    if (value !== null && (values as readonly string[]).includes(value)) read[key] = value
  }
  for (const [key, [low, high]] of Object.entries(ranges)) {
    const value = Number(given.get(key) ?? Number.NaN)
    const whole = key !== 'alpha' && key !== 'step'
    if (value >= low && value <= high && (!whole || Number.isInteger(value))) read[key] = value
  }
  const question = given.get('question')?.slice(0, MOST_CHARACTERS).trim()
  if (question) read.question = question
  return { ...defaults, ...read }
}

/** The refinement of the right-hand side, or undefined where it is off. */
export function refinementOf({ alpha, step, sign, slots, direction }: PlaygroundState): RefinementOptions | undefined {
  if (slots !== 'own' || (alpha === 0 && step === 0)) return undefined
  return {
    ...(alpha > 0 && { residual: { alpha } }),
    ...(step > 0 && { search: { step, sign } }),
    ...(step > 0 && direction !== 'none' && { control: direction }),
  }
}

/** Whether the right-hand side differs from plain Coconut at all. */
export function isPlain(state: PlaygroundState): boolean {
  return state.slots === 'own' && refinementOf(state) === undefined
}

/** A number as a person writes it: a step as a fraction. */
export function fraction(value: number): string {
  return value > 0 && value < 1 && Number.isInteger(1 / value) ? `1/${1 / value}` : String(value)
}

/** The change in a few words. */
export function describeChange(state: PlaygroundState): string {
  const { alpha, step, sign, slots, direction } = state
  const named: Record<Exclude<Slots, 'own'>, string> = {
    zero: 'thoughts zeroed',
    pause: 'pause vectors',
    noise: 'matched noise',
    first: 'first thought repeated',
    'other-question': 'another question’s thoughts',
  }
  if (slots !== 'own') return named[slots]
  if (isPlain(state)) return 'the same: nothing is changed'
  const parts: string[] = []
  if (alpha > 0) parts.push(`α = ${alpha}`)
  if (step > 0) {
    const way = {
      none: sign === 'code' ? '' : ', printed sign',
      randomDirection: ', random direction',
      swapReferences: ', references swapped',
    }
    parts.push(`s = ${fraction(step)}${way[direction]}`)
  }
  return parts.join(' and ')
}
