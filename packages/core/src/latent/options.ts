/**
 * What a refined rollout can be told (specs of arXiv 2506.08552 leave many details open): every ambiguity is a named
 * option with our default, and the paper-literal setting beside it. Defaults: both operations off.
 */

import { ArgumentError } from '../errors.ts'

export interface SearchOptions {
  /** η of the printed rule. One of `eta`, `step` and `lambda` must be given. */
  readonly eta?: number
  /** The scale-free step s in h' = h ± s·(good − bad); s = 2η/D for `perVector`. Report s: η means nothing across widths. */
  readonly step?: number
  /** `code` (default) moves towards good, as the released code is said to; `paper` is the printed plus sign. */
  readonly sign?: 'code' | 'paper'
  /** How the mean squared error of the printed rule is averaged; only scales η. Default `perVector`. */
  readonly reduction?: 'perVector' | 'batchMean' | 'sum'
  /** `gradient` (default): h + s·(g − b). `relative`: h + λ·‖h‖·(g − b)/‖g − b‖. */
  readonly stepMode?: 'gradient' | 'relative'
  readonly lambda?: number
  /** `detached` (default): references are constants. `full`: differentiate through both references. */
  readonly gradient?: 'detached' | 'full'
  /** Default 1. */
  readonly innerSteps?: number
  /** Probe the references again before every inner step. Default false: K steps equal one of K·η. */
  readonly recomputeReferences?: boolean
  /** `prefix` (default): references see question and earlier thoughts. `none`: the thought alone, at position 0. */
  readonly refContext?: 'prefix' | 'none'
  /** Whose embedding table fills the references' prompt. Default `own`. */
  readonly refEmbeddings?: 'own' | 'main'
  /** `next` (default): f(h_t) against h_t, equation 2 literally. `same`: f(h_{t−1}) against h_t. */
  readonly refStep?: 'next' | 'same'
  /** What stays in the references' caches: the refined thought (default) or the unrefined probe. */
  readonly refCommit?: 'refined' | 'probe'
}

export interface ResidualOptions {
  /** h_t = α·h_{t−1} + (1 − α)·f(h_{t−1}); 0 is plain Coconut, 1 repeats the first thought. */
  readonly alpha: number
  /** What the first thought is blended with. Default `none`. */
  readonly first?: 'none' | 'startEmbedding'
}

export interface RefinementOptions {
  /** Order inside a step. Default `residual-first`. */
  readonly order?: 'residual-first' | 'search-first'
  readonly search?: SearchOptions
  readonly residual?: ResidualOptions
  /** Which thoughts are refined: all (default) or these slots, counted from 1. */
  readonly applyAt?: 'every' | readonly number[]
  /** Controls of the search: a random direction of equal norm, or good and bad exchanged. Default `none`. */
  readonly control?: 'none' | 'randomDirection' | 'swapReferences'
}

/** Refinement as the thought loop uses it: defaults filled in, operations that do nothing removed. */
export interface Refinement {
  readonly order: 'residual-first' | 'search-first'
  readonly search: ResolvedSearch | undefined
  readonly residual: Required<ResidualOptions> | undefined
  readonly applyAt: 'every' | readonly number[]
  readonly control: 'none' | 'randomDirection' | 'swapReferences'
}

export interface ResolvedSearch {
  /** Signed: s of h + s·(g − b), or λ of the relative step. */
  readonly step: number
  readonly stepMode: 'gradient' | 'relative'
  readonly gradient: 'detached' | 'full'
  readonly innerSteps: number
  readonly recomputeReferences: boolean
  readonly refContext: 'prefix' | 'none'
  readonly refEmbeddings: 'own' | 'main'
  readonly refStep: 'next' | 'same'
  readonly refCommit: 'refined' | 'probe'
}

/** Whether the thought of a slot, counted from 1, is refined. */
export function isRefined({ applyAt }: Refinement, slot: number): boolean {
  return applyAt === 'every' || applyAt.includes(slot)
}

/**
 * @param width D of the model
 * @param batch rows of the batch (`batchMean` couples them)
 * @throws ArgumentError for values outside their range
 */
export function resolveRefinement(options: RefinementOptions, width: number, batch: number): Refinement {
  const { order = 'residual-first', search, residual, applyAt = 'every', control = 'none' } = options
  if (residual) checkRange('alpha', residual.alpha, 0, 1)
  if (applyAt !== 'every') for (const slot of applyAt) checkRange('applyAt', slot, 1, Number.MAX_SAFE_INTEGER)
  return {
    order,
    search: search && resolveSearch(search, width, batch),
    residual: residual && residual.alpha !== 0 ? { first: 'none', ...residual } : undefined,
    applyAt,
    control,
  }
}

function resolveSearch(search: SearchOptions, width: number, batch: number): ResolvedSearch | undefined {
  const { sign = 'code', stepMode = 'gradient', gradient = 'detached', innerSteps = 1 } = search
  checkRange('innerSteps', innerSteps, 1, 1000)
  const magnitude = stepMode === 'relative' ? search.lambda : (search.step ?? stepOfEta(search, width, batch))
  if (magnitude === undefined || !Number.isFinite(magnitude)) {
    throw new ArgumentError('no step size', {
      where: 'search',
      expected: stepMode === 'relative' ? 'lambda' : 'step or eta, a finite number',
      actual: `${magnitude}`,
    })
  }
  if (magnitude === 0) return undefined
  return {
    step: sign === 'code' ? magnitude : -magnitude,
    stepMode,
    gradient,
    innerSteps,
    recomputeReferences: search.recomputeReferences ?? false,
    refContext: search.refContext ?? 'prefix',
    refEmbeddings: search.refEmbeddings ?? 'own',
    refStep: search.refStep ?? 'next',
    refCommit: search.refCommit ?? 'refined',
  }
}

/** s = 2η/D for a loss averaged per vector; a batch mean divides by B as well, a sum does not divide. */
function stepOfEta({ eta, reduction = 'perVector' }: SearchOptions, width: number, batch: number): number | undefined {
  if (eta === undefined) return undefined
  if (reduction === 'sum') return 2 * eta
  return (2 * eta) / (reduction === 'perVector' ? width : width * batch)
}

function checkRange(where: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) {
    throw new ArgumentError('out of range', { where, expected: `${low} … ${high}`, actual: `${value}` })
  }
}
