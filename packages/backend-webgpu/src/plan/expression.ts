/**
 * Elementwise expressions: what a chain of elementwise operations computes for one output element, over loads from views.
 *
 * Chains are not run operation by operation: they are collected here and written into one kernel, or into the end of the
 * kernel that made their first operand (the epilogue of a matrix product).
 */

import type { DType, Shape } from '@afterthought/core'
import { type ElementOp, elementFunctions, elementOps, storageType } from '../kernels/element-ops.ts'
import type { Binding, Parameters } from '../kernels/kernel.ts'
import type { Slot, View } from './views.ts'
import { broadcast, commonAxes, isContiguous } from './views.ts'

export type Expression =
  | { readonly kind: 'load'; readonly view: View; readonly dtype: DType }
  | { readonly kind: 'literal'; readonly value: number; readonly dtype: DType }
  /** What the kernel around has just computed. */
  | { readonly kind: 'accumulator'; readonly dtype: 'f32' }
  | { readonly kind: 'apply'; readonly op: ElementOp; readonly inputs: readonly Expression[]; readonly dtype: DType }

export const load = (view: View): Expression => ({ kind: 'load', view, dtype: view.dtype })

/** Every node once, operands first. */
function walk(root: Expression): Expression[] {
  const seen = new Set<Expression>()
  const order: Expression[] = []
  const visit = (node: Expression): void => {
    if (seen.has(node)) return
    seen.add(node)
    if (node.kind === 'apply') node.inputs.forEach(visit)
    order.push(node)
  }
  visit(root)
  return order
}

export function viewsOf(root: Expression): View[] {
  return walk(root).flatMap((node) => (node.kind === 'load' ? [node.view] : []))
}

/** Distinct storage a kernel must bind for it. */
export function slotsOf(root: Expression): Set<Slot> {
  return new Set(viewsOf(root).map(({ slot }) => slot))
}

/** Rough price of computing one element: repeating a cheap expression costs less than storing it. */
export function costOf(root: Expression): number {
  return walk(root).reduce((sum, node) => sum + (node.kind === 'apply' ? elementOps[node.op]!.cost : 0), 0)
}

/** The expression with every load's view replaced; undefined if one cannot be. */
export function mapViews(root: Expression, change: (view: View) => View | undefined): Expression | undefined {
  const mapped = new Map<Expression, Expression>()
  for (const node of walk(root)) {
    if (node.kind === 'load') {
      const view = change(node.view)
      if (!view) return undefined
      mapped.set(node, { ...node, view })
    } else if (node.kind === 'apply') {
      mapped.set(node, { ...node, inputs: node.inputs.map((input) => mapped.get(input)!) })
    } else mapped.set(node, node)
  }
  return mapped.get(root)
}

/** WGSL that evaluates expressions at row-major element `i` of a shape. */
export interface Evaluation {
  readonly bindings: readonly Binding[]
  readonly parameters: Parameters
  /** Functions the statements call. */
  readonly declarations: readonly string[]
  /** Statements; `i: u32` must be in scope, `accumulator: f32` too if the expression has one. */
  readonly statements: string
  /** Name of the result, as it is stored. */
  readonly result: string
  /** Index into the destination, where it is strided. */
  readonly target: string
}

/**
 * @param prefix of all names, so that several evaluations fit into one kernel
 * @param destination where element i is to be stored; default: densely, at i
 */
export function evaluate(root: Expression, shape: Shape, prefix: string, destination?: View): Evaluation {
  const loads = walk(root).filter((node) => node.kind === 'load')
  const views = loads.map(({ view }) => broadcast(view, shape))
  const isScalar = (view: View): boolean => view.strides.every((stride, axis) => stride === 0 || shape[axis] === 1)
  const strided = views.filter((view) => !isContiguous(view) && !isScalar(view))
  const targetStrided = destination && !isContiguous(destination)
  const axes = commonAxes(shape, targetStrided ? [...strided, destination] : strided)
  const parameters: Record<string, number> = {}
  const lines: string[] = []
  if (strided.length > 0 || targetStrided) lines.push(...coordinates(axes.shape, prefix, parameters))
  const indexOf = (view: View, name: string): string => {
    parameters[`${name}_at`] = view.offset
    if (isContiguous(view)) return `p.${name}_at + i`
    if (isScalar(view)) return `p.${name}_at`
    const strides = axes.strides[view === destination ? strided.length : strided.indexOf(view)]!
    const terms = strides.flatMap((stride, axis) => {
      if (stride === 0) return []
      parameters[`${name}_${axis}`] = stride
      return [`${prefix}c${axis} * p.${name}_${axis}`]
    })
    return [`p.${name}_at`, ...terms].join(' + ')
  }
  const bindings = new Map<Slot, Binding>()
  const names = new Map<Expression, string>()
  const functions = new Set<string>()
  for (const node of walk(root)) {
    const name = `${prefix}v${names.size}`
    names.set(node, name)
    if (node.kind === 'load') {
      const view = views[loads.indexOf(node)]!
      let binding = bindings.get(view.slot)
      if (!binding) {
        const type = storageType(node.dtype)
        binding = { name: `${prefix}in${bindings.size}`, slot: view.slot, access: 'read', type }
        bindings.set(view.slot, binding)
      }
      lines.push(`let ${name} = ${binding.name}[${indexOf(view, name)}];`)
    } else if (node.kind === 'literal') lines.push(`let ${name} = ${literal(node.value, node.dtype)};`)
    else if (node.kind === 'accumulator') lines.push(`let ${name} = accumulator;`)
    else {
      const operands = node.inputs.map((input) => names.get(input)!)
      const { write, uses = [] } = elementOps[node.op]!
      for (const used of uses) functions.add(elementFunctions[used])
      lines.push(`let ${name} = ${write(operands, node.inputs[0]!.dtype, node.dtype)};`)
    }
  }
  const target = destination ? indexOf(destination, `${prefix}out`) : 'i'
  return {
    bindings: [...bindings.values()],
    parameters,
    declarations: [...functions],
    statements: lines.map((line) => `  ${line}`).join('\n'),
    result: names.get(root)!,
    target,
  }
}

/** Coordinates of element `i`, innermost last; extents of the inner axes become parameters. */
function coordinates(shape: readonly number[], prefix: string, parameters: Record<string, number>): string[] {
  if (shape.length === 0) return []
  const lines = [`var ${prefix}rest = i;`]
  for (let axis = shape.length - 1; axis > 0; axis--) {
    const extent = `${prefix}d${axis}`
    parameters[extent] = shape[axis]!
    lines.push(`let ${prefix}c${axis} = ${prefix}rest % p.${extent}; ${prefix}rest /= p.${extent};`)
  }
  return [...lines, `let ${prefix}c0 = ${prefix}rest;`]
}

const bits = new DataView(new ArrayBuffer(4))

/** Exact in every driver: floats by their bits; infinities and NaN must not be constant expressions. */
function literal(value: number, dtype: DType): string {
  if (dtype === 'bool') return value ? '1u' : '0u'
  if (dtype === 'i32') return value === -(2 ** 31) ? 'i32(-2147483647 - 1)' : `${value}i`
  bits.setFloat32(0, value)
  const pattern = `0x${bits.getUint32(0).toString(16)}u`
  if (Number.isFinite(Math.fround(value))) return `bitcast<f32>(${pattern})`
  return `bitcast<f32>(${pattern} | (i & 0u))`
}
