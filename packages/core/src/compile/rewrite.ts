/** Rebuilding a graph node by node: the frame under lowering and the passes. */

import type { Graph, Node, Tensor } from '../tensor/graph.ts'
import { GraphBuilder, withBuilder } from '../tensor/trace.ts'

export type Replace = (node: Node, inputs: readonly Tensor[], target: GraphBuilder) => readonly Tensor[]

/** Copies `graph`, asking `replace` for the new outputs of every node. Inputs, parameters and aliases stay as they are. */
export function rewrite(graph: Graph, replace: Replace): Graph {
  const target = new GraphBuilder()
  return withBuilder(target, () => {
    const mapped = new Map<Tensor, Tensor>()
    for (const { name, value } of graph.inputs) mapped.set(value, target.input(name, value))
    for (const { name, value } of graph.parameters) mapped.set(value, target.parameter(name, value))
    for (const { value, data } of graph.constants) mapped.set(value, target.constant(data, value))
    const resolve = (value: Tensor): Tensor => mapped.get(value)!
    for (const node of graph.nodes) {
      const outputs = replace(node, node.inputs.map(resolve), target)
      node.outputs.forEach((output, i) => mapped.set(output, outputs[i]!))
    }
    return target.finish(
      graph.name,
      graph.outputs.map((output) => ({ ...output, value: resolve(output.value) })),
    )
  })
}
