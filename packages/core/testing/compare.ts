/**
 * Comparing numbers: one definition of "equal enough" for the conformance suite, tests and goldens.
 *
 * NaN equals NaN and an infinity equals itself, because both are results an operation must give where its definition says
 * so; against anything finite they are infinitely wrong. Integers and truth values are always compared exactly.
 */

import { AfterthoughtError } from '../src/errors.ts'
import type { HostTensor } from '../src/tensor/types.ts'
import { formatSpec } from '../src/tensor/types.ts'

/** |actual − expected| ≤ absolute + relative · |expected|, element by element. */
export interface Tolerance {
  readonly absolute: number
  readonly relative: number
}

/** A backend that gives other results than the reference. */
export class ConformanceError extends AfterthoughtError {
  override readonly code = 'CONFORMANCE'
}

function errorOf(actual: number, expected: number): number {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return 0
  const error = Math.abs(actual - expected)
  return Number.isFinite(error) ? error : Number.POSITIVE_INFINITY
}

/** Largest absolute difference; infinite if the lengths differ, or where only one side is finite. */
export function maxError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < actual.length; i++) worst = Math.max(worst, errorOf(actual[i]!, expected[i]!))
  return worst
}

/** Index of the element furthest beyond the tolerance, −1 if all are within. */
function worstElement(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): number {
  let worst = -1
  let excess = 0
  for (let i = 0; i < actual.length; i++) {
    const error = errorOf(actual[i]!, expected[i]!)
    const beyond = error === 0 ? 0 : error - tolerance.absolute - tolerance.relative * Math.abs(expected[i]!)
    if (beyond > excess || (worst < 0 && Number.isNaN(beyond))) {
      worst = i
      excess = beyond
    }
  }
  return worst
}

export function allclose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: Tolerance = { absolute: 1e-6, relative: 1e-5 },
): boolean {
  return actual.length === expected.length && worstElement(actual, expected, tolerance) < 0
}

/** @throws ConformanceError naming the first difference in type, or the worst element */
export function expectClose(actual: HostTensor, expected: HostTensor, tolerance: Tolerance, where: string): void {
  const typesAgree = formatSpec(actual) === formatSpec(expected)
  if (!typesAgree || actual.data.length !== expected.data.length) {
    throw new ConformanceError('the result has another type', {
      where,
      expected: `${formatSpec(expected)} with ${expected.data.length} elements`,
      actual: `${formatSpec(actual)} with ${actual.data.length} elements`,
    })
  }
  const allowed = expected.dtype === 'f32' ? tolerance : { absolute: 0, relative: 0 }
  const worst = worstElement(actual.data, expected.data, allowed)
  if (worst < 0) return
  const differing = countBeyond(actual.data, expected.data, allowed)
  throw new ConformanceError(`${differing} of ${expected.data.length} elements differ`, {
    where: `${where}: ${formatSpec(expected)} at element ${worst}`,
    expected: `${expected.data[worst]} ± ${allowed.absolute} ± ${allowed.relative} of it`,
    actual: `${actual.data[worst]}`,
  })
}

function countBeyond(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): number {
  let count = 0
  for (let i = 0; i < actual.length; i++) {
    const within = errorOf(actual[i]!, expected[i]!) <= tolerance.absolute + tolerance.relative * Math.abs(expected[i]!)
    if (!within) count++
  }
  return count
}
