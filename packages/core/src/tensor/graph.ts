/**
 * Graph: a traced program. Nodes in topological order over single-assignment tensors.
 *
 * One node type, after tinygrad; outputs that reuse an input's storage are declared as aliases, and nothing else in a
 * graph has state. Values are identified by object, printed by number.
 */

import type { Attributes, OpName } from './attributes.ts'
import type { HostArray, TensorSpec } from './types.ts'

/** A traced value. It has a shape and an element type, and no data. */
export interface Tensor extends TensorSpec {
  /** Unique within one graph. */
  readonly id: number
}

export interface Node<Name extends OpName = OpName> {
  readonly op: Name
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attributes: Attributes[Name]
}

export interface Named {
  readonly name: string
  readonly value: Tensor
}

export interface Output extends Named {
  /** Name of the input whose storage this output takes over. The input's old contents are gone after a run. */
  readonly alias?: string
}

export interface Constant {
  readonly value: Tensor
  readonly data: HostArray
}

export interface Graph {
  readonly name: string
  /** Fed at every run. */
  readonly inputs: readonly Named[]
  /** Bound once, when the graph is compiled: weights. */
  readonly parameters: readonly Named[]
  readonly constants: readonly Constant[]
  readonly nodes: readonly Node[]
  readonly outputs: readonly Output[]
}
