/** One kernel per chain of elementwise operations: every element is loaded, computed and stored once. */

import { sizeOf } from '@afterthought/core'
import type { Expression } from '../plan/expression.ts'
import { costOf, evaluate, viewsOf } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import { broadcast, coversSlot, isContiguous } from '../plan/views.ts'
import { storageType } from './element-ops.ts'
import { type Kernel, perElement, write } from './kernel.ts'

/** Stores `expression`, evaluated over the shape of `target`, into `target`. */
export function elementwise(expression: Expression, target: View): Kernel {
  const count = sizeOf(target.shape)
  const value = evaluate(expression, target.shape, '', target)
  const isCopy = expression.kind === 'load' && coversSlot(expression.view) && coversSlot(target)
  return perElement(count, {
    label: expression.kind === 'apply' ? expression.op : 'copy',
    bindings: [write('out', target, storageType(expression.dtype)), ...value.bindings],
    parameters: value.parameters,
    declarations: value.declarations,
    body: `
${value.statements}
  out[${value.target}] = ${value.result};`,
    flops: costOf(expression) * count,
    ...inPlaceOf(expression, target),
    ...(isCopy && { copyOf: expression.view.slot }),
  })
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
