/** The verifier: what must hold for every graph, checked before it is compiled. Errors name the node and both sides. */

import { GraphError } from '../errors.ts'
import type { Graph, Node, Tensor } from '../tensor/graph.ts'
import { operations } from '../tensor/ops.ts'
import { formatSpec, sizeOf } from '../tensor/types.ts'

/** @throws GraphError, ShapeError at the first rule that does not hold */
export function verify(graph: Graph): void {
  const defined = new Set<Tensor>()
  const define = (value: Tensor, where: string): void => {
    if (defined.has(value)) throw new GraphError(`%${value.id} is defined twice`, { where })
    if (value.shape.some((extent) => !Number.isInteger(extent) || extent < 0)) {
      throw new GraphError('extents must be whole numbers', { where, actual: formatSpec(value) })
    }
    defined.add(value)
  }
  for (const { name, value } of graph.inputs) define(value, `${graph.name}: input '${name}'`)
  for (const { name, value } of graph.parameters) define(value, `${graph.name}: parameter '${name}'`)
  for (const { value, data } of graph.constants) {
    define(value, `${graph.name}: constant`)
    if (data.length !== sizeOf(value.shape)) {
      throw new GraphError('constant data does not fill its shape', {
        where: graph.name,
        expected: formatSpec(value),
        actual: `${data.length} elements`,
      })
    }
  }
  graph.nodes.forEach((node, i) => verifyNode(node, `${graph.name}: node ${i} (${node.op})`, defined, define))
  verifyOutputs(graph, defined)
}

function verifyNode(
  node: Node,
  where: string,
  defined: ReadonlySet<Tensor>,
  define: (value: Tensor, where: string) => void,
): void {
  if (!operations[node.op]) throw new GraphError('unknown operation', { where })
  for (const input of node.inputs) {
    if (!defined.has(input)) throw new GraphError(`%${input.id} is used before it is defined`, { where })
  }
  const expected = operations[node.op].infer(node.inputs, node.attributes)
  const agrees =
    expected.length === node.outputs.length &&
    expected.every((spec, i) => formatSpec(spec) === formatSpec(node.outputs[i]!))
  if (!agrees) {
    throw new GraphError('outputs disagree with the shape rule', {
      where,
      expected: expected.map(formatSpec).join(', '),
      actual: node.outputs.map(formatSpec).join(', '),
    })
  }
  for (const output of node.outputs) define(output, where)
}

function verifyOutputs(graph: Graph, defined: ReadonlySet<Tensor>): void {
  const taken = new Set<string>()
  for (const { name, value, alias } of graph.outputs) {
    const where = `${graph.name}: output '${name}'`
    if (!defined.has(value)) throw new GraphError(`%${value.id} is never defined`, { where })
    if (alias === undefined) continue
    const source = graph.inputs.find((input) => input.name === alias)
    if (!source) throw new GraphError(`aliases '${alias}', which is no input`, { where })
    if (taken.has(alias)) throw new GraphError(`input '${alias}' is aliased twice`, { where })
    taken.add(alias)
    if (formatSpec(source.value) !== formatSpec(value)) {
      throw new GraphError('an alias must have the type of its input', {
        where,
        expected: formatSpec(source.value),
        actual: formatSpec(value),
      })
    }
  }
}
