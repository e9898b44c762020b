/**
 * Lowering: every operation that a backend does not have is spelled out by its decomposition, again and again, until only
 * operations of the backend remain.
 */

import { UnsupportedOpError } from '../errors.ts'
import type { OpName } from '../tensor/attributes.ts'
import type { Graph, Node, Tensor } from '../tensor/graph.ts'
import { operations } from '../tensor/ops.ts'
import type { GraphBuilder } from '../tensor/trace.ts'
import { optimize } from './optimize.ts'
import { rewrite } from './rewrite.ts'
import { verify } from './verify.ts'

/**
 * @param ops what the backend has
 * @throws UnsupportedOpError if a primitive is missing
 */
export function lower(graph: Graph, ops: ReadonlySet<OpName>): Graph {
  verify(graph)
  const lowered = rewrite(graph, (node, inputs, target) => emit(node, inputs, target, ops))
  return optimize(lowered)
}

function emit(
  node: Pick<Node, 'op' | 'attributes'>,
  inputs: readonly Tensor[],
  target: GraphBuilder,
  ops: ReadonlySet<OpName>,
): readonly Tensor[] {
  if (ops.has(node.op)) return target.apply(node.op, inputs, node.attributes as never)
  const operation = operations[node.op]
  if (!('decompose' in operation)) {
    throw new UnsupportedOpError('the backend lacks a primitive operation', {
      where: node.op,
      expected: 'one of its operations or a composite of them',
      hint: 'Add a kernel for it to the backend',
    })
  }
  const from = target.nodes.length
  const outputs = operation.decompose(inputs, node.attributes)
  if (target.nodes.slice(from).every((inner) => ops.has(inner.op))) return outputs
  // A decomposition may itself use composites: take its nodes back out and emit them one by one.
  const inner = target.nodes.splice(from)
  const mapped = new Map<Tensor, Tensor>()
  const resolve = (value: Tensor): Tensor => mapped.get(value) ?? value
  for (const step of inner) {
    const results = emit(step, step.inputs.map(resolve), target, ops)
    step.outputs.forEach((output, i) => mapped.set(output, results[i]!))
  }
  return outputs.map(resolve)
}
