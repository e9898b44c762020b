/**
 * Attention and rotary embedding.
 *
 * Attention is spelled out. ONNX Runtime's own MultiHeadAttention joins the cache and the new rows in a fresh copy of the
 * cache; here the scores are joined instead, and a cache of fixed capacity costs no copy per step. Heads that share a key
 * head become rows of one product, so keys are not repeated either.
 */

import { sizeOf } from '@afterthought/core'
import { float, int } from '../model.ts'
import type { Emitter, Rules } from './emitter.ts'
import { product, transposed } from './linear.ts'

const PLAIN = { transposeA: false, transposeB: false }

/** a · bᵀ · scale */
function scores(emit: Emitter, q: string, k: string, scale: number): string {
  if (emit.target.cpuOnly) return emit.microsoft('FusedMatMul', [q, k], { transB: int(1), alpha: float(scale) })
  return emit.op('MatMul', [emit.op('Mul', [q, emit.scalar('f32', scale)]), transposed(emit, k, 4)])
}

export const attention: Rules = {
  attention: (emit, [q, k, v, bias, ...cache], { attributes: { scale }, inputs }) => {
    const [batch, heads, rows, width] = inputs[0]!.shape as [number, number, number, number]
    const groups = inputs[1]!.shape[1]!
    const shared = heads / groups
    const columns = inputs[3]!.shape[3]!
    const behind = inputs[1]!.shape[2]!
    const folded = [batch, groups, shared * rows, width]
    const reshape = (x: string, shape: readonly number[]): string =>
      shared === 1 ? x : emit.op('Reshape', [x, emit.shape(shape)])
    const [pastK, pastV] = behind < columns ? cache : [] // a cache of no slots joins nothing

    const queries = reshape(q!, folded) // [B, KV, G·T, hd]
    const fresh = scores(emit, queries, k!, scale)
    const joined = pastK ? emit.op('Concat', [scores(emit, queries, pastK, scale), fresh], { axis: int(3) }) : fresh
    // One bias row per query row: heads unfolded for the addition, [B, H, T, S + R].
    const biased = emit.op('Add', [reshape(joined, [batch, heads, rows, columns]), bias!])
    const weights = reshape(emit.op('Softmax', [biased], { axis: int(-1) }), [batch, groups, shared * rows, columns])
    if (!pastV) return reshape(product(emit, weights, v!, [], PLAIN), inputs[0]!.shape)
    const [old, recent] = emit.model.node('Split', [weights, emit.ints([columns - behind, behind])], 2, {
      attributes: { axis: int(3) },
    })
    const sum = emit.op('Add', [emit.op('MatMul', [old!, pastV]), emit.op('MatMul', [recent!, v!])])
    return reshape(sum, inputs[0]!.shape)
  },

  /** ONNX Runtime looks angles up by position: each row of each batch entry gets a position of its own. */
  rotary: (emit, [x, cos, sin], { inputs }) => {
    const [batch, rows, half] = inputs[1]!.shape as [number, number, number]
    const flat = emit.ints([sizeOf([batch, rows]), half])
    const tables = [cos!, sin!].map((table) => emit.op('Reshape', [table, flat]))
    return emit.microsoft('RotaryEmbedding', [x!, emit.iota('i64', [batch, rows]), ...tables], { interleaved: int(0) })
  },
}
