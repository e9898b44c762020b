/**
 * Matrix products, in three shapes of one idea: four neighbours along the inner axis at a time.
 *
 * - `direct`: no workgroup memory, no barrier; a thread computes a few rows by four columns. For CPU drivers, where barriers
 *   are what is slow, and for operands whose inner axis is not dense.
 * - `cooperative`: up to eight rows (one token, or a batch of thoughts); the lanes of a workgroup share the inner axis and
 *   every weight is read once for all rows.
 * - `tiled`: 32 × 32 outputs a workgroup, 4 × 4 a thread, through workgroup memory, for prefill and training.
 *
 * What follows a product elementwise (bias, activation, residual) is computed before its element is stored.
 */

import { sizeOf } from '@afterthought/core'
import { costOf, type Expression, evaluate } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import { commonAxes } from '../plan/views.ts'
import { BLOCK, type Slab, type WeightView } from '../plan/weights.ts'
import { type Binding, type Feature, type Kernel, read, write } from './kernel.ts'
import { weightReader } from './weight-reader.ts'
import { lanes, ROW_LANES, rowReductions, type Target } from './workgroup.ts'

/** A slab of a weight as the right operand, read as [N, K]. */
export interface WeightOperand {
  readonly weight: WeightView
  readonly slab: Slab
}

export interface Product {
  /** [..., M, K]; a transposed operand is a transposed view. */
  readonly a: View
  /** [..., K, N], or a weight: then `a` is [M, K]. */
  readonly b: View | WeightOperand
  /** Applied to every element, in the shape of the output. */
  readonly epilogue: Expression
  readonly shape: readonly number[]
  /** [..., M, N], dense. */
  readonly out: View
}

interface Extents {
  readonly batch: number
  readonly rows: number
  readonly columns: number
  readonly inner: number
}

/** WGSL access to the operands: `a4(m, quad)` and `b4(n, quad)`, four along the inner axis, zeros beyond it. */
interface Operands {
  readonly bindings: readonly Binding[]
  readonly parameters: Record<string, number>
  readonly declarations: readonly string[]
  readonly features: readonly Feature[]
  /** Statements that set `aBase` and `bBase` from `batch`. */
  readonly bases: string
  /** b's inner axis is dense: reading four along it is one load. */
  readonly denseB: boolean
  readonly scaled: boolean
}

const COOPERATIVE_ROWS = 8

export function matmul(target: Target, product: Product): Kernel {
  const operands = operandsOf(target, product)
  const extents = extentsOf(product)
  const few = extents.rows <= COOPERATIVE_ROWS
  if (target.software || extents.inner < 4 || (few && !operands.denseB)) return direct(product, extents, operands)
  return few ? cooperative(target, product, extents, operands) : tiled(product, extents, operands)
}

function extentsOf({ a, b, shape }: Product): Extents {
  const [rows, inner] = a.shape.slice(-2) as [number, number]
  // A weight is shared by all rows of all batches: they are one matrix.
  if ('weight' in b) return { batch: 1, rows, columns: b.slab.to - b.slab.from, inner }
  return { batch: sizeOf(shape.slice(0, -2)), rows, columns: b.shape.at(-1)!, inner }
}

