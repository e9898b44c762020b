/** What shape rules share: arity, element types, axes and broadcasting, with errors that name the operation. */

import { ShapeError } from '../../errors.ts'
import type { DType, Shape, TensorSpec } from '../types.ts'
import { formatSpec } from '../types.ts'

export function formatSpecs(specs: readonly TensorSpec[]): string {
  return specs.length === 0 ? 'nothing' : specs.map(formatSpec).join(' and ')
}

/** @throws ShapeError unless there are `types.length` inputs of the given element types (undefined: any). */
export function expectInputs(op: string, inputs: readonly TensorSpec[], types: readonly (DType | undefined)[]): void {
  const fits = inputs.length === types.length && inputs.every((spec, i) => !types[i] || spec.dtype === types[i])
  if (!fits) {
    throw new ShapeError('operands do not fit', {
      where: op,
      expected: `${types.length} of type ${types.map((type) => type ?? 'any').join(', ')}`,
      actual: formatSpecs(inputs),
    })
  }
}

export function expectRank(op: string, spec: TensorSpec, rank: number, role: string): void {
  if (spec.shape.length !== rank) {
    throw new ShapeError(`${role} has the wrong rank`, {
      where: op,
      expected: `rank ${rank}`,
      actual: formatSpec(spec),
    })
  }
}

export function expectAxis(op: string, axis: number, rank: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    throw new ShapeError('axis out of range', { where: op, expected: `0 … ${rank - 1}`, actual: `${axis}` })
  }
}

/** NumPy broadcasting. @throws ShapeError */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  const shape = new Array<number>(rank)
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - 1 - i] ?? 1
    const right = b[b.length - 1 - i] ?? 1
    if (left !== right && left !== 1 && right !== 1) {
      throw new ShapeError('shapes do not broadcast', {
        where: op,
        expected: 'equal extents, or 1, from the last axis on',
        actual: `[${a.join(',')}] and [${b.join(',')}]`,
      })
    }
    shape[rank - 1 - i] = left === 1 ? right : left
  }
  return shape
}

/** Strides of an operand of `shape` read as if broadcast to `target`: 0 along repeated axes. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = new Array<number>(target.length).fill(0)
  let stride = 1
  for (let i = 0; i < shape.length; i++) {
    const extent = shape[shape.length - 1 - i]!
    if (extent !== 1) strides[target.length - 1 - i] = stride
    stride *= extent
  }
  return strides
}

/**
 * Calls `row(offsets, out)` for every row (last axis) of `shape`, with the operands' element offsets at the row's start.
 * The one loop under all strided reference kernels.
 */
export function forEachRow(
  shape: Shape,
  strides: readonly (readonly number[])[],
  row: (offsets: readonly number[], out: number) => void,
): void {
  const outer = shape.slice(0, -1)
  const width = shape.length === 0 ? 1 : shape[shape.length - 1]!
  let rows = 1
  for (const extent of outer) rows *= extent
  if (width === 0) return
  const index = new Array<number>(outer.length).fill(0)
  const offsets = strides.map(() => 0)
  for (let r = 0; r < rows; r++) {
    row(offsets, r * width)
    for (let axis = outer.length - 1; axis >= 0; axis--) {
      index[axis]!++
      for (let s = 0; s < strides.length; s++) offsets[s]! += strides[s]![axis]!
      if (index[axis]! < outer[axis]!) break
      for (let s = 0; s < strides.length; s++) offsets[s]! -= strides[s]![axis]! * outer[axis]!
      index[axis] = 0
    }
  }
}
