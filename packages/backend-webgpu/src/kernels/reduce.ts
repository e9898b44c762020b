/**
 * Reductions, running sums, arg-max and top-k. Tensors are seen as [outer, extent, inner] around the reduced axes.
 *
 * Many outputs: a thread each, reading in the order of the reference. Few outputs over long extents: a workgroup each.
 * A chain of elementwise operations in front is computed on the way in.
 */

import type { Expression } from '../plan/expression.ts'
import { costOf, evaluate } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import { elementFunctions, storageType } from './element-ops.ts'
import { type Kernel, perElement, read, write } from './kernel.ts'
import { lanes, lowest, ROW_LANES, rowReductions, type Target } from './workgroup.ts'

export interface Extents {
  readonly outer: number
  readonly extent: number
  readonly inner: number
}

/** Fewer outputs than this over more than `LONG` elements each are given a workgroup each. */
const FEW = 1024
const LONG = 128

/** How outputs are shared out: a loop over the extent that follows `output`, for a lane or for a thread of its own. */
function share(count: number, extent: number) {
  const byGroup = count < FEW && extent > LONG
  return {
    byGroup,
    size: ROW_LANES,
    groups: byGroup ? count : Math.ceil(count / ROW_LANES),
    start: `
  let output = ${byGroup ? 'group' : `group * ${ROW_LANES}u + lane`};
  if (output >= p.count) { return; }
  let base = output / p.inner * p.extent * p.inner + output % p.inner;`,
    loop: `for (var r = ${byGroup ? 'lane' : '0u'}; r < p.extent; r += ${byGroup ? ROW_LANES : 1}u)`,
    store: (result: string) => (byGroup ? `if (lane == 0u) { out[output] = ${result}; }` : `out[output] = ${result};`),
  }
}

/** Sum or maximum of `expression`, which has the shape of the whole input. */
export function reduce(
  target: Target,
  op: 'reduceSum' | 'reduceMax',
  expression: Expression,
  shape: readonly number[],
  { outer, extent, inner }: Extents,
  out: View,
): Kernel {
  const count = outer * inner
  const value = evaluate(expression, shape, 'e')
  const sum = op === 'reduceSum'
  const { byGroup, start, loop, store, ...spread } = share(count, extent)
  const reductions = rowReductions(target, ['Sum', 'Max'])
  // A maximum that meets NaN anywhere is NaN: hardware maxima may drop it, so its presence is summed up beside.
  const join = sum
    ? `total = rowSum(total, ${lanes(target)});`
    : `let broken = rowSum(select(0.0, 1.0, isNan(total)), ${lanes(target)});
  total = rowMax(total, ${lanes(target)});
  if (broken > 0.0) { total = bitcast<f32>(0x7fc00000u | (lane & 0u)); }`
  return {
    label: op,
    bindings: [write('out', out), ...value.bindings],
    parameters: { count, extent, inner, ...value.parameters },
    ...spread,
    features: byGroup ? reductions.features : [],
    declarations: [
      ...value.declarations,
      ...(byGroup ? reductions.declarations : [lowest]),
      ...(sum ? [] : [elementFunctions.isNan, elementFunctions.maxNan]),
    ],
    body: `${start}
  var total = ${sum ? '0.0' : 'lowest(lane)'};
  ${loop} {
    let i = base + r * p.inner;
${value.statements}
    ${sum ? `total += ${value.result};` : `total = maxNan(total, ${value.result});`}
  }
  ${byGroup ? join : ''}
  ${store('total')}`,
    flops: (1 + costOf(expression)) * count * extent,
  }
}

/**
 * Running sums along the extent, in order, block by block, as a line may be long. (Kahan's compensation would not survive:
 * WGSL lets a compiler reassociate it away, and Mesa's does.)
 */
export function cumsum(expression: Expression, shape: readonly number[], extents: Extents, out: View): Kernel {
  const { outer, extent, inner } = extents
  const value = evaluate(expression, shape, 'e')
  const type = storageType(expression.dtype)
  return perElement(outer * inner, {
    label: 'cumsum',
    bindings: [write('out', out, type), ...value.bindings],
    parameters: { extent, inner, ...value.parameters },
    declarations: value.declarations,
    body: `
  let base = i / p.inner * p.extent * p.inner + i % p.inner;
  var total = ${type}(0);
  var block = ${type}(0);
  for (var r = 0u; r < p.extent; r++) {
    let i = base + r * p.inner;
${value.statements}
    block += ${value.result};
    out[i] = total + block;
    if ((r & 31u) == 31u) { total += block; block = ${type}(0); }
  }`,
    flops: outer * extent * inner,
  })
}

/** Index of the first maximum along the extent. NaN counts as the smallest value. */
export function argmax(x: View, { outer, extent, inner }: Extents, out: View): Kernel {
  const count = outer * inner
  const { byGroup, start, loop, store, ...spread } = share(count, extent)
  return {
    label: 'argmax',
    bindings: [write('out', out, 'i32'), read('x', x)],
    parameters: { count, extent, inner, xAt: x.offset },
    ...spread,
    declarations: [lowest, pickLargest],
    body: `${start}
  var best = 0u;
  var top = lowest(lane);
  ${loop} {
    let value = x[p.xAt + base + r * p.inner];
    if (value > top) { top = value; best = r; }
  }
  ${byGroup ? 'best = pickLargest(top, best, lane);' : ''}
  ${store('i32(best)')}`,
    flops: count * extent,
  }
}

/** Over the workgroup: the index of the largest value, the lowest one at a tie. */
const pickLargest = `
var<workgroup> tops: array<f32, ${ROW_LANES}>;
var<workgroup> places: array<u32, ${ROW_LANES}>;
fn pickLargest(top: f32, place: u32, lane: u32) -> u32 {
  tops[lane] = top;
  places[lane] = place;
  for (var half = ${ROW_LANES / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      let other = tops[lane + half];
      if (other > tops[lane] || (other == tops[lane] && places[lane + half] < places[lane])) {
        tops[lane] = other;
        places[lane] = places[lane + half];
      }
    }
  }
  workgroupBarrier();
  let result = places[0];
  workgroupBarrier();
  return result;
}`

/** The k largest of dense rows, found one after the other: k is small where this is used. */
export function topK(x: View, k: number, values: View, indices: View): Kernel {
  const width = x.shape.at(-1)!
  const rows = x.shape.slice(0, -1).reduce((product, extent) => product * extent, 1)
  return {
    label: 'topK',
    bindings: [write('out', values), write('placesOut', indices, 'i32'), read('x', x)],
    parameters: { rows, width, k, xAt: x.offset },
    size: ROW_LANES,
    groups: rows,
    declarations: [lowest, pickLargest],
    body: `
  if (group >= p.rows) { return; }
  let base = p.xAt + group * p.width;
  var last = 0.0;
  var lastPlace = 0u;
  for (var n = 0u; n < p.k; n++) {
    var top = lowest(lane);
    var best = 0xffffffffu;
    for (var j = lane; j < p.width; j += ${ROW_LANES}u) {
      let value = x[base + j];
      let left = n == 0u || value < last || (value == last && j > lastPlace);
      if (left && (value > top || best == 0xffffffffu)) { top = value; best = j; }
    }
    lastPlace = pickLargest(top, best, lane);
    last = x[base + min(lastPlace, p.width - 1u)];
    if (lane == 0u) {
      out[group * p.k + n] = last;
      placesOut[group * p.k + n] = i32(min(lastPlace, p.width - 1u));
    }
  }`,
    flops: k * rows * width,
  }
}
