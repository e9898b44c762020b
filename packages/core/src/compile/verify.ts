/** The verifier: what must hold for every graph, checked before it is compiled. Errors name the node and both sides. */

import { GraphError } from '../errors.ts'
import type { Graph, Named, Node, Tensor } from '../tensor/graph.ts'
import { operations } from '../tensor/ops.ts'
import { dtypeOf, formatSpec, sizeOf } from '../tensor/types.ts'

/** @throws GraphError, ShapeError at the first rule that does not hold */
export function verify(graph: Graph): void {
  const defined = new Set<Tensor>()
  const define = (value: Tensor, where: string): void => {
    if (defined.has(value)) {
      throw new GraphError('a value is defined twice', {
        where,
        expected: 'one definition',
        actual: `%${value.id} again`,
      })
    }
    if (value.shape.some((extent) => !Number.isInteger(extent) || extent < 0)) {
      throw new GraphError('extents must be whole numbers', {
        where,
        expected: '0, 1, 2, …',
        actual: formatSpec(value),
      })
    }
    defined.add(value)
  }
  verifyNames(graph.inputs, `${graph.name}: inputs`)
  verifyNames(graph.parameters, `${graph.name}: parameters`)
  verifyNames(graph.outputs, `${graph.name}: outputs`)
  for (const { name, value } of graph.inputs) define(value, `${graph.name}: input '${name}'`)
  for (const { name, value } of graph.parameters) define(value, `${graph.name}: parameter '${name}'`)
  for (const { value, data } of graph.constants) {
    define(value, `${graph.name}: constant`)
    if (data.length !== sizeOf(value.shape) || dtypeOf(data) !== value.dtype) {
      throw new GraphError('the data of a constant does not fit its type', {
        where: `${graph.name}: constant %${value.id}`,
        expected: formatSpec(value),
        actual: `${data.length} elements of ${dtypeOf(data)}`,
      })
    }
  }
  graph.nodes.forEach((node, i) => verifyNode(node, `${graph.name}: node ${i} (${node.op})`, defined, define))
  verifyOutputs(graph, defined)
}

function verifyNames(entries: readonly Named[], where: string): void {
  const names = new Set<string>()
  for (const { name } of entries) {
    if (names.has(name)) {
      throw new GraphError('a name is given twice', { where, expected: 'different names', actual: `'${name}' again` })
    }
    names.add(name)
  }
}

function verifyNode(
  node: Node,
  where: string,
  defined: ReadonlySet<Tensor>,
  define: (value: Tensor, where: string) => void,
): void {
  if (!Object.hasOwn(operations, node.op)) {
    throw new GraphError('unknown operation', { where, expected: 'one of the op table', actual: node.op })
  }
  for (const input of node.inputs) {
    if (!defined.has(input)) {
      throw new GraphError('a value is used before it is defined', {
        where,
        expected: 'inputs, parameters, constants and results of earlier nodes',
        actual: `%${input.id}: ${formatSpec(input)}`,
      })
    }
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
    if (!defined.has(value)) {
      throw new GraphError('nothing computes this output', {
        where,
        expected: 'a value of the graph',
        actual: `%${value.id}: ${formatSpec(value)}`,
      })
    }
    if (alias === undefined) continue
    const source = graph.inputs.find((input) => input.name === alias)
    if (!source) throw new GraphError('an alias of no input', { where, expected: 'an input', actual: `'${alias}'` })
    if (taken.has(alias)) {
      throw new GraphError('an input is aliased twice', { where, expected: 'one output', actual: `'${alias}' again` })
    }
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
