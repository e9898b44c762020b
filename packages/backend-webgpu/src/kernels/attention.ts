/**
 * Attention over a cache and the new rows side by side, one workgroup per query: online softmax over chunks of keys, after
 * Milakov and Gimelshein (arXiv 1805.02867). Long caches with few queries are split over workgroups, whose partial sums a
 * second kernel joins (Flash-Decoding).
 *
 * Keys that the mask hides are neither multiplied nor summed: their weight is zero anyway, unless a row sees nothing at all.
 * Then all its keys count alike, as the finite mask of core defines. Grouped query heads read their key head directly.
 */

import type { View } from '../plan/views.ts'
import { type Kernel, perElement, read, write } from './kernel.ts'
import { lanes, ROW_LANES, rowReductions, type Target } from './workgroup.ts'

export interface Attention {
  /** [B, H, T, d], d dense. */
  readonly q: View
  /** [B, KV, R, d], d dense. */
  readonly k: View
  readonly v: View
  /** [B or 1, 1, T, S + R], dense. */
  readonly bias: View
  /** [B, KV, S, d], d dense. */
  readonly past: { readonly k: View; readonly v: View } | undefined
  readonly scale: number
  /** Dense as [B, T, H, d]: heads side by side, as the output projection reads them. */
  readonly out: View
}

const CHUNK = 256
/** Scores at or below it come from the mask. */
const HIDDEN = '-1e38'

/** Workgroups that one query's keys are spread over. */
export function splitsOf(target: Target, { q, bias }: Attention): number {
  const [batch, heads, rows] = q.shape as [number, number, number, number]
  const wanted = Math.floor(256 / (batch * heads * rows))
  return target.software ? 1 : Math.max(1, Math.min(wanted, Math.ceil(bias.shape[3]! / (2 * CHUNK))))
}

/** @param partial where split sums go: [queries, splits, d + 2]; the output is then written by `joinSplits` */
export function attention(target: Target, problem: Attention, splits = 1, partial?: View): Kernel {
  const { q, k, v, bias, past, scale, out } = problem
  const [batch, heads, rows, width] = q.shape as [number, number, number, number]
  const total = bias.shape[3]!
  const views = past ? { q, k, v, pastK: past.k, pastV: past.v } : { q, k, v }
  const unit = Object.values(views).every((view) => isQuads(view)) ? 4 : 1
  const type = unit === 4 ? 'vec4<f32>' : 'f32'
  const steps = width / unit
  const perLane = Math.ceil(steps / ROW_LANES)
  const slices = Math.max(1, Math.floor(ROW_LANES / steps))
  const parameters: Record<string, number | { f32: number }> = {
    queries: batch * heads * rows,
    heads,
    rows,
    past: past?.k.shape[2] ?? 0,
    total,
    share: heads / k.shape[1]!,
    splits,
    perSplit: Math.ceil(total / splits / CHUNK) * CHUNK,
    biasAt: bias.offset,
    biasBatch: bias.shape[0] === 1 ? 0 : rows * total,
    scale: { f32: scale },
  }
  for (const [name, view] of Object.entries(views)) {
    parameters[`${name}At`] = view.offset / unit
    for (const axis of [0, 1, 2]) parameters[`${name}_${axis}`] = view.strides[axis]! / unit
  }
  const destination = partial ?? out
  const reductions = rowReductions(target, ['Sum', 'Max'])
  const at = (name: string, head: string, row: string): string =>
    `p.${name}At + batch * p.${name}_0 + ${head} * p.${name}_1 + ${row} * p.${name}_2`
  const pick = (fresh: string, old: string, rest: string): string =>
    past
      ? `var value: ${type}; if (key < p.past) { value = ${old}[${at(old, 'group_head', 'key')} + ${rest}]; }
      else { value = ${fresh}[${at(fresh, 'group_head', '(key - p.past)')} + ${rest}]; }`
      : `let value = ${fresh}[${at(fresh, 'group_head', 'key')} + ${rest}];`
  const owned = Array.from({ length: perLane }, (_, n) => n)
  return {
    label: 'attention',
    bindings: [
      write('out', destination),
      ...Object.entries(views).map(([name, view]) => read(name, view, type)),
      read('bias', bias),
    ],
    parameters,
    size: ROW_LANES,
    groups: batch * heads * rows * splits,
    features: reductions.features,
    declarations: [
      ...reductions.declarations,
      `var<workgroup> query: array<${type}, ${steps}>;
var<workgroup> weights: array<f32, ${CHUNK}>;
var<workgroup> parts: array<${type}, ${ROW_LANES * perLane}>;`,
    ],
    body: `
  if (group >= p.queries * p.splits) { return; }
  let split = group % p.splits;
  let item = group / p.splits;
  let row = item % p.rows;
  let head = item / p.rows % p.heads;
  let batch = item / p.rows / p.heads;
  let group_head = head / p.share;
  let biasFrom = p.biasAt + batch * p.biasBatch + row * p.total;
  for (var d = lane; d < ${steps}u; d += ${ROW_LANES}u) { query[d] = q[${at('q', 'head', 'row')} + d] * p.scale; }
  workgroupBarrier();
  let slice = lane / ${Math.min(steps, ROW_LANES)}u;
  let own = lane % ${Math.min(steps, ROW_LANES)}u;
${owned.map((n) => `  var sum${n} = ${type}(0.0);`).join('\n')}
  var top = lowest(lane);
  var mass = 0.0;
  let end = min(p.total, (split + 1u) * p.perSplit);
  for (var start = split * p.perSplit; start < end; start += ${CHUNK}u) {
    let count = min(${CHUNK}u, end - start);
    var best = lowest(lane);
    for (var j = lane; j < count; j += ${ROW_LANES}u) {
      let key = start + j;
      var score = bias[biasFrom + key];
      if (score > ${HIDDEN}) {
        var product = ${type}(0.0);
        for (var d = 0u; d < ${steps}u; d++) { ${pick('k', 'pastK', 'd')} product = fma(query[d], value, product); }
        score += ${unit === 4 ? 'product.x + product.y + product.z + product.w' : 'product'};
      }
      weights[j] = score;
      best = max(best, score);
    }
    let next = max(top, rowMax(best, ${lanes(target)}));
    var chunkMass = 0.0;
    for (var j = lane; j < count; j += ${ROW_LANES}u) {
      let weight = exp(weights[j] - next);
      weights[j] = weight;
      chunkMass += weight;
    }
    let fade = exp(top - next);
    mass = mass * fade + rowSum(chunkMass, ${lanes(target)});
    top = next;
${owned.map((n) => `    sum${n} *= fade;`).join('\n')}
    if (slice < ${slices}u) {
      for (var j = slice; j < count; j += ${slices}u) {
        let weight = weights[j];
        if (weight == 0.0) { continue; }
        let key = start + j;
${owned.map((n) => `        if (own + ${n * ROW_LANES}u < ${steps}u) { ${pick('v', 'pastV', `own + ${n * ROW_LANES}u`)} sum${n} += weight * value; }`).join('\n')}
      }
    }
    workgroupBarrier();
  }
${owned.map((n) => `  parts[lane + ${n * ROW_LANES}u] = sum${n};`).join('\n')}
  workgroupBarrier();
  for (var d = lane; d < ${steps}u; d += ${ROW_LANES}u) {
    var total = parts[d];
    for (var s = 1u; s < ${slices}u; s++) { total += parts[s * ${steps}u + d]; }
${store(partial !== undefined, unit, width)}
  }
${partial ? `  if (lane == 0u) { out[group * ${width + 2}u + ${width}u] = top; out[group * ${width + 2}u + ${width + 1}u] = mass; }` : ''}`,
    flops: 4 * batch * heads * rows * total * width,
  }
}

