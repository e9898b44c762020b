/** One kernel per chain of elementwise operations: every element is loaded, computed and stored once. */

import { sizeOf } from '@afterthought/core'
import type { Expression } from '../plan/expression.ts'
import { costOf, evaluate, viewsOf } from '../plan/expression.ts'
import type { View } from '../plan/views.ts'
import { broadcast, coversSlot, isContiguous } from '../plan/views.ts'
import { storageType } from './element-ops.ts'
import { type Kernel, perElement, write } from './kernel.ts'

type Store = { readonly expression: Expression; readonly target: View }

/** Stores `expression`, evaluated over the shape of `target`, into `target`; `partner`, of that shape too, along with it. */
export function elementwise(expression: Expression, target: View, partner?: Store): Kernel {
  const stores = [{ expression, target }, ...(partner ? [partner] : [])]
  const count = sizeOf(target.shape)
  const values = stores.map((each, n) => evaluate(each.expression, target.shape, n === 0 ? '' : 'w', each.target))
  const isCopy = expression.kind === 'load' && coversSlot(expression.view) && coversSlot(target)
  return perElement(count, {
    label: expression.kind === 'apply' ? expression.op : 'copy',
    bindings: [
      ...stores.map((each, n) => write(`out${n}`, each.target, storageType(each.expression.dtype))),
      ...values.flatMap(({ bindings }) => bindings),
    ],
    parameters: Object.assign({}, ...values.map(({ parameters }) => parameters)),
    declarations: values.flatMap(({ declarations }) => declarations),
    body: values.map((value, n) => `\n${value.statements}\n  out${n}[${value.target}] = ${value.result};`).join(''),
    flops: stores.reduce((sum, each) => sum + costOf(each.expression), 0) * count,
    ...(!partner && inPlaceOf(expression, target)),
    ...(isCopy && !partner && { copyOf: expression.view.slot }),
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
