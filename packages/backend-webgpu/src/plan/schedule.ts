/** Graph to graph, before planning: products that share their input are joined, and cache writes put where they need no copy. */

import type { Graph, HostArray, Node, Parameter, Tensor } from '@afterthought/core'
import { F, rewrite } from '@afterthought/core'

/**
 * Products of one value with several weights (q, k, v; gate and up) become one product with the weights stacked, and
 * slices of it. With biases all around, these are stacked as well. Fewer, larger dispatches; the same sums.
 */
export function mergeProjections(
  graph: Graph,
  parameters: ReadonlyMap<string, Parameter>,
): { graph: Graph; parameters: ReadonlyMap<string, Parameter> } {
  const groups = projectionGroups(graph)
  if (groups.length === 0) return { graph, parameters }
  const stacked = new Map(parameters)
  const nameOf = new Map(graph.parameters.map(({ name, value }) => [value, name]))
  const groupOf = new Map<Node, Projection[]>()
  for (const group of groups) for (const { last } of group) groupOf.set(last, group)
  const skipped = new Set(groups.flatMap((group) => group.map(({ product }) => product)))
  const done = new Map<Projection[], readonly Tensor[]>()
  const stack = (values: readonly Tensor[]): Tensor => {
    const { name, parameter } = stackedParameter(values.map((value) => nameOf.get(value)!), parameters)
    stacked.set(name, parameter)
    return parameterOf(name, parameter)
  }
  const merged = rewrite(graph, (node, inputs, target) => {
    const group = groupOf.get(node)
    if (!group) return skipped.has(node) ? inputs.slice(0, 1) : target.apply(node.op, inputs, node.attributes as never)
    let parts = done.get(group)
    if (!parts) {
      const input = node.op === 'matmul' ? inputs[0]! : inputs[node.inputs.indexOf(group.find(({ last }) => last === node)!.product.outputs[0]!)]!
      const product = F.matmul(input, stack(group.map(({ weight }) => weight)), { transposeB: true })
      const whole = group[0]!.bias ? F.add(product, stack(group.map(({ bias }) => bias!))) : product
      let from = 0
      parts = group.map(({ weight }) => {
        const to = from + weight.shape[0]!
        const part = F.narrow(whole, whole.shape.length - 1, from, to)
        from = to
        return part
      })
      done.set(group, parts)
    }
    return [parts[group.findIndex(({ last }) => last === node)]!]
  })
  return { graph: merged, parameters: stacked }
}

interface Projection {
  readonly product: Node
  readonly weight: Tensor
  readonly bias: Tensor | undefined
  /** The product, or the addition of its bias. */
  readonly last: Node
}
