/**
 * The two operations of arXiv 2506.08552 on one continuous thought, inside a trace: residual refinement (a blend with the
 * previous thought) and contrastive feedback (a move along the difference of a strong and a weak reference model).
 *
 * The move is in closed form: the loss L(h) = (‖g − h‖² − ‖b − h‖²)/D has the constant gradient (2/D)(b − g) while the
 * references are held constant, so no backward pass is needed. `full` differentiates through the references as well.
 */

import { gradient } from '../autodiff/gradient.ts'
import type { TracedDecoder } from '../models/traced.ts'
import { asRow } from '../models/traced.ts'
import type { Operand } from '../tensor/functional.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import type { Refinement, ResolvedSearch } from './options.ts'

/** Two reference models in lock-step with the main one, each with its own cache. */
export interface References {
  readonly good: TracedDecoder
  readonly bad: TracedDecoder
  /** States at the newest committed position [B, D], from prefill or the last step: what `refStep: 'same'` compares. */
  readonly goodState: Tensor
  readonly badState: Tensor
}

/** Numbers that may change from run to run without tracing again. */
export interface Coefficients {
  readonly alpha: Operand
  /** Signed step: s, or λ for the relative step. */
  readonly step: Operand
  /** Normal draws [B, D] for the random-direction control. */
  readonly noise?: Tensor
}

export interface Reading {
  readonly good: Tensor
  readonly bad: Tensor
}

export interface Refined {
  /** What is fed to the model: [B, D]. */
  readonly thought: Tensor
  readonly references: References | undefined
  /** What the references said of the thought at their last probe: [B, D] each. */
  readonly reading: Reading | undefined
}

/**
 * Refines the candidate `raw` of one slot.
 *
 * @param previous the thought of the slot before, as it was fed; for the first slot what it is blended with, if anything
 * @param first whether this is the first slot: the references then have nothing left to commit
 * @param active whether this slot is refined at all; the references keep step either way
 */
export function refine(
  raw: Tensor,
  previous: Tensor | undefined,
  references: References | undefined,
  refinement: Refinement,
  coefficients: Coefficients,
  { first, active }: { readonly first: boolean; readonly active: boolean },
): Refined {
  const { order, residual, search } = refinement
  const blend = (thought: Tensor): Tensor =>
    active && residual && previous ? blendWith(previous, thought, coefficients.alpha) : thought
  const candidate = order === 'residual-first' ? blend(raw) : raw
  const pending = first ? undefined : previous
  const found =
    references && search
      ? contrast(candidate, pending, references, search, refinement.control, coefficients, active)
      : { thought: candidate, references, reading: undefined }
  return order === 'search-first' ? { ...found, thought: blend(found.thought) } : found
}

/** Equation 4: α·h_{t−1} + (1 − α)·f(h_{t−1}). */
function blendWith(previous: Tensor, thought: Tensor, alpha: Operand): Tensor {
  return F.add(F.mul(previous, alpha), F.mul(thought, F.sub(1, alpha)))
}

function contrast(
  candidate: Tensor,
  pending: Tensor | undefined,
  references: References,
  search: ResolvedSearch,
  control: Refinement['control'],
  coefficients: Coefficients,
  active: boolean,
): Refined {
  let thought = candidate
  let probed = probe(thought, pending, references, search)
  if (!active) return { thought, references: probed.references, reading: undefined }
  for (let inner = 0; inner < search.innerSteps; inner++) {
    if (inner > 0 && (search.recomputeReferences || search.gradient === 'full')) {
      // The cache already holds what was pending; only the reading is renewed.
      probed = { ...probe(thought, undefined, probed.uncommitted, search), references: probed.references }
    }
    thought = move(thought, probed.reading, search, control, coefficients)
  }
  return { thought, references: probed.references, reading: probed.reading }
}

/** Rows that a slot writes to each reference's cache. */
export function referenceGrowth(search: ResolvedSearch, first: boolean): number {
  if (search.refContext === 'none') return 0
  if (search.refStep === 'next' && search.refCommit === 'probe') return 1
  return first ? 0 : 1
}

