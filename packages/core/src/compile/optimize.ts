/**
 * Passes over a graph: constants are folded, equal expressions shared, unused nodes dropped. Each gives the same numbers
 * bit by bit.
 */

import type { Graph, Named, Node, Tensor } from '../tensor/graph.ts'
import type { Primitive } from '../tensor/ops.ts'
import { operations } from '../tensor/ops.ts'
import type { GraphBuilder } from '../tensor/trace.ts'
import { sizeOf } from '../tensor/types.ts'
import { rewrite } from './rewrite.ts'

/** Larger results stay computed: a folded constant lives in the graph for good. */
const FOLD_LIMIT = 1 << 16

export function optimize(graph: Graph): Graph {
  return eliminateDeadCode(shareAndFold(graph))
}

/** Unlike JSON, tells −∞ from ∞ and −0 from 0. */
function formatAttributes({ attributes }: Node): string {
  const text = (value: unknown): string => (Object.is(value, -0) ? '-0' : `${value}`)
  return Object.entries(attributes)
    .map(([key, value]) => `${key}=${Array.isArray(value) ? value.map(text) : text(value)}`)
    .join(';')
}

/** Common-subexpression elimination, constant folding and x + 0, x · 1 in one walk. */
function shareAndFold(graph: Graph): Graph {
  const known = new Map<string, readonly Tensor[]>()
  return rewrite(graph, (node, inputs, target) => {
    const neutral = withoutNeutral(node, inputs, target)
    if (neutral) return [neutral]
    const key = `${node.op}(${inputs.map((input) => input.id).join(',')})${formatAttributes(node)}`
    const before = known.get(key)
    if (before) return before
    const outputs = fold(node, inputs, target) ?? target.apply(node.op, inputs, node.attributes as never)
    known.set(key, outputs)
    return outputs
  })
}

/** The other operand of x + 0, x − 0, x · 1 or x / 1, where the shape stays. (−0 + 0 is 0: equal, though not in bits.) */
function withoutNeutral(node: Node, inputs: readonly Tensor[], target: GraphBuilder): Tensor | undefined {
  const [a, b] = inputs
  const isAll = (tensor: Tensor | undefined, value: number): boolean =>
    tensor !== undefined && (target.dataOf(tensor)?.every((element) => element === value) ?? false)
  const keepsShape = (kept: Tensor): boolean => `${kept.shape}` === `${node.outputs[0]!.shape}`
  const sum = node.op === 'add' || node.op === 'sub'
  const product = node.op === 'mul' || node.op === 'div'
  if (!sum && !product) return undefined
  const neutral = sum ? 0 : 1
  if (isAll(b, neutral) && keepsShape(a!)) return a
  if ((node.op === 'add' || node.op === 'mul') && isAll(a, neutral) && keepsShape(b!)) return b
  return undefined
}

function fold(node: Node, inputs: readonly Tensor[], target: GraphBuilder): readonly Tensor[] | undefined {
  const operation = operations[node.op]
  if (!('evaluate' in operation) || node.outputs.some((output) => sizeOf(output.shape) > FOLD_LIMIT)) return undefined
  const operands = inputs.map((input) => ({ ...input, data: target.dataOf(input)! }))
  if (operands.some(({ data }) => data === undefined)) return undefined
  const values = (operation as Primitive<never>).evaluate(operands, node.attributes as never, node.outputs)
  return node.outputs.map((output, i) => target.constant(values[i]!, output))
}

/** Drops nodes, constants and parameters that no output needs. Inputs stay: they are the graph's signature. */
export function eliminateDeadCode(graph: Graph): Graph {
  const needed = new Set<Tensor>(graph.outputs.map(({ value }) => value))
  const nodes: Node[] = []
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!
    if (!node.outputs.some((output) => needed.has(output))) continue
    for (const input of node.inputs) needed.add(input)
    nodes.push(node)
  }
  const isNeeded = ({ value }: Pick<Named, 'value'>): boolean => needed.has(value)
  return {
    ...graph,
    parameters: graph.parameters.filter(isNeeded),
    constants: graph.constants.filter(isNeeded),
    nodes: nodes.reverse(),
  }
}
