/**
 * Attributes of every operation: the static part of a node. The op table (`ops.ts`) is typed over this list, so an
 * operation without a shape rule, a gradient rule and a meaning does not compile.
 *
 * Granularity is ONNX's. Binary operations broadcast as NumPy does. Axes are never negative in a graph. NaN and infinities
 * follow IEEE 754 unless an operation says otherwise; overflow of i32 is undefined.
 */

import type { DType, Shape } from './types.ts'

/** No attributes. */
export type None = Record<string, never>

export interface Attributes {
  // ── elementwise, one input: f32 → f32 ──
  neg: None
  exp: None
  log: None
  sqrt: None
  abs: None
  tanh: None
  sigmoid: None
  erf: None
  softplus: None
  relu: None
  sin: None
  cos: None
  // ── elementwise, two inputs, broadcasting: f32,f32 → f32 (add, sub, mul, maximum, minimum also i32) ──
  add: None
  sub: None
  mul: None
  div: None
  maximum: None
  minimum: None
  // ── comparisons, broadcasting: f32 or i32 → bool; logic: bool → bool ──
  equal: None
  less: None
  lessEqual: None
  and: None
  or: None
  not: None
  /** (condition bool, a, b): a where true, b elsewhere; all three broadcast. Nothing leaks from the other branch. */
  where: None
  /** bool → 0/1; f32 → i32 truncates towards zero; number → bool is "≠ 0". */
  cast: { readonly to: DType }
  // ── reductions ──
  /** Sum over `axes`; they stay with extent 1 if `keepDims`. */
  reduceSum: { readonly axes: readonly number[]; readonly keepDims: boolean }
  /** Maximum over `axes`, which may not be empty of elements. NaN anywhere in a group gives NaN. */
  reduceMax: { readonly axes: readonly number[]; readonly keepDims: boolean }
  /** Index of the first maximum along `axis`, which is dropped: f32 → i32. Among NaN some index in range. */
  argmax: { readonly axis: number }
  /**
   * The `k` largest along the last axis, descending, ties by lower index: f32 → (f32 values, i32 indices). Among NaN some
   * indices in range.
   */
  topK: { readonly k: number }
  /** Running sum along `axis`, inclusive: f32 or i32. */
  cumsum: { readonly axis: number }
  // ── linear algebra ──
  /**
   * [..., M, K] · [..., K, N] → [..., M, N]; leading axes broadcast. With `transposeA` the last two axes of the first
   * operand are read swapped, with `transposeB` those of the second ([..., N, K]: the layout of a Hugging Face linear).
   */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean }
  // ── layout ──
  reshape: { readonly shape: Shape }
  /** Output axis i is input axis `permutation[i]`. */
  transpose: { readonly permutation: readonly number[] }
  broadcastTo: { readonly shape: Shape }
  /** Elements `starts[i] ≤ index < ends[i]` of every axis. */
  slice: { readonly starts: readonly number[]; readonly ends: readonly number[] }
  concat: { readonly axis: number }
  /** `before[i]` and `after[i]` elements of `value` around every axis. */
  pad: { readonly before: readonly number[]; readonly after: readonly number[]; readonly value: number }
  /** (table [V, ...], indices i32 [...]) → [...indices, ...rest]: rows of the table. Indices must be in range. */
  gather: None
  /** (indices i32 [...], updates [...indices, ...rest]) → [rows, ...rest]: sums updates that name the same row. */
  scatterAdd: { readonly rows: number }
  /**
   * (target, update, start i32 scalar) → target with `update` written at `start` along `axis`; on all other axes the
   * extents agree. This is how a KV cache of fixed capacity grows. `start + extent` must fit.
   */
  updateSlice: { readonly axis: number }
  /** The value, cut off from differentiation. Lowering removes it. */
  stopGradient: None
  // ── composites: each carries its decomposition into the operations above ──
  /** Over the last axis. */
  softmax: None
  /** Over the last axis. */
  logSoftmax: None
  /** (x [..., D], weight [D], bias [D]): biased variance. */
  layerNorm: { readonly epsilon: number }
  /** (x [..., D], weight [D]): x / √(mean x² + ε) · weight. */
  rmsNorm: { readonly epsilon: number }
  /** tanh form (GPT-2's `gelu_new`) or erf form. */
  gelu: { readonly approximate: 'tanh' | 'none' }
  /** x · sigmoid(x). */
  silu: None
  /**
   * (x [B, H, T, hd], cos [B, T, hd/2], sin [B, T, hd/2]): half-split rotation
   * (x1, x2) → (x1·cos − x2·sin, x2·cos + x1·sin).
   */
  rotary: None
  /**
   * (q [B,H,T,hd], k [B,KV,R,hd], v [B,KV,R,hd], bias [B|1,1,T,S+R] [, pastK [B,KV,S,hd], pastV [B,KV,S,hd]])
   * → [B,H,T,hd]. Softmax of q·[pastK;k]ᵀ·scale + bias over [pastV;v]; query head h reads key head ⌊h·KV/H⌋. A row whose
   * bias is the smallest finite number everywhere gives something finite.
   */
  attention: { readonly scale: number }
  /** (logits [N, V], labels i32 [N]) → [N]: −log softmax at the label; 0 where the label is negative. Labels are below V. */
  crossEntropy: None
}

export type OpName = keyof Attributes
