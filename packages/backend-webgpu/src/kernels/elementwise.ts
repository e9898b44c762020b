/** One kernel per chain of elementwise operations: every element is loaded, computed and stored once. */

import { sizeOf } from '@afterthought/core'
import type { Expression } from '../plan/expression.ts'
import { costOf, evaluate, viewsOf } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import { broadcast, coversSlot, isContiguous } from '../plan/views.ts'
import { storageType } from './element-ops.ts'
import type { Kernel } from './kernel.ts'

const SIZE = 64

/** Stores `expression`, evaluated over the shape of `target`, into `target`. */
export function elementwise(expression: Expression, target: View): Kernel {
  const count = sizeOf(target.shape)
  const {
    bindings,
    parameters,
    declarations,
    statements,
    result,
    target: index,
  } = evaluate(expression, target.shape, '', target)
  return {
    label: expression.kind === 'apply' ? expression.op : 'copy',
    bindings: [{ name: 'out', slot: target.slot, access: 'write', type: storageType(expression.dtype) }, ...bindings],
    parameters: { count, ...parameters },
    size: SIZE,
    groups: Math.ceil(count / SIZE),
    declarations,
    body: `
  let i = group * ${SIZE}u + lane;
  if (i >= p.count) { return; }
${statements}
  out[${index}] = ${result};`,
    flops: costOf(expression) * count,
    ...inPlaceOf(expression, target),
    ...(expression.kind === 'load' && coversSlot(expression.view) && coversSlot(target)
      ? { copyOf: expression.view.slot }
      : {}),
  }
}

/** Storage that may become the target's: read only at the element that is written. */
function inPlaceOf(expression: Expression, target: View): Pick<Kernel, 'inPlaceWith'> {
  if (!isContiguous(target) || target.offset !== 0) return {}
  const views = viewsOf(expression)
  const slot = views.find(
    (view) =>
      view.slot.size === target.slot.size && views.every((other) => other.slot !== view.slot || isFlat(other, target)),
  )?.slot
  return slot ? { inPlaceWith: slot } : {}
}

const isFlat = (view: View, target: View): boolean => {
  const full = broadcast(view, target.shape)
  return isContiguous(full) && full.offset === 0
}
