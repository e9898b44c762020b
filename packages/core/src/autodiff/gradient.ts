/**
 * Reverse-mode differentiation, graph to graph: `gradient()` reads the nodes traced so far and appends the backward
 * pass to the same trace. The rules stand in the op table; this file only walks.
 */

import { GraphError } from '../errors.ts'
import * as F from '../tensor/functional.ts'
import type { Node, Tensor } from '../tensor/graph.ts'
import type { Composite } from '../tensor/ops.ts'
import { operations } from '../tensor/ops.ts'
import { builder, constant } from '../tensor/trace.ts'
import { formatSpec } from '../tensor/types.ts'
import { sumOf } from './sum.ts'

/**
 * Gradients of a scalar with respect to `wrt`, in the open trace. Zero where the objective does not depend on a tensor.
 *
 * @param objective f32 scalar
 * Nothing flows through comparisons, indices and `stopGradient`.
 *
 * @throws GraphError if the objective is no f32 scalar, or one of `wrt` no f32 tensor of the trace
 */
export function gradient(objective: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (objective.shape.length !== 0 || objective.dtype !== 'f32') {
    throw new GraphError('only a scalar can be differentiated', {
      where: 'gradient',
      expected: 'f32[]',
      actual: formatSpec(objective),
      hint: 'Reduce the objective with reduceSum or mean first',
    })
  }
  for (const tensor of wrt) {
    if (tensor.dtype !== 'f32' || !builder().owns(tensor)) {
      throw new GraphError('cannot differentiate with respect to this tensor', {
        where: 'gradient',
        expected: 'an f32 tensor of the open trace',
        actual: `${formatSpec(tensor)}${builder().owns(tensor) ? '' : ' of another trace'}`,
      })
    }
  }
  const walk = new BackwardWalk(wrt)
  walk.seed(objective, constant(1))
  walk.through(builder().nodes.slice())
  return wrt.map((tensor) => walk.gradientOf(tensor) ?? F.broadcastTo(constant(0), tensor.shape))
}

class BackwardWalk {
  /** What has come back to a tensor so far; one value once it has been asked for. */
  private readonly gradients = new Map<Tensor, Tensor[]>()
  /** Tensors that depend on what is differentiated for: nothing else needs a gradient. */
  private readonly active: Set<Tensor>

  constructor(wrt: readonly Tensor[]) {
    this.active = new Set(wrt)
  }

  seed(tensor: Tensor, value: Tensor): void {
    const values = this.gradients.get(tensor)
    if (values) values.push(value)
    else this.gradients.set(tensor, [value])
  }

  gradientOf(tensor: Tensor): Tensor | undefined {
    const values = this.gradients.get(tensor)
    if (values && values.length > 1) values.splice(0, values.length, sumOf(values))
    return values?.[0]
  }

  through(nodes: readonly Node[]): void {
    for (const node of nodes) {
      if (operations[node.op].gradient !== 'none' && node.inputs.some((input) => this.active.has(input))) {
        for (const output of node.outputs) this.active.add(output)
      }
    }
    for (let i = nodes.length - 1; i >= 0; i--) this.back(nodes[i]!)
  }

  private back(node: Node): void {
    const upstream = this.gradientOf(node.outputs[0]!)
    if (!upstream || !node.inputs.some((input) => this.active.has(input))) return
    const { gradient: rule } = operations[node.op]
    if (rule === 'none') return
    if (rule === 'decompose') {
      this.throughDecomposition(node, upstream)
      return
    }
    const { inputs, outputs, attributes } = node
    rule({ inputs, outputs, upstream, attributes }).forEach((value, i) => {
      const input = inputs[i]!
      if (value && this.active.has(input)) this.seed(input, value)
    })
  }

  /** Spells the operation out again and differentiates that; common-subexpression elimination removes the repetition. */
  private throughDecomposition(node: Node, upstream: Tensor): void {
    const { nodes } = builder()
    const from = nodes.length
    const composite = operations[node.op] as unknown as Composite<never>
    const [value] = composite.decompose(node.inputs, node.attributes as never)
    const spelled = nodes.slice(from)
    this.seed(value!, upstream)
    this.through(spelled)
  }
}
