/**
 * Reductions over a workgroup, in two forms with one meaning: subgroup operations where the device has them, a tree in
 * workgroup memory elsewhere (Deno). Both end with every lane holding the result, and may be called again at once.
 *
 * Subgroups may have any size from 4 to 128; lanes are taken to be numbered through subgroup by subgroup.
 */

import type { Feature } from './kernel.ts'

export interface Target {
  /** Kernels for a CPU driver: barriers cost more than repeated work there. */
  readonly software: boolean
  readonly subgroups: boolean
  readonly f16: boolean
}

/** Lanes of kernels that reduce a row. */
export const ROW_LANES = 64

/** `-∞` as a value that no compiler evaluates early. */
export const lowest = 'fn lowest(lane: u32) -> f32 { return bitcast<f32>(0xff800000u | (lane & 0u)); }'

interface Operator {
  readonly subgroup: string
  join(a: string, b: string): string
}

const operators: Readonly<Record<'Sum' | 'Max', Operator>> = {
  Sum: { subgroup: 'subgroupAdd', join: (a, b) => `${a} + ${b}` },
  Max: { subgroup: 'subgroupMax', join: (a, b) => `max(${a}, ${b})` },
}

/** Functions `rowSum(value, …)` and `rowMax(value, …)`; call them as `rowSum(value, ${lanes(target)})`. */
export function rowReductions(
  target: Target,
  names: readonly ('Sum' | 'Max')[],
  type = 'f32',
): { declarations: string[]; features: Feature[] } {
  const functions = names.map((name) => (target.subgroups ? bySubgroups(name, type) : byTree(name, type)))
  return {
    declarations: [`var<workgroup> partial: array<${type}, ${ROW_LANES}>;`, lowest, ...functions],
    features: target.subgroups ? ['subgroups'] : [],
  }
}

export const lanes = (target: Target): string => (target.subgroups ? 'lane, subLane, subSize' : 'lane')

function byTree(name: 'Sum' | 'Max', type: string): string {
  const { join } = operators[name]
  return `fn row${name}(value: ${type}, lane: u32) -> ${type} {
  partial[lane] = value;
  for (var half = ${ROW_LANES / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] = ${join('partial[lane]', 'partial[lane + half]')}; }
  }
  workgroupBarrier();
  let result = partial[0];
  workgroupBarrier();
  return result;
}`
}

function bySubgroups(name: 'Sum' | 'Max', type: string): string {
  const { subgroup, join } = operators[name]
  return `fn row${name}(value: ${type}, lane: u32, subLane: u32, subSize: u32) -> ${type} {
  let own = ${subgroup}(value);
  if (subLane == 0u) { partial[lane / subSize] = own; }
  workgroupBarrier();
  var result = partial[0];
  for (var n = 1u; n * subSize < ${ROW_LANES}u; n++) { result = ${join('result', 'partial[n]')}; }
  workgroupBarrier();
  return result;
}`
}
