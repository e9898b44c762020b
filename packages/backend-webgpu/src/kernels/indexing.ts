/**
 * Reading and writing by index: table look-up, its transpose, and writing rows into a cache.
 *
 * An index out of range cannot be reported from inside a kernel; it gives NaN, which no later step hides.
 */

import { sizeOf } from '@afterthought/core'
import type { Expression } from '../plan/expression.ts'
import { evaluate } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import type { Slab, WeightView } from '../plan/weights.ts'
import { storageType } from './element-ops.ts'
import { type Kernel, perElement, read, write } from './kernel.ts'
import { weightReader } from './weight-reader.ts'
import type { Target } from './workgroup.ts'

const NAN = 'fn nan(i: u32) -> f32 { return bitcast<f32>(0x7fc00000u | (i & 0u)); }'

/** Rows of a dense f32 table. */
export function gather(table: View, indices: View, out: View): Kernel {
  const rows = table.shape[0]!
  const width = sizeOf(table.shape.slice(1))
  const count = sizeOf(out.shape)
  return perElement(count, {
    label: 'gather',
    bindings: [write('out', out), read('table', table), read('indices', indices, 'i32')],
    parameters: { rows, width, tableAt: table.offset, indicesAt: indices.offset },
    declarations: [NAN],
    body: `
  let index = indices[p.indicesAt + i / p.width];
  let known = index >= 0 && index < i32(p.rows);
  let row = u32(select(0, index, known));
  out[i] = select(nan(i), table[p.tableAt + row * p.width + i % p.width], known);`,
    flops: 0,
    bytes: 8 * count,
  })
}

/** Rows of one slab of a weight in its storage format, four elements a thread; rows of other slabs are left alone. */
export function gatherWeight(target: Target, table: WeightView, slab: Slab, indices: View, out: View): Kernel {
  const count = sizeOf(out.shape) / 4
  const reader = weightReader(target, table, slab)
  return perElement(count, {
    label: 'gather',
    bindings: [write('out', out, 'vec4<f32>'), read('indices', indices, 'i32'), ...reader.bindings],
    parameters: {
      quads: table.columns / 4,
      slabFrom: slab.from,
      slabTo: slab.to,
      total: table.rows,
      isLast: slab.to === table.rows ? 1 : 0,
      indicesAt: indices.offset,
    },
    features: reader.features,
    declarations: [NAN, ...reader.declarations],
    body: `
  let index = indices[p.indicesAt + i / p.quads];
  let known = index >= 0 && index < i32(p.total);
  if (!known && p.isLast == 1u) { out[i] = vec4<f32>(nan(i)); }
  if (!known || u32(index) < p.slabFrom || u32(index) >= p.slabTo) { return; }
  out[i] = weight4(u32(index) - p.slabFrom, i % p.quads, p.quads);`,
    flops: 0,
    bytes: 32 * count,
  })
}

/** Threads that walk all indices side by side for one column, each responsible for every n-th row. */
const ROW_CLASSES = 16
/** Up to this many rows each has threads of its own, which sum in registers: rows are then named often. */
const FEW_ROWS = 64

/** Sums updates that name the same row, in index order: the same bits at every run. */
export function scatterAdd(indices: View, updates: View, rows: number, out: View): Kernel {
  const width = sizeOf(out.shape.slice(1))
  const items = sizeOf(indices.shape)
  const few = rows <= FEW_ROWS
  const classes = few ? rows : ROW_CLASSES
  const update = (n: string): string => `updates[p.updatesAt + (${n}) * p.width + column]`
  // Four items a turn: Mesa's CPU driver leaves a loop, silently, after 65,535 turns.
  const fourItems = (step: (n: string) => string): string => `
  for (var n = 0u; n < p.items; n += 4u) {
${[0, 1, 2, 3].map((more) => `    if (n + ${more}u < p.items) { ${step(`n + ${more}u`)} }`).join('\n')}
  }`
  const inRegisters = `
  var total = 0.0;${fourItems((n) => `if (indices[p.indicesAt + ${n}] == i32(own)) { total += ${update(n)}; }`)}
  out[own * p.width + column] = total;`
  const inMemory = `
  for (var row = own; row < p.rows; row += p.classes) { out[row * p.width + column] = 0.0; }${fourItems(
    (n) => `
      let index = indices[p.indicesAt + ${n}];
      if (index >= 0 && u32(index) < p.rows && u32(index) % p.classes == own) {
        out[u32(index) * p.width + column] += ${update(n)};
      }`,
  )}`
  return perElement(classes * width, {
    label: 'scatterAdd',
    bindings: [write('out', out), read('indices', indices, 'i32'), read('updates', updates)],
    parameters: { classes, width, rows, items, indicesAt: indices.offset, updatesAt: updates.offset },
    body: `
  let column = i % p.width;
  let own = i / p.width;${few ? inRegisters : inMemory}`,
    flops: items * width,
  })
}

export interface Placement {
  /** Overwritten in part: dense, whole. */
  readonly target: View
  readonly update: Expression
}

/** Writes updates of one shape into targets of one shape at `start` along `axis`; one dispatch for keys and values. */
export function place(
  placements: readonly Placement[],
  updateShape: readonly number[],
  start: View,
  axis: number,
): Kernel {
  const { shape, dtype } = placements[0]!.target
  const inner = sizeOf(shape.slice(axis + 1))
  const count = sizeOf(updateShape)
  const parts = placements.map(({ update }, n) => evaluate(update, updateShape, `u${n}`))
  const broken = dtype === 'f32' ? 'nan(i)' : `${storageType(dtype)}(0)`
  const type = storageType(dtype)
  return perElement(count, {
    label: 'updateSlice',
    bindings: [
      ...placements.map(({ target }, n) => write(`out${n}`, target, type)),
      read('start', start, 'i32'),
      ...parts.flatMap(({ bindings }) => bindings),
    ],
    parameters: {
      run: updateShape[axis]! * inner,
      inner,
      step: shape[axis]! * inner,
      room: shape[axis]! - updateShape[axis]!,
      startAt: start.offset,
      ...Object.assign({}, ...parts.map(({ parameters }) => parameters)),
    },
    declarations: [NAN, ...parts.flatMap(({ declarations }) => declarations)],
    body: `
  let first = start[p.startAt];
  let fits = first >= 0 && first <= i32(p.room);
  let at = i / p.run * p.step + u32(clamp(first, 0, i32(p.room))) * p.inner + i % p.run;
${parts.map(({ statements, result }, n) => `${statements}\n  out${n}[at] = select(${broken}, ${result}, fits);`).join('\n')}`,
    flops: 0,
    bytes: 8 * count * placements.length,
  })
}
