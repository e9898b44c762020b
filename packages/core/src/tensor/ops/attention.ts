/**
 * Attention and rotary position embedding.
 *
 * Attention reads its cache and the new rows side by side, so that appending to a cache of fixed capacity never copies
 * it: scores over [past ; new] are joined, the cache itself is not. Grouped heads are folded into the row axis instead
 * of repeating keys.
 */

import { ShapeError } from '../../errors.ts'
import * as F from '../functional.ts'
import type { Tensor } from '../graph.ts'
import type { Composite } from '../ops.ts'
import type { TensorSpec } from '../types.ts'
import { expectInputs, expectRank, formatSpecs } from './rules.ts'

function attentionShape(inputs: readonly TensorSpec[]): TensorSpec[] {
  const withPast = inputs.length === 6
  expectInputs('attention', inputs, new Array(withPast ? 6 : 4).fill('f32'))
  inputs.forEach((spec, i) => expectRank('attention', spec, 4, `operand ${i}`))
  const [q, k, v, bias, pastK, pastV] = inputs.map((spec) => spec.shape)
  const [batch, heads, rows, width] = q as [number, number, number, number]
  const [, groups = 0, fresh = 0] = k!
  const past = pastK?.[2] ?? 0
  const fits =
    heads % groups === 0 &&
    [k!, v!].every((shape) => `${shape}` === `${[batch, groups, fresh, width]}`) &&
    (bias![0] === 1 || bias![0] === batch) &&
    `${bias!.slice(1)}` === `${[1, rows, past + fresh]}` &&
    (!withPast || [pastK!, pastV!].every((shape) => `${shape}` === `${[batch, groups, past, width]}`))
  if (!fits) {
    throw new ShapeError('operands do not fit', {
      where: 'attention',
      expected: 'q [B,H,T,d], k and v [B,KV,R,d], bias [B|1,1,T,S+R], past k and v [B,KV,S,d]',
      actual: formatSpecs(inputs),
    })
  }
  return [inputs[0]!]
}

/** [B, H, T, d] → [B, KV, G·T, d]: the query heads of one key head become rows. */
function foldGroups(q: Tensor, groups: number): Tensor {
  const [batch, heads, rows, width] = q.shape as [number, number, number, number]
  return F.reshape(q, [batch, groups, (heads / groups) * rows, width])
}

function repeatRows(bias: Tensor, times: number): Tensor {
  const [batch, , rows, columns] = bias.shape as [number, number, number, number]
  if (times === 1) return bias
  if (rows === 1) return bias // one row broadcasts over the folded heads
  const expanded = F.broadcastTo(F.reshape(bias, [batch, 1, rows, columns]), [batch, times, rows, columns])
  return F.reshape(expanded, [batch, 1, times * rows, columns])
}

export const attentionOps = {
  attention: {
    infer: attentionShape,
    gradient: 'decompose',
    decompose([q, k, v, bias, pastK, pastV], { scale }) {
      const groups = k!.shape[1]!
      const rows = foldGroups(F.mul(q!, scale), groups)
      const fresh = F.matmul(rows, k!, { transposeB: true }) // [B, KV, G·T, T]
      const scores = pastK ? F.concat([F.matmul(rows, pastK, { transposeB: true }), fresh], 3) : fresh
      const weights = F.softmax(F.add(scores, repeatRows(bias!, q!.shape[1]! / groups)))
      if (!pastV) return [F.reshape(F.matmul(weights, v!), q!.shape)]
      const past = pastV.shape[2]!
      const old = F.matmul(F.narrow(weights, 3, 0, past), pastV)
      const recent = F.matmul(F.narrow(weights, 3, past, weights.shape[3]!), v!)
      return [F.reshape(F.add(old, recent), q!.shape)]
    },
  } as Composite<'attention'>,

  rotary: {
    infer(inputs) {
      expectInputs('rotary', inputs, ['f32', 'f32', 'f32'])
      const [x, cos, sin] = inputs.map((spec) => spec.shape)
      const half = [x![0], x![2], (x![3] ?? 0) / 2]
      if (x!.length !== 4 || x![3]! % 2 !== 0 || `${cos}` !== `${half}` || `${sin}` !== `${half}`) {
        throw new ShapeError('operands do not fit', {
          where: 'rotary',
          expected: 'x [B,H,T,d], cos and sin [B,T,d/2]',
          actual: formatSpecs(inputs),
        })
      }
      return [inputs[0]!]
    },
    // A rotation's transpose is the rotation by the opposite angle.
    gradient: ({ inputs: [x, cos, sin], upstream }) => {
      const half = x!.shape[3]! / 2
      const halves = (value: Tensor): [Tensor, Tensor] => [
        F.narrow(value, 3, 0, half),
        F.narrow(value, 3, half, 2 * half),
      ]
      const [[x1, x2], [g1, g2]] = [halves(x!), halves(upstream)]
      const overHeads = (value: Tensor): Tensor => F.reduceSum(value, [1])
      return [
        F.rotary(upstream, cos!, F.neg(sin!)),
        overHeads(F.add(F.mul(g1, x1), F.mul(g2, x2))),
        overHeads(F.sub(F.mul(g2, x1), F.mul(g1, x2))),
      ]
    },
    decompose([x, cos, sin]) {
      const half = x!.shape[3]! / 2
      const [first, second] = [F.narrow(x!, 3, 0, half), F.narrow(x!, 3, half, 2 * half)]
      const perHead = (angle: Tensor): Tensor => F.reshape(angle, [angle.shape[0]!, 1, angle.shape[1]!, half])
      const [c, s] = [perHead(cos!), perHead(sin!)]
      const turned = [F.sub(F.mul(first, c), F.mul(second, s)), F.add(F.mul(second, c), F.mul(first, s))]
      return [F.concat(turned, 3)]
    },
  } as Composite<'rotary'>,
}