function store(isPartial: boolean, unit: number, width: number): string {
  const target = isPartial ? `group * ${width + 2}u` : `((batch * p.rows + row) * p.heads + head) * ${width}u`
  const value = isPartial ? 'total' : 'total / mass'
  const components = unit === 4 ? [0, 1, 2, 3] : [undefined]
  return components
    .map((c) => `    out[${target} + d * ${unit}u + ${c ?? 0}u] = (${value})${c === undefined ? '' : `[${c}]`};`)
    .join('\n')
}

/** Joins the partial sums of split keys: each counts as much as its share of the whole softmax. */
export function joinSplits(problem: Attention, splits: number, partial: View): Kernel {
  const [batch, heads, rows, width] = problem.q.shape as [number, number, number, number]
  const count = batch * heads * rows * width
  return perElement(count, {
    label: 'attention join',
    bindings: [write('out', problem.out), read('parts', partial)],
    parameters: { heads, rows, width, splits },
    body: `
  let d = i % p.width;
  let item = i / p.width;
  let step = p.width + 2u;
  let base = item * p.splits * step;
  var top = parts[base + p.width];
  for (var s = 1u; s < p.splits; s++) { top = max(top, parts[base + s * step + p.width]); }
  var total = 0.0;
  var mass = 0.0;
  for (var s = 0u; s < p.splits; s++) {
    let share = exp(parts[base + s * step + p.width] - top);
    total += share * parts[base + s * step + d];
    mass += share * parts[base + s * step + p.width + 1u];
  }
  let row = item % p.rows;
  let head = item / p.rows % p.heads;
  let batch = item / p.rows / p.heads;
  out[((batch * p.rows + row) * p.heads + head) * p.width + d] = total / mass;`,
    flops: 4 * count * splits,
  })
}

const isQuads = (view: View): boolean =>
  view.shape[3]! % 4 === 0 && [view.offset, ...view.strides.slice(0, 3)].every((distance) => distance % 4 === 0)
