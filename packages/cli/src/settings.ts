/**
 * From options to the settings of a rollout: kebab-case values to core's names, and a clear word where an option would
 * do nothing.
 */

import type { RefinementOptions, SearchOptions } from '@afterthought/core'
import type { EvaluationSettings, ThoughtReplacement } from '@afterthought/core/evaluation'
import type { Values } from './arguments.ts'
import { refinementOptions, type thoughtOptions } from './options.ts'
import { UsageError } from './usage-error.ts'

export type RefinementValues = Values<typeof refinementOptions>
export type ThoughtValues = Values<typeof thoughtOptions>

/** Settings without their row's name. */
export type Settings = Omit<EvaluationSettings, 'name'>

/**
 * @param defaultLatents of the model
 * @throws UsageError for options that contradict each other or have no effect
 */
export function readSettings(values: RefinementValues & ThoughtValues, defaultLatents: number): Settings {
  const replace = readReplacement(values)
  const refinement = readRefinement(values)
  if (refinement) refuseRefinement(replace, values, optionsGiven(values))
  const latents = values.latents ?? defaultLatents
  refuseSlotsBeyond(latents, refinement)
  return {
    latents,
    ...(replace && { replace }),
    ...(refinement && { refinement }),
  }
}

function readReplacement({ replace, control }: RefinementValues & ThoughtValues): ThoughtReplacement | undefined {
  if (control !== 'pause') return replace
  if (replace !== undefined && replace !== 'pause') {
    throw new UsageError('contradicts --replace', { where: '--control pause', actual: `--replace ${replace}` })
  }
  return 'pause'
}

/** Replacements that no refined thought goes into. The others borrow thoughts of a run, which may be a refined one. */
const withoutThoughts: readonly (ThoughtReplacement | undefined)[] = ['zero', 'noise', 'first', 'pause']

/** @throws UsageError if nothing is left to refine for what `asked` for it */
function refuseRefinement(
  replace: ThoughtReplacement | undefined,
  { control }: RefinementValues,
  asked: readonly string[],
): void {
  if (!withoutThoughts.includes(replace)) return
  const where = control === 'pause' ? '--control pause' : `--replace ${replace}`
  throw new UsageError('the thoughts are replaced, and nothing is left to refine', { where, actual: asked.join(', ') })
}

function optionsGiven(values: RefinementValues): string[] {
  const names = Object.keys(refinementOptions) as (keyof RefinementValues)[]
  const given = names.filter((name) => values[name] !== undefined && values[name] !== false && values[name] !== 'pause')
  return given.map((name) => `--${name}`)
}

/** The refinement that the options ask for, or undefined. @throws UsageError */
export function readRefinement(values: RefinementValues): RefinementOptions | undefined {
  const { alpha, first, order, control } = values
  const search = readSearch(values)
  if (first !== undefined && alpha === undefined) throw noEffect('first', '--alpha')
  if (alpha === undefined && search === undefined) {
    for (const name of ['order', 'apply-at'] as const) {
      if (values[name] !== undefined) throw noEffect(name, '--alpha or --step')
    }
    if (control === 'random-direction' || control === 'swap-references') throw noEffect('control', '--step')
    return undefined
  }
  const applyAt = readSlots(values['apply-at'])
  return {
    ...(order && { order }),
    ...(search && { search }),
    ...(alpha !== undefined && {
      residual: { alpha, ...(first && { first: first === 'none' ? 'none' : 'startEmbedding' }) },
    }),
    ...(applyAt && { applyAt }),
    ...(control === 'random-direction' && { control: 'randomDirection' }),
    ...(control === 'swap-references' && { control: 'swapReferences' }),
  }
}

export type Preset = 'plain' | 'residual' | 'contrastive' | 'both'

/** Strengths of a preset that the options do not name. Neither is recommended: choose them on validation data. */
const PRESET = { alpha: 0.1, step: 0.25 } as const

/**
 * The settings of a named row: what the options say, as far as it concerns the row.
 *
 * @throws UsageError
 */
export function presetSettings(
  preset: Preset,
  values: RefinementValues & ThoughtValues,
  defaultLatents: number,
): Settings {
  const residual = preset === 'residual' || preset === 'both'
  const search = preset === 'contrastive' || preset === 'both'
  if (residual || search) refuseRefinement(readReplacement(values), values, [`--settings ${preset}`])
  const sized = values.step !== undefined || values.eta !== undefined || values.lambda !== undefined
  const concerns = (name: string): boolean =>
    name === 'alpha' || name === 'first'
      ? residual
      : name === 'order' || name === 'apply-at'
        ? residual || search
        : !(name in refinementOptions) || search
  const kept = Object.fromEntries(Object.entries(values).filter(([name]) => concerns(name))) as typeof values
  return readSettings(
    {
      ...kept,
      ...(residual && { alpha: values.alpha ?? PRESET.alpha }),
      ...(search && !sized && { step: PRESET.step }),
    },
    defaultLatents,
  )
}

