/** Rotary position embedding, half-split, of queries and keys in one dispatch. Views are followed, not copied. */

import { sizeOf } from '@afterthought/core'
import type { View } from '../plan/views.ts'
import { type Kernel, perElement, read, write } from './kernel.ts'

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
  const total = counts.reduce((sum, count) => sum + count, 0)
  return perElement(total, {
    label: 'rotary',
    bindings: [
      ...items.map(({ out }, n) => write(`out${n}`, out)),
      ...items.map(({ x }, n) => read(`x${n}`, x)),
      read('cosines', cos),
      read('sines', sin),
    ],
    parameters,
    body: `
  var t = i;
  ${items.length === 1 ? one(0) : `if (t < p.count0) ${one(0)} else { t -= p.count0; ${one(1)} }`}`,
    flops: 6 * total,
  })
}
