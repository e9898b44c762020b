/** A graph as text, one node a line, readable at every stage: traced, differentiated, lowered, optimised. */

import type { Graph, Tensor } from '../tensor/graph.ts'
import type { HostArray } from '../tensor/types.ts'
import { formatSpec } from '../tensor/types.ts'

const SHOWN = 6

function formatData(data: HostArray): string {
  const shown = [...data.subarray(0, SHOWN)].join(', ')
  return data.length > SHOWN ? `{${shown}, … ${data.length - SHOWN} more}` : `{${shown}}`
}

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
    if (data.length === 1) names.set(value, `${data[0]}`)
    else lines.push(`  constant %${value.id}: ${formatSpec(value)} = ${formatData(data)}`)
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