const reductions = { 'per-vector': 'perVector', 'batch-mean': 'batchMean', sum: 'sum' } as const

/** Options that say how to search, but not how far. */
const manners = [
  'sign',
  'reduction',
  'step-mode',
  'gradient',
  'inner-steps',
  'ref-context',
  'ref-embeddings',
  'ref-step',
  'ref-commit',
] as const

function readSearch(values: RefinementValues): SearchOptions | undefined {
  const { eta, step, lambda, 'step-mode': stepMode } = values
  const sizes = Object.entries({ eta, step, lambda }).filter(([, value]) => value !== undefined)
  if (sizes.length > 1) {
    const given = sizes.map(([name]) => `--${name}`).join(' and ')
    throw new UsageError('a step has one size', { where: given, expected: 'one of --step, --eta and --lambda' })
  }
  if (sizes.length === 0) {
    const manner = manners.find((name) => values[name] !== undefined)
    if (manner) throw noEffect(manner, '--step')
    if (values['recompute-references']) throw noEffect('recompute-references', '--step')
    return undefined
  }
  if (lambda === undefined && stepMode === 'relative') {
    throw new UsageError('needs another size', { where: '--step-mode relative', expected: '--lambda' })
  }
  return {
    ...(eta !== undefined && { eta }),
    ...(step !== undefined && { step }),
    ...(lambda !== undefined && { lambda, stepMode: 'relative' }),
    ...(values.sign && { sign: values.sign }),
    ...(values.reduction && { reduction: reductions[values.reduction] }),
    ...(values.gradient && { gradient: values.gradient }),
    ...(values['inner-steps'] !== undefined && { innerSteps: values['inner-steps'] }),
    ...(values['recompute-references'] && { recomputeReferences: true }),
    ...(values['ref-context'] && { refContext: values['ref-context'] }),
    ...(values['ref-embeddings'] && { refEmbeddings: values['ref-embeddings'] }),
    ...(values['ref-step'] && { refStep: values['ref-step'] }),
    ...(values['ref-commit'] && { refCommit: values['ref-commit'] }),
  }
}

function noEffect(name: string, without: string): UsageError {
  return new UsageError(`has no effect without ${without}`, { where: `--${name}` })
}

function readSlots(text: string | undefined): 'every' | number[] | undefined {
  if (text === undefined || text === 'every') return text
  const slots = text.split(',').map(Number)
  if (slots.every((slot) => Number.isInteger(slot) && slot >= 1)) return slots
  throw new UsageError('not understood', {
    where: '--apply-at',
    expected: 'every, or slots counted from 1 as 1,3',
    actual: JSON.stringify(text),
  })
}

/** @throws UsageError if a thought is to be refined that is never thought */
export function refuseSlotsBeyond(latents: number, refinement: RefinementOptions | undefined): void {
  const { applyAt } = refinement ?? {}
  const beyond = typeof applyAt === 'object' ? applyAt.find((slot) => slot > latents) : undefined
  if (beyond === undefined) return
  throw new UsageError('there is no such thought', {
    where: '--apply-at',
    expected: `slots of ${latents} thoughts`,
    actual: `${beyond}`,
  })
}

/** @throws UsageError if references are named that no row asks */
export function refuseUnusedReferences(
  named: { readonly good: string | undefined; readonly bad: string | undefined },
  rows: readonly Pick<Settings, 'refinement'>[],
): void {
  if (rows.some(({ refinement }) => refinement?.search !== undefined)) return
  for (const name of ['good', 'bad'] as const) if (named[name] !== undefined) throw noEffect(name, '--step')
}

/** Whether the rollout asks two reference models. */
export function needsReferences({ refinement, latents }: Settings): boolean {
  const { search } = refinement ?? {}
  return latents > 0 && search !== undefined && (search.step ?? search.eta ?? search.lambda) !== 0
}

/** Settings in a few words: the name of a row. */
export function describeSettings({ replace, refinement }: Settings): string {
  const { residual, search, control } = refinement ?? {}
  const parts: string[] = []
  if (residual) parts.push(`alpha ${residual.alpha}`)
  if (search) {
    const [[size, value] = ['step', 0]] = Object.entries({
      step: search.step,
      eta: search.eta,
      lambda: search.lambda,
    }).filter(([, given]) => given !== undefined)
    parts.push(`${size} ${value}${search.sign === 'paper' ? ' paper' : ''}`)
  }
  if (control && control !== 'none')
    parts.push(control === 'randomDirection' ? 'random direction' : 'swapped references')
  if (replace && replace !== 'none') parts.push(replace)
  return parts.length === 0 ? 'plain' : parts.join(', ')
}
