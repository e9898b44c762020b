/**
 * How weights are stored: formats, layout and slabs.
 *
 * A matrix that is multiplied with is kept as [outputs, inputs] whatever its checkpoint has (GPT-2's is transposed while it
 * is uploaded), so that one kernel reads all, in quads along the inputs. A matrix larger than one binding (GPT-2's f32
 * embedding on many devices) is bound in slabs of whole rows.
 */

import type { Slot } from './views.ts'

/** `int8` and `int4`: symmetric, in blocks of 32 along the inputs with an f16 scale each. */
export type WeightFormat = 'f32' | 'f16' | 'int8' | 'int4'

export const BLOCK = 32

/** A matrix in its storage format. */
export interface WeightView {
  readonly format: WeightFormat
  /** Outputs of a product, or rows of a table. */
  readonly rows: number
  /** Inputs; a multiple of 4, of 32 for int8 and int4. */
  readonly columns: number
  readonly values: Slot
  /** f16 scales of the blocks, two to a word. */
  readonly scales: Slot | undefined
}

export interface Slab {
  readonly from: number
  readonly to: number
}

/** Bytes of one row's values. */
export function rowBytes({ format, columns }: Pick<WeightView, 'format' | 'columns'>): number {
  return columns * { f32: 4, f16: 2, int8: 1, int4: 0.5 }[format]
}

/** Whole rows per binding; slabs start where a binding may start. */
export function slabsOf(weight: WeightView, maxBytes: number, alignment: number): Slab[] {
  const bytes = rowBytes(weight)
  if (weight.rows * bytes <= maxBytes) return [{ from: 0, to: weight.rows }]
  const unit = alignment / greatestCommonDivisor(bytes, alignment)
  const rows = Math.floor(maxBytes / bytes / unit) * unit
  const count = Math.ceil(weight.rows / rows)
  return Array.from({ length: count }, (_, i) => ({ from: i * rows, to: Math.min(weight.rows, (i + 1) * rows) }))
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))
