/** Layers as pure functions over parameters: linear maps, embeddings and gated or plain feed-forward networks. */

import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { parameter } from '../tensor/trace.ts'
import type { Shape } from '../tensor/types.ts'

/** Looks weights up by their name in the checkpoint; several models share one graph under different prefixes. */
export interface Weights {
  (name: string): Tensor
}

/** @param shapes canonical name → shape, as the checkpoint stores it */
export function weightsOf(prefix: string, shapes: ReadonlyMap<string, Shape>): Weights {
  return (name) => parameter(`${prefix}/${name}`, shapes.get(name)!)
}

/** y = x·Wᵀ + b with W [out, in], the layout of a Hugging Face linear. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const y = F.matmul(x, weight, { transposeB: true })
  return bias ? F.add(y, bias) : y
}

/** y = x·W + b with W [in, out], GPT-2's `Conv1D`. */
export function conv1d(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return F.add(F.matmul(x, weight), bias)
}

/** [B, T, H·d] → [B, H, T, d] */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, rows, width] = x.shape as [number, number, number]
  return F.transpose(F.reshape(x, [batch, rows, heads, width / heads]), [0, 2, 1, 3])
}

/** [B, H, T, d] → [B, T, H·d] */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, rows, width] = x.shape as [number, number, number, number]
  return F.reshape(F.transpose(x, [0, 2, 1, 3]), [batch, rows, heads * width])
}
