/**
 * The op table: one entry per operation of `attributes.ts`, with shape rule, gradient, meaning and decomposition side by
 * side. Typed over the attribute list, so that a missing operation or a missing rule does not compile.
 *
 * Gradient and decomposition rules are themselves written with traced operations; this module, `trace.ts` and
 * `functional.ts` therefore refer to one another, but only from inside functions.
 */

import type { Attributes, OpName } from './attributes.ts'
import type { Tensor } from './graph.ts'
import { attentionOps } from './ops/attention.ts'
import { composites } from './ops/composites.ts'
import { elementwise } from './ops/elementwise.ts'
import { indexing } from './ops/indexing.ts'
import { layout } from './ops/layout.ts'
import { linear } from './ops/linear.ts'
import { reductions } from './ops/reductions.ts'
import type { HostArray, HostTensor, TensorSpec } from './types.ts'

export interface GradientContext<Name extends OpName> {
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** Gradient of the objective with respect to the first output. */
  readonly upstream: Tensor
  readonly attributes: Attributes[Name]
}

interface Rules<Name extends OpName> {
  /** Shapes and types of the outputs. @throws ShapeError naming the operation, what it expects and what it got */
  infer(inputs: readonly TensorSpec[], attributes: Attributes[Name]): TensorSpec[]
  /**
   * Vector-Jacobian product: one gradient per input, undefined where it is zero by definition (indices, masks).
   * `'decompose'`: differentiate the decomposition. `'none'`: no gradient flows through this operation.
   */
  readonly gradient: 'decompose' | 'none' | ((context: GradientContext<Name>) => (Tensor | undefined)[])
}

export interface Primitive<Name extends OpName> extends Rules<Name> {
  /** What the operation means, on the host, in f64 where it accumulates. */
  evaluate(inputs: readonly HostTensor[], attributes: Attributes[Name], outputs: readonly TensorSpec[]): HostArray[]
}

export interface Composite<Name extends OpName> extends Rules<Name> {
  /** The same value by simpler operations. */
  decompose(inputs: readonly Tensor[], attributes: Attributes[Name]): Tensor[]
}

export type Operation<Name extends OpName> = Primitive<Name> | Composite<Name>

type OperationTable = { readonly [Name in OpName]: Operation<Name> }

const table: OperationTable = {
  ...elementwise,
  ...reductions,
  ...linear,
  ...layout,
  ...indexing,
  ...composites,
  ...attentionOps,
}

/** Rules by operation name. */
export const operations: { readonly [Name in OpName]: Operation<OpName> } = table as unknown as {
  readonly [Name in OpName]: Operation<OpName>
}

/** Operations without a decomposition: what every backend must have. */
export const primitives: ReadonlySet<OpName> = new Set(
  (Object.keys(table) as OpName[]).filter((name) => 'evaluate' in table[name]),
)
