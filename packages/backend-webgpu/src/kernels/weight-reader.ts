/**
 * Weights as a kernel reads them: `weight4(row, quad, quads)`, four neighbours along the inputs as f32.
 *
 * Quantised formats are unpacked on the fly; `raw4` leaves the block's scale out, so that a dot product applies it once per
 * block. f16 needs no device feature: `unpack2x16float` is everywhere; with `shader-f16` the load converts by itself.
 */

import { rowBytes, type Slab, type WeightView } from '../plan/weights.ts'
import { type Binding, type Feature, read } from './kernel.ts'
import type { Target } from './workgroup.ts'

export interface WeightReader {
  readonly bindings: readonly Binding[]
  readonly declarations: readonly string[]
  readonly features: readonly Feature[]
  /** Whether `raw4` must be multiplied by `scaleOf(row, block, blocks)`. */
  readonly scaled: boolean
}

/** Rows count from the slab's first one. */
export function weightReader(target: Target, weight: WeightView, slab: Slab): WeightReader {
  const native = weight.format === 'f16' && target.f16
  const bytes = rowBytes(weight)
  const type = native ? 'vec4<f16>' : { f32: 'vec4<f32>', f16: 'vec2<u32>', int8: 'u32', int4: 'u32' }[weight.format]
  const range = { offset: slab.from * bytes, size: (slab.to - slab.from) * bytes }
  const values = { ...read('weights', { slot: weight.values }, type), range }
  const raw = native ? 'return vec4<f32>(weights[row * quads + quad]);' : unpack[weight.format]
  const raw4 = `fn raw4(row: u32, quad: u32, quads: u32) -> vec4<f32> { ${raw} }`
  if (!weight.scales) {
    return {
      bindings: [values],
      declarations: [
        raw4,
        'fn weight4(row: u32, quad: u32, quads: u32) -> vec4<f32> { return raw4(row, quad, quads); }',
      ],
      features: native ? ['f16'] : [],
      scaled: false,
    }
  }
  // Scales are small: bound whole, and indexed from the slab's first row.
  const scaleOf = `fn scaleOf(row: u32, block: u32, blocks: u32) -> f32 {
  let at = (row + ${slab.from}u) * blocks + block;
  return unpack2x16float(scales[at / 2u])[at & 1u];
}`
  const weight4 = `fn weight4(row: u32, quad: u32, quads: u32) -> vec4<f32> {
  return raw4(row, quad, quads) * scaleOf(row, quad / 8u, quads / 8u);
}`
  return {
    bindings: [values, read('scales', { slot: weight.scales }, 'u32')],
    declarations: [raw4, scaleOf, weight4],
    features: [],
    scaled: true,
  }
}

const unpack = {
  f32: 'return weights[row * quads + quad];',
  f16: 'let pair = weights[row * quads + quad]; return vec4<f32>(unpack2x16float(pair.x), unpack2x16float(pair.y));',
  int8: 'return vec4<f32>(unpack4xI8(weights[row * quads + quad]));',
  int4: `let at = row * quads + quad;
  let bits = weights[at / 2u] >> ((at & 1u) * 16u);
  return vec4<f32>(vec4<u32>(bits, bits >> 4u, bits >> 8u, bits >> 12u) & vec4<u32>(15u)) - 8.0;`,
} as const
