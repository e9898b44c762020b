/**
 * Named controls: settings in which the thoughts cannot carry what they are said to carry.
 *
 * A result about latent thoughts is worth as much as its distance from these. Each control turns the settings of the
 * row it accompanies into its own; one that changes nothing there (a sign where nothing is searched) does not apply.
 */

import { ArgumentError } from '../errors.ts'
import type { RefinementOptions } from '../latent/options.ts'

/** The settings of a rollout that controls read and change; every rollout's options fit. */
export interface ControllableSettings {
  readonly latents: number
  readonly replace?: ThoughtReplacement
  readonly refinement?: RefinementOptions
}

/** What can stand in the latent slots in place of the thoughts. */
export type ThoughtReplacement = 'none' | 'zero' | 'noise' | 'first' | 'other-question' | 'permute' | 'pause'

export interface Control {
  readonly name: string
  /** What the control asks, in a sentence. */
  readonly description: string
  /** The settings to put over the base's, or undefined where the control does not apply. */
  readonly settings: (base: ControllableSettings) => Partial<ControllableSettings> | undefined
}

const replacements: readonly (readonly [Exclude<ThoughtReplacement, 'none'>, string])[] = [
  ['zero', 'Does it matter that anything stands in the slots? Thoughts are zeros.'],
  ['noise', 'Is it only their size? Thoughts are noise of equal mean and deviation.'],
  ['first', 'Do later thoughts add anything? The first is repeated.'],
  ['other-question', 'Are they about this question? Thoughts come from another one.'],
  ['permute', 'Does their order matter? Thoughts are permuted.'],
  ['pause', 'Is it only more computation? A fixed vector stands in every slot.'],
]

/** Controls by name; `latents-K` for any K is understood too, see `findControls`. */
export const controls: readonly Control[] = [
  { name: 'no-thoughts', description: 'Is thinking needed at all? No latent steps.', settings: atLatents(0) },
  ...replacements.map(
    ([name, description]): Control => ({
      name,
      description,
      settings: (base) => (base.latents > 0 && base.replace !== name ? { replace: name } : undefined),
    }),
  ),
  {
    name: 'alpha-1',
    description: 'Does a residual only freeze the thoughts? The memory rate is 1: the first thought in every slot.',
    settings: (base) =>
      base.latents > 0 && base.refinement?.residual?.alpha !== 1
        ? { refinement: { ...base.refinement, residual: { ...base.refinement?.residual, alpha: 1 } } }
        : undefined,
  },
  {
    name: 'opposite-sign',
    description: 'Does the direction help, or any movement? The contrastive step goes the other way.',
    settings(base) {
      const search = base.refinement?.search
      if (search === undefined) return undefined
      return {
        refinement: { ...base.refinement, search: { ...search, sign: search.sign === 'paper' ? 'code' : 'paper' } },
      }
    },
  },
  {
    name: 'random-direction',
    description: 'Does the direction help, or any movement? A random one of equal length.',
    settings: searchControl('randomDirection'),
  },
  {
    name: 'swapped-references',
    description: 'Does it matter which reference is the good one? They change places.',
    settings: searchControl('swapReferences'),
  },
  ...[1, 2, 3, 4, 5, 6, 7, 8].map(latentsControl),
]

function latentsControl(latents: number): Control {
  return {
    name: `latents-${latents}`,
    description: `How many thoughts does it take? The same ${latents} for every question.`,
    settings: atLatents(latents),
  }
}

function atLatents(latents: number): Control['settings'] {
  return (base) => (base.latents === latents ? undefined : { latents })
}

function searchControl(control: 'randomDirection' | 'swapReferences'): Control['settings'] {
  return ({ refinement }) =>
    refinement?.search === undefined || refinement.control === control
      ? undefined
      : { refinement: { ...refinement, control } }
}

/**
 * The controls of a comma-separated list; `all` is every one that applies to the base settings.
 *
 * @throws ArgumentError for an unknown name, or one that does not apply to the base
 */
export function findControls(list: string, base: ControllableSettings): Control[] {
  const names = list.split(',').map((name) => name.trim())
  const found = names.flatMap((name) => {
    if (name === 'all') return controls.filter((control) => control.settings(base) !== undefined)
    const control = namedControl(name)
    if (control.settings(base) === undefined) {
      throw new ArgumentError(`the control ${name} does not apply`, {
        where: 'controls',
        expected: 'settings that it changes',
        actual: `${base.latents} latents, contrastive search ${base.refinement?.search === undefined ? 'off' : 'on'}`,
      })
    }
    return [control]
  })
  return [...new Map(found.map((control) => [control.name, control])).values()]
}

function namedControl(name: string): Control {
  const known = controls.find((control) => control.name === name)
  if (known !== undefined) return known
  const latents = /^latents-(\d{1,4})$/.exec(name)?.[1]
  if (latents !== undefined) return latentsControl(Number(latents))
  throw new ArgumentError('unknown control', {
    where: 'controls',
    expected: `all, latents-K, or some of ${controls.map((control) => control.name).join(', ')}`,
    actual: JSON.stringify(name),
  })
}