function operandsOf(target: Target, { a, b, shape }: Product): Operands {
  const batchShape = shape.slice(0, -2)
  const left = matrixReader('a', a, -2, -1)
  if ('weight' in b) {
    const reader = weightReader(target, b.weight, b.slab)
    return {
      bindings: [left.binding, ...reader.bindings],
      parameters: { ...left.parameters, quads: b.weight.columns / 4 },
      declarations: [
        left.declaration,
        ...reader.declarations,
        'fn b4(n: u32, quad: u32) -> vec4<f32> { return weight4(n, quad, p.quads); }',
      ],
      features: reader.features,
      bases: 'aBase = p.aAt;',
      denseB: true,
      scaled: reader.scaled,
    }
  }
  const right = matrixReader('b', b, -1, -2)
  const batches = [a, b].map((view) => batchView(view, batchShape))
  const axes = commonAxes(batchShape, batches)
  const parameters: Record<string, number> = { ...left.parameters, ...right.parameters }
  const lines = ['aBase = p.aAt;', 'bBase = p.bAt;', 'var batchRest = batch;']
  for (let axis = axes.shape.length - 1; axis >= 0; axis--) {
    parameters[`batch${axis}`] = axes.shape[axis]!
    parameters[`aBatch${axis}`] = axes.strides[0]![axis]! / left.unit
    parameters[`bBatch${axis}`] = axes.strides[1]![axis]! / right.unit
    lines.push(
      `aBase += batchRest % p.batch${axis} * p.aBatch${axis}; bBase += batchRest % p.batch${axis} * p.bBatch${axis}; batchRest /= p.batch${axis};`,
    )
  }
  return {
    bindings: [left.binding, right.binding],
    parameters,
    declarations: [left.declaration, right.declaration],
    features: [],
    bases: lines.join('\n  '),
    denseB: right.unit === 4,
    scaled: false,
  }
}

function batchView(view: View, batchShape: readonly number[]): View {
  const own = view.shape.slice(0, -2)
  const extra = batchShape.length - own.length
  const strides = batchShape.map((_, axis) =>
    axis < extra || own[axis - extra] === 1 ? 0 : view.strides[axis - extra]!,
  )
  return { ...view, shape: batchShape, strides }
}

/** `NAME4(line, quad)`. `unit`: elements per storage load. */
function matrixReader(
  name: 'a' | 'b',
  view: View,
  lineAxis: number,
  innerAxis: number,
): { binding: Binding; parameters: Record<string, number>; declaration: string; unit: 1 | 4 } {
  const inner = view.shape.at(innerAxis)!
  const stride = { line: view.strides.at(lineAxis)!, inner: view.strides.at(innerAxis)! }
  const others = view.strides.filter((_, axis) => axis !== view.strides.length + innerAxis && view.shape[axis] !== 1)
  const isDense = (stride.inner === 1 || inner === 1) && inner % 4 === 0
  const unit = isDense && [view.offset, ...others].every((distance) => distance % 4 === 0) ? 4 : 1
  const base = `var<private> ${name}Base: u32;`
  const parameters: Record<string, number> = { [`${name}At`]: view.offset / unit, [`${name}Line`]: stride.line / unit }
  if (view.shape.at(lineAxis) === 1) parameters[`${name}Line`] = 0
  if (unit === 4) {
    return {
      binding: read(name, view, 'vec4<f32>'),
      parameters,
      declaration: `${base}
fn ${name}4(line: u32, quad: u32) -> vec4<f32> { return ${name}[${name}Base + line * p.${name}Line + quad]; }`,
      unit,
    }
  }
  parameters[`${name}Inner`] = stride.inner
  return {
    binding: read(name, view),
    parameters,
    declaration: `${base}
fn ${name}1(line: u32, k: u32) -> f32 {
  if (k >= p.inner) { return 0.0; }
  return ${name}[${name}Base + line * p.${name}Line + k * p.${name}Inner];
}
fn ${name}4(line: u32, quad: u32) -> vec4<f32> {
  let k = quad * 4u;
  return vec4<f32>(${name}1(line, k), ${name}1(line, k + 1u), ${name}1(line, k + 2u), ${name}1(line, k + 3u));
}`,
    unit,
  }
}

/** The part that all three share: extents, `finish()` which stores an element, and bookkeeping. */
function frame(product: Product, extents: Extents, operands: Operands, detail: string) {
  const { batch, rows, columns, inner } = extents
  const end = evaluate(product.epilogue, product.shape, 'e', product.out)
  const firstColumn = 'weight' in product.b ? product.b.slab.from : 0
  const format = 'weight' in product.b ? product.b.weight.format : 'f32'
  const finish = `fn finish(batch: u32, m: u32, n: u32, accumulator: f32) {
  if (m >= p.rows || n >= p.columns) { return; }
  let i = (batch * p.rows + m) * p.stride + p.firstColumn + n;
${end.statements}
  out[${end.target}] = ${end.result};
}
fn finish4(batch: u32, m: u32, n: u32, values: vec4<f32>) {
  finish(batch, m, n, values.x);
  finish(batch, m, n + 1u, values.y);
  finish(batch, m, n + 2u, values.z);
  finish(batch, m, n + 3u, values.w);
}`
  return {
    label: `matmul ${detail}${format === 'f32' ? '' : ` ${format}`}`,
    bindings: [write('out', product.out), ...operands.bindings, ...end.bindings],
    parameters: {
      batches: batch,
      rows,
      columns,
      inner,
      stride: product.shape.at(-1)!,
      firstColumn,
      ...operands.parameters,
      ...end.parameters,
    },
    declarations: [...operands.declarations, ...end.declarations, finish],
    flops: batch * rows * columns * (2 * inner + costOf(product.epilogue)),
  }
}

