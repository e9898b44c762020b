/** A graph as text, one node a line, readable at every stage: traced, differentiated, lowered, optimised. */

import type { Graph, Tensor } from '../tensor/graph.ts'
import { formatSpec } from '../tensor/types.ts'

export function printGraph(graph: Graph): string {
  const names = new Map<Tensor, string>()
  const lines: string[] = [`graph ${graph.name} {`]
  for (const { name, value } of graph.inputs) {
    names.set(value, `$${name}`)
    lines.push(`  input $${name}: ${formatSpec(value)}`)
  }
  for (const { name, value } of graph.parameters) {
    names.set(value, `@${name}`)
    lines.push(`  parameter @${name}: ${formatSpec(value)}`)
  }
  for (const { value, data } of graph.constants) {
    const text = data.length === 1 ? `${data[0]}` : `${formatSpec(value)}{…}`
    names.set(value, text)
  }
  const label = (value: Tensor): string => names.get(value) ?? `%${value.id}`
  for (const node of graph.nodes) {
    const results = node.outputs.map((value) => `${label(value)}: ${formatSpec(value)}`).join(', ')
    const attributes = Object.entries(node.attributes).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    lines.push(`  ${results} = ${node.op}(${[...node.inputs.map(label), ...attributes].join(', ')})`)
  }
  for (const { name, value, alias } of graph.outputs) {
    lines.push(`  output ${name} = ${label(value)}${alias === undefined ? '' : ` → storage of $${alias}`}`)
  }
  return `${lines.join('\n')}\n}`
}