interface Probed {
  readonly reading: Reading
  /** Caches as the next slot shall find them. */
  readonly references: References
  /** Caches as a further probe of this slot must find them: the pending thought committed, no probe. */
  readonly uncommitted: References
}

/**
 * Lets both references look at `thought`. The thought of the slot before, still pending, goes in front of it in the same
 * pass: one two-row step costs hardly more than one row, and a commit and a probe would be two passes.
 */
function probe(thought: Tensor, pending: Tensor | undefined, references: References, search: ResolvedSearch): Probed {
  if (search.refContext === 'none') {
    const reading = { good: references.good.alone(thought), bad: references.bad.alone(thought) }
    return { reading, references, uncommitted: references }
  }
  if (search.refStep === 'same') return keepStep(pending, references)
  const keepsProbe = search.refCommit === 'probe'
  const prefix = pending && !keepsProbe ? [asRow(pending)] : []
  const rows = F.concat([...prefix, asRow(thought)], 1) // [B, 1 or 2, D]
  const look = (model: TracedDecoder): { state: Tensor; next: TracedDecoder; before: TracedDecoder } => {
    const { state, next } = model.read(rows, keepsProbe ? 1 : prefix.length)
    return { state, next, before: keepsProbe ? model : next }
  }
  const [good, bad] = [look(references.good), look(references.bad)]
  const states = { goodState: good.state, badState: bad.state }
  return {
    reading: { good: good.state, bad: bad.state },
    references: { good: good.next, bad: bad.next, ...states },
    uncommitted: { good: good.before, bad: bad.before, ...states },
  }
}

/** `refStep: 'same'`: the state that the last commit left behind is the reading; nothing is probed. */
function keepStep(pending: Tensor | undefined, references: References): Probed {
  let current = references
  if (pending) {
    const [good, bad] = [references.good.read(asRow(pending)), references.bad.read(asRow(pending))]
    current = { good: good.next, bad: bad.next, goodState: good.state, badState: bad.state }
  }
  const reading = { good: current.goodState, bad: current.badState }
  return { reading, references: current, uncommitted: current }
}

function move(
  thought: Tensor,
  reading: Reading,
  search: ResolvedSearch,
  control: Refinement['control'],
  { step, noise }: Coefficients,
): Tensor {
  const { good, bad } = control === 'swapReferences' ? { good: reading.bad, bad: reading.good } : reading
  let direction = search.gradient === 'full' ? fullDirection(thought, good, bad) : F.sub(good, bad)
  if (control === 'randomDirection') {
    direction = F.mul(noise!, F.div(F.norm(direction), F.norm(noise!)))
  }
  if (search.stepMode === 'gradient') return F.add(thought, F.mul(direction, step))
  const length = F.maximum(F.norm(direction), SMALLEST) // equal references: no move instead of 0/0
  return F.add(thought, F.mul(F.mul(F.div(direction, length), F.norm(thought)), step))
}

const SMALLEST = 1e-30

/** −(D/2)·∇L with the references depending on the thought; equals g − b where they are constant. */
function fullDirection(thought: Tensor, good: Tensor, bad: Tensor): Tensor {
  return F.mul(contrastiveGradient(thought, good, bad), -thought.shape[1]! / 2)
}

/** L(h) per row: MSE(h, good) − MSE(h, bad), means over D. [B] */
export function contrastiveLoss(thought: Tensor, good: Tensor, bad: Tensor): Tensor {
  const distance = (state: Tensor): Tensor => {
    const gap = F.sub(thought, state)
    return F.mean(F.mul(gap, gap), [1])
  }
  return F.sub(distance(good), distance(bad))
}

/** ∇L through both references, row by row (rows do not see each other, so their sum has the same gradient). [B, D] */
export function contrastiveGradient(thought: Tensor, good: Tensor, bad: Tensor): Tensor {
  return gradient(F.reduceSum(contrastiveLoss(thought, good, bad), [0]), [thought])[0]!
}