const four = [0, 1, 2, 3]
const columns = four.map((j) => `  let n${j} = min(n + ${j}u, p.columns - 1u);`).join('\n')
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

const DIRECT_SIZE = 8

/** A thread: `height` rows by four columns. */
function direct(product: Product, extents: Extents, operands: Operands): Kernel {
  const height = extents.rows >= 4 ? 4 : extents.rows === 1 ? 1 : 2
  const base = frame(product, extents, operands, `direct${height}`)
  const columnQuads = Math.ceil(extents.columns / 4)
  const threads = extents.batch * Math.ceil(extents.rows / height) * columnQuads
  const rows = range(height)
  return {
    ...base,
    parameters: { ...base.parameters, threads, columnQuads, tall: Math.ceil(extents.rows / height) },
    size: DIRECT_SIZE,
    groups: Math.ceil(threads / DIRECT_SIZE),
    features: operands.features,
    body: `
  let thread = group * ${DIRECT_SIZE}u + lane;
  if (thread >= p.threads) { return; }
  let n = thread % p.columnQuads * 4u;
  let m = thread / p.columnQuads % p.tall * ${height}u;
  let batch = thread / p.columnQuads / p.tall;
  ${operands.bases}
${rows.map((r) => `  let m${r} = min(m + ${r}u, p.rows - 1u); var sum${r} = vec4<f32>(0.0);`).join('\n')}
${columns}
${quadStep(rows, operands.scaled)}
${rows.map((r) => `  finish4(batch, m + ${r}u, n, sum${r});`).join('\n')}`,
  }
}

const dots = (r: number, to: string): string =>
  `{ let x = a4(m${r}, q); ${to}${r} += vec4<f32>(dot(x, w0), dot(x, w1), dot(x, w2), dot(x, w3)); }`

/** The loop over the inner axis. Quantised blocks are summed before their scale is applied. */
function quadStep(rows: readonly number[], scaled: boolean): string {
  const read = scaled ? 'raw4' : 'b4'
  const loads = four.map((j) => `let w${j} = ${read}(n${j}, q${scaled ? ', p.quads' : ''});`)
  if (!scaled) {
    return `  let quads = (p.inner + 3u) / 4u;
  for (var q = 0u; q < quads; q++) {
    ${loads.join(' ')}
    ${rows.map((r) => dots(r, 'sum')).join('\n    ')}
  }`
  }
  const perBlock = BLOCK / 4
  return `  let blocks = p.quads / ${perBlock}u;
  for (var block = 0u; block < blocks; block++) {
    let scale = vec4<f32>(${four.map((j) => `scaleOf(n${j}, block, blocks)`).join(', ')});
    ${rows.map((r) => `var part${r} = vec4<f32>(0.0);`).join(' ')}
    for (var q = block * ${perBlock}u; q < (block + 1u) * ${perBlock}u; q++) {
      ${loads.join(' ')}
      ${rows.map((r) => dots(r, 'part')).join('\n      ')}
    }
    ${rows.map((r) => `sum${r} += part${r} * scale;`).join(' ')}
  }`
}

