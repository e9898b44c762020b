/**
 * Losses, as traced functions of logits, log-probabilities and states. All are means, so that a batch's size does not
 * change the scale of a gradient. Teachers are cut off from differentiation here and not by the caller.
 *
 * Sources: cross-entropy with ignored labels and soft targets (Coconut, arXiv 2412.06769; specs of Reasoning by
 * Superposition, arXiv 2505.12514); distillation by smooth L1 over the teacher's deviation (CODI, arXiv 2502.21074);
 * policy loss with the k3 estimate of the divergence (GRPO, arXiv 2402.03300; Schulman 2020).
 */

import { F, sizeOf, type Tensor } from '@afterthought/core'

const allAxes = (x: Tensor): number[] => x.shape.map((_, axis) => axis)

/** Mean over all elements: a scalar. */
export const meanOf = (x: Tensor): Tensor => F.mean(x, allAxes(x))

/** Mean of `x` where `weight` is not zero; 0 where it is zero everywhere. One shape. */
export function maskedMean(x: Tensor, weight: Tensor): Tensor {
  const total = F.reduceSum(weight, allAxes(weight))
  return F.div(F.reduceSum(F.mul(x, weight), allAxes(x)), F.maximum(total, 1))
}

/** Rows of the last axis: [..., D] → [N, D]. */
function rowsOf(x: Tensor): Tensor {
  const width = x.shape.at(-1)!
  return F.reshape(x, [sizeOf(x.shape) / width, width])
}

/** Mean cross-entropy of (logits [..., V], labels i32 [...]) over the labels that are not negative. */
export function tokenLoss(logits: Tensor, labels: Tensor): Tensor {
  const flat = F.reshape(labels, [sizeOf(labels.shape)])
  const kept = F.cast(F.lessEqual(F.constantLike(flat, 0), flat), 'f32')
  return maskedMean(F.crossEntropy(rowsOf(logits), flat), kept)
}

/** How a distribution stands to sets of right tokens. */
export interface SetLoss {
  /** Mean divergence from the uniform distribution over the set: cross-entropy less its least value. */
  readonly divergence: Tensor
  /** Mean probability of the set. */
  readonly mass: Tensor
}

/** Of (logits [..., V], sets [..., V] of 0 and 1); rows whose set is empty do not count. */
export function setLoss(logits: Tensor, sets: Tensor): SetLoss {
  const last = logits.shape.length - 1
  const size = F.reduceSum(sets, [last])
  const some = F.minimum(size, 1)
  const safe = F.maximum(size, 1)
  const logProbabilities = F.logSoftmax(logits)
  const inside = F.reduceSum(F.mul(sets, logProbabilities), [last])
  const entropy = F.log(safe)
  const probability = F.reduceSum(F.mul(sets, F.exp(F.stopGradient(logProbabilities))), [last])
  return {
    divergence: maskedMean(F.neg(F.add(F.div(inside, safe), entropy)), some),
    mass: maskedMean(probability, some),
  }
}

/** Element by element ½e² where |e| < 1, else |e| − ½, of e = a − b. */
export function smoothL1(a: Tensor, b: Tensor): Tensor {
  const size = F.abs(F.sub(a, b))
  const bent = F.minimum(size, 1)
  return F.mul(bent, F.sub(size, F.mul(bent, 0.5)))
}

/** Unbiased standard deviation over all elements, cut off from differentiation. */
export function deviation(x: Tensor): Tensor {
  const fixed = F.stopGradient(x)
  const centred = F.sub(fixed, meanOf(fixed))
  return F.sqrt(F.div(F.reduceSum(F.mul(centred, centred), allAxes(x)), sizeOf(x.shape) - 1))
}

/** Mean over layers of the mean smooth L1 between student and teacher, in units of the teacher's deviation there. */
export function stateDistillation(student: readonly Tensor[], teacher: readonly Tensor[]): Tensor {
  const layers = student.map((state, layer) => {
    const fixed = F.stopGradient(teacher[layer]!)
    return F.div(meanOf(smoothL1(state, fixed)), deviation(fixed))
  })
  return F.div(layers.reduce(F.add), layers.length)
}

/** Log-probabilities of (ids i32 [...]) under (logits [..., V]): [...]. */
export function logProbabilitiesOf(logits: Tensor, ids: Tensor): Tensor {
  const flat = F.reshape(ids, [sizeOf(ids.shape)])
  return F.reshape(F.neg(F.crossEntropy(rowsOf(logits), flat)), ids.shape)
}

/** Estimate of KL(policy ‖ reference) per token from log-probabilities: e^r − r − 1 with r = reference − policy. */
export function k3(policy: Tensor, reference: Tensor): Tensor {
  const ratio = F.sub(F.stopGradient(reference), policy)
  return F.sub(F.sub(F.exp(ratio), ratio), 1)
}

/**
 * Policy gradient with a penalty on the divergence from a reference, averaged over the tokens of each row, then over
 * rows. All [B, C] but `advantages` [B]; `mask` is 1 on the tokens that were sampled.
 */
export function policyLoss(
  policy: Tensor,
  reference: Tensor,
  advantages: Tensor,
  mask: Tensor,
  penalty: number,
): { readonly loss: Tensor; readonly divergence: Tensor } {
  const perRow = (x: Tensor): Tensor =>
    meanOf(F.div(F.reduceSum(F.mul(x, mask), [1]), F.maximum(F.reduceSum(mask, [1]), 1)))
  const ratio = F.exp(F.sub(policy, F.stopGradient(policy)))
  const divergence = k3(policy, reference)
  const gain = F.sub(F.mul(ratio, F.reshape(advantages, [advantages.shape[0]!, 1])), F.mul(divergence, penalty))
  return { loss: F.neg(perRow(gain)), divergence: perRow(divergence) }
}
