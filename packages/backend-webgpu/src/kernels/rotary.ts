/** Rotary position embedding, half-split, of queries and keys in one dispatch. Views are followed, not copied. */

import { sizeOf } from '@afterthought/core'
import type { View } from '../plan/views.ts'
import type { Kernel } from './kernel.ts'

const THREADS = 64

export interface Turned {
  /** [B, H, T, d] */
  readonly x: View
  /** Dense, of the same shape. */
  readonly out: View
}

/** @param cos [B, T, d/2], dense, as `sin` is */
export function rotary(items: readonly Turned[], cos: View, sin: View): Kernel {
  const [, , rows, width] = items[0]!.x.shape as [number, number, number, number]
  const counts = items.map(({ x }) => sizeOf(x.shape) / 2)
  const parameters: Record<string, number> = {
    count: counts.reduce((sum, count) => sum + count, 0),
    rows,
    half: width / 2,
    cosAt: cos.offset,
    sinAt: sin.offset,
  }
  items.forEach(({ x }, n) => {
    parameters[`count${n}`] = counts[n]!
    parameters[`heads${n}`] = x.shape[1]!
    parameters[`at${n}`] = x.offset
    x.strides.forEach((stride, axis) => (parameters[`s${n}_${axis}`] = stride))
  })
  const one = (n: number): string => `{
    let j = t % p.half;
    let row = t / p.half % p.rows;
    let head = t / p.half / p.rows % p.heads${n};
    let batch = t / p.half / p.rows / p.heads${n};
    let angle = (batch * p.rows + row) * p.half + j;
    let c = cosines[p.cosAt + angle];
    let s = sines[p.sinAt + angle];
    let place = p.at${n} + batch * p.s${n}_0 + head * p.s${n}_1 + row * p.s${n}_2 + j * p.s${n}_3;
    let first = x${n}[place];
    let second = x${n}[place + p.half * p.s${n}_3];
    let to = t / p.half * p.half * 2u + j;
    out${n}[to] = first * c - second * s;
    out${n}[to + p.half] = second * c + first * s;
  }`
  return {
    label: 'rotary',
    bindings: [
      ...items.map(({ out }, n) => ({ name: `out${n}`, slot: out.slot, access: 'write' as const, type: 'f32' })),
      ...items.map(({ x }, n) => ({ name: `x${n}`, slot: x.slot, access: 'read' as const, type: 'f32' })),
      { name: 'cosines', slot: cos.slot, access: 'read', type: 'f32' },
      { name: 'sines', slot: sin.slot, access: 'read', type: 'f32' },
    ],
    parameters,
    size: THREADS,
    groups: Math.ceil(parameters.count! / THREADS),
    body: `
  var t = group * ${THREADS}u + lane;
  if (t >= p.count) { return; }
  ${items.length === 1 ? one(0) : `if (t < p.count0) ${one(0)} else { t -= p.count0; ${one(1)} }`}`,
    flops: 6 * parameters.count!,
  }
}
