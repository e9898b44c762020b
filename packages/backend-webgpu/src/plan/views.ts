/**
 * Views: strided windows onto storage. Reshape, transpose, slice and broadcast move no data here; they make a new view, and
 * the kernel that reads it follows its strides.
 */

import type { DType, Shape } from '@afterthought/core'
import { sizeOf, stridesOf } from '@afterthought/core'

/** Where values lie. Slots become buffers when the plan is allocated. */
export interface Slot {
  readonly id: number
  readonly kind: 'input' | 'weight' | 'constant' | 'scratch'
  /** Elements of four bytes. */
  readonly size: number
  readonly label: string
}

export interface View {
  readonly slot: Slot
  readonly dtype: DType
  readonly shape: Shape
  /** In elements; 0 along broadcast axes. */
  readonly strides: readonly number[]
  readonly offset: number
}

export function wholeView(slot: Slot, shape: Shape, dtype: DType): View {
  return { slot, dtype, shape, strides: stridesOf(shape), offset: 0 }
}

/** Whether elements lie row-major without gaps (axes of extent 1 may have any stride). */
export function isContiguous({ shape, strides }: View): boolean {
  let expected = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true
    if (shape[axis] !== 1 && strides[axis] !== expected) return false
    expected *= shape[axis]!
  }
  return true
}

export function transposed(view: View, permutation: readonly number[]): View {
  return {
    ...view,
    shape: permutation.map((axis) => view.shape[axis]!),
    strides: permutation.map((axis) => view.strides[axis]!),
  }
}

export function sliced(view: View, starts: readonly number[], ends: readonly number[]): View {
  return {
    ...view,
    shape: starts.map((start, axis) => ends[axis]! - start),
    offset: starts.reduce((sum, start, axis) => sum + start * view.strides[axis]!, view.offset),
  }
}

/** Elements `from ≤ index < to` of one axis. */
export function narrowed(view: View, axis: number, from: number, to: number): View {
  const shape = view.shape.map((extent, i) => (i === axis ? to - from : extent))
  return { ...view, shape, offset: view.offset + from * view.strides[axis]! }
}

export function broadcast(view: View, shape: Shape): View {
  const extra = shape.length - view.shape.length
  const strides = shape.map((_, axis) => {
    const own = axis - extra
    return own < 0 || view.shape[own] === 1 ? 0 : view.strides[own]!
  })
  return { ...view, shape, strides }
}

/** The view with another shape, or undefined where its strides do not allow one without a copy. */
export function reshaped(view: View, shape: Shape): View | undefined {
  if (isContiguous(view) || sizeOf(shape) === 0) return { ...view, shape, strides: stridesOf(shape) }
  // Extents of 1 carry nothing. Old and new axes are matched in groups of equal products.
  const axes = view.shape.flatMap((extent, i) => (extent === 1 ? [] : [{ extent, stride: view.strides[i]! }]))
  const strides = new Array<number>(shape.length).fill(0)
  let old = 0
  let fresh = 0
  while (fresh < shape.length) {
    if (shape[fresh] === 1) {
      fresh++
      continue
    }
    const firstOld = old
    const firstFresh = fresh
    let left = axes[old++]!.extent
    let right = shape[fresh++]!
    while (left !== right) {
      if (left < right) left *= axes[old++]!.extent
      else right *= shape[fresh++]!
    }
    for (let i = firstOld; i < old - 1; i++) {
      if (axes[i]!.stride !== axes[i + 1]!.stride * axes[i + 1]!.extent) return undefined
    }
    let stride = axes[old - 1]!.stride
    for (let i = fresh - 1; i >= firstFresh; i--) {
      strides[i] = stride
      stride *= shape[i]!
    }
  }
  return { ...view, shape, strides }
}

/** Whether the view is all of its slot, in order. */
export function coversSlot(view: View): boolean {
  return view.offset === 0 && isContiguous(view) && sizeOf(view.shape) === view.slot.size
}

/** Axes that several views walk alike, merged where neighbours are one run in all of them; extents of 1 are dropped. */
export function commonAxes(shape: Shape, views: readonly View[]): { shape: number[]; strides: number[][] } {
  const merged: number[] = []
  const strides: number[][] = views.map(() => [])
  for (let axis = 0; axis < shape.length; axis++) {
    const extent = shape[axis]!
    if (extent === 1) continue
    const last = merged.length - 1
    const joins = last >= 0 && views.every((view, v) => strides[v]![last] === view.strides[axis]! * extent)
    if (joins) merged[last]! *= extent
    else merged.push(extent)
    views.forEach((view, v) => {
      strides[v]![joins ? last : last + 1] = view.strides[axis]!
    })
  }
  return { shape: merged, strides }
}