/** A workgroup: all rows by four columns. */
function cooperative(target: Target, product: Product, extents: Extents, operands: Operands): Kernel {
  const rows = range(extents.rows)
  const base = frame(product, extents, operands, 'cooperative')
  const columnQuads = Math.ceil(extents.columns / 4)
  const reductions = rowReductions(target, ['Sum'], 'vec4<f32>')
  return {
    ...base,
    parameters: { ...base.parameters, columnQuads },
    size: ROW_LANES,
    groups: extents.batch * columnQuads,
    features: [...operands.features, ...reductions.features],
    declarations: [...base.declarations, ...reductions.declarations],
    body: `
  if (group >= p.batches * p.columnQuads) { return; }
  let n = group % p.columnQuads * 4u;
  let batch = group / p.columnQuads;
  ${operands.bases}
${rows.map((r) => `  const m${r} = ${r}u; var sum${r} = vec4<f32>(0.0);`).join('\n')}
${columns}
  let quads = (p.inner + 3u) / 4u;
  for (var q = lane; q < quads; q += ${ROW_LANES}u) {
    ${four.map((j) => `let w${j} = b4(n${j}, q);`).join(' ')}
    ${rows.map((r) => dots(r, 'sum')).join('\n    ')}
  }
${rows.map((r) => `  sum${r} = rowSum(sum${r}, ${lanes(target)});`).join('\n')}
  if (lane == 0u) {
${rows.map((r) => `    finish4(batch, m${r}, n, sum${r});`).join('\n')}
  }`,
  }
}

const TILE = 32
const TILE_QUADS = 8
const TILE_THREADS = 64

/** A workgroup: 32 × 32 outputs; inner axis in steps of 32. */
function tiled(product: Product, extents: Extents, operands: Operands): Kernel {
  const base = frame(product, extents, operands, 'tiled')
  const tilesM = Math.ceil(extents.rows / TILE)
  const tilesN = Math.ceil(extents.columns / TILE)
  return {
    ...base,
    parameters: { ...base.parameters, tilesM, tilesN },
    size: TILE_THREADS,
    groups: extents.batch * tilesM * tilesN,
    features: operands.features,
    declarations: [
      ...base.declarations,
      `var<workgroup> tileA: array<vec4<f32>, ${TILE * TILE_QUADS}>;
var<workgroup> tileB: array<vec4<f32>, ${TILE * TILE_QUADS}>;`,
    ],
    // Thread (x, y) owns rows y + 8r and columns x + 8c: neighbours read neighbouring tile entries.
    body: `
  if (group >= p.batches * p.tilesM * p.tilesN) { return; }
  let fromN = group % p.tilesN * ${TILE}u;
  let fromM = group / p.tilesN % p.tilesM * ${TILE}u;
  let batch = group / p.tilesN / p.tilesM;
  ${operands.bases}
  let x = lane % 8u;
  let y = lane / 8u;
${four.map((r) => `  var sum${r} = vec4<f32>(0.0);`).join('\n')}
  let quads = (p.inner + 3u) / 4u;
  for (var start = 0u; start < quads; start += ${TILE_QUADS}u) {
    for (var at = lane; at < ${TILE * TILE_QUADS}u; at += ${TILE_THREADS}u) {
      let line = at / ${TILE_QUADS}u;
      let q = start + at % ${TILE_QUADS}u;
      let slot = at % ${TILE_QUADS}u * ${TILE}u + line;
      let inside = q < quads;
      tileA[slot] = select(vec4<f32>(0.0), a4(min(fromM + line, p.rows - 1u), min(q, quads - 1u)), inside);
      tileB[slot] = select(vec4<f32>(0.0), b4(min(fromN + line, p.columns - 1u), min(q, quads - 1u)), inside);
    }
    workgroupBarrier();
    for (var q = 0u; q < ${TILE_QUADS}u; q++) {
      ${four.map((c) => `let w${c} = tileB[q * ${TILE}u + x + ${8 * c}u];`).join(' ')}
      ${four.map((r) => `{ let v = tileA[q * ${TILE}u + y + ${8 * r}u]; sum${r} += vec4<f32>(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3)); }`).join('\n      ')}
    }
    workgroupBarrier();
  }
${four.map((r) => four.map((c) => `  finish(batch, fromM + y + ${8 * r}u, fromN + x + ${8 * c}u, sum${r}[${c}]);`).join('\n')).join('\n')}`,
  }
}
