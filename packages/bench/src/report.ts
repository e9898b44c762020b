/** Rows of a report, and how a suite makes them. */

import type { Agreement } from './contender.ts'
import type { Comparison, Measurement, Spread } from './measure.ts'

export interface Row {
  readonly name: string
  readonly ours: Measurement
  readonly peer?: string
  readonly theirs?: Measurement
  /** ours / theirs, pairwise: below 1 ours is faster or smaller. */
  readonly ratio?: Spread
  /** The peer is not installed here; this command installs it. */
  readonly skipped?: string
  /** Share of the processor that other programs took meanwhile, 0 … 1: with much of it a ratio means little. */
  readonly disturbance?: number
  /** Whether both computed the same. */
  readonly agreement?: Agreement
  /** How ours was run, where there is a choice. */
  readonly setting?: string
}

/** The numbers of a comparison as fields of a row. */
export function comparisonFields(
  { ours, theirs, ratio, disturbance }: Comparison,
  unit: string,
): Pick<Row, 'ours' | 'theirs' | 'ratio' | 'disturbance'> {
  return { ours: { ...ours, unit }, theirs: { ...theirs, unit }, ratio, disturbance }
}
