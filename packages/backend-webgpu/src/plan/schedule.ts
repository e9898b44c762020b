/**
 * Graph to graph, before planning: products that share their input are joined, and cache writes are put where they need no
 * copy.
 */

import type { Graph, HostArray, Node, Parameter, Tensor } from '@afterthought/core'
import { sizeOf } from '@afterthought/core'

export interface Program {
  readonly graph: Graph
  readonly parameters: ReadonlyMap<string, Parameter>
}

interface Projection {
  readonly product: Node<'matmul'>
  readonly weight: Tensor
  /** With the node that adds it, where the product has no other use. */
  readonly biased: { readonly node: Node; readonly bias: Tensor } | undefined
}

/**
 * Products of one value with several weights (q, k and v; gate and up) become one product with the weights stacked, and
 * slices of it; biases are stacked with them. Fewer and larger dispatches, the same sums.
 */
export function mergeProjections({ graph, parameters }: Program): Program {
  const nameOf = new Map(graph.parameters.map(({ name, value }) => [value, name]))
  const merged = new Map<string, Parameter>()
  const added: { name: string; value: Tensor }[] = []
  const stack = (values: readonly Tensor[]): Tensor => {
    const names = values.map((value) => nameOf.get(value)!)
    const name = `stacked: ${names.join(' ')}`
    const known = added.find((entry) => entry.name === name)
    if (known) return known.value
    const parameter = stacked(names.map((each) => parameters.get(each)!))
    const value = { id: -1 - added.length, shape: parameter.shape, dtype: parameter.dtype }
    merged.set(name, parameter)
    added.push({ name, value })
    return value
  }
  const replaced = new Map<Node, readonly Node[]>()
  for (const group of projectionGroups(graph, nameOf)) {
    const nodes = mergedNodes(group, stack)
    for (const { product, biased } of group) {
      replaced.set(product, [])
      if (biased) replaced.set(biased.node, [])
    }
    replaced.set(group[0]!.product, nodes)
  }
  if (replaced.size === 0) return { graph, parameters }
  const nodes = graph.nodes.flatMap((node) => replaced.get(node) ?? [node])
  const used = new Set(nodes.flatMap(({ inputs }) => inputs).concat(graph.outputs.map(({ value }) => value)))
  const kept = [...graph.parameters, ...added].filter(({ value }) => used.has(value))
  return { graph: { ...graph, nodes, parameters: kept }, parameters: new Map([...parameters, ...merged]) }
}

function mergedNodes(group: readonly Projection[], stack: (values: readonly Tensor[]) => Tensor): Node[] {
  const { product } = group[0]!
  const input = product.inputs[0]!
  const columns = group.map(({ weight }) => weight.shape[0]!)
  const total = columns.reduce((sum, count) => sum + count, 0)
  const whole = (id: number): Tensor => ({ id, shape: [...input.shape.slice(0, -1), total], dtype: 'f32' })
  let result = whole(-1)
  const weight = stack(group.map((each) => each.weight))
  const nodes: Node[] = [{ ...product, inputs: [input, weight], outputs: [result] }]
  if (group.every(({ biased }) => biased)) {
    const sum = whole(-2)
    const bias = stack(group.map(({ biased }) => biased!.bias))
    nodes.push({ op: 'add', inputs: [result, bias], outputs: [sum], attributes: {} })
    result = sum
  }
  let from = 0
  group.forEach(({ product: own, biased }, n) => {
    const outer = input.shape.slice(0, -1)
    const starts = [...outer.map(() => 0), from]
    from += columns[n]!
    const output = (biased?.node ?? own).outputs[0]!
    nodes.push({ op: 'slice', inputs: [result], outputs: [output], attributes: { starts, ends: [...outer, from] } })
  })
  return nodes
}

/** Products of one input with different weight parameters [N, K], in order; all with a bias, or none. */
function projectionGroups(graph: Graph, nameOf: ReadonlyMap<Tensor, string>): Projection[][] {
  const uses = countUses(graph)
  const groups = new Map<Tensor, Projection[]>()
  for (const node of graph.nodes) {
    if (node.op !== 'matmul') continue
    const product = node as Node<'matmul'>
    const [input, weight] = product.inputs as [Tensor, Tensor]
    const { transposeA, transposeB } = product.attributes
    if (transposeA || !transposeB || !nameOf.has(weight) || weight.shape.length !== 2 || input.shape.length < 2)
      continue
    const group = groups.get(input) ?? []
    groups.set(input, [...group, { product, weight, biased: biasOf(product, graph, nameOf, uses) }])
  }
  return [...groups.values()].flatMap((group) => {
    const distinct = new Set(group.map(({ weight }) => weight)).size === group.length
    const biased = group.filter((each) => each.biased).length
    return group.length > 1 && distinct && (biased === 0 || biased === group.length) ? [group] : []
  })
}

function biasOf(
  product: Node,
  graph: Graph,
  nameOf: ReadonlyMap<Tensor, string>,
  uses: ReadonlyMap<Tensor, number>,
): Projection['biased'] {
  const output = product.outputs[0]!
  if (uses.get(output) !== 1) return undefined
  const node = graph.nodes.find(({ op, inputs }) => op === 'add' && inputs.includes(output))
  const bias = node?.inputs.find((input) => input !== output)
  const fits = bias && nameOf.has(bias) && bias.shape.length === 1 && bias.shape[0] === output.shape.at(-1)
  return node && fits ? { node, bias } : undefined
}

/** How many operands and outputs a value is. */
export function countUses(graph: Graph): Map<Tensor, number> {
  const uses = new Map<Tensor, number>()
  const count = (value: Tensor): unknown => uses.set(value, (uses.get(value) ?? 0) + 1)
  for (const { inputs } of graph.nodes) new Set(inputs).forEach(count)
  for (const { value } of graph.outputs) count(value)
  return uses
}

/** Weights one below the other along their first axis. */
function stacked(parts: readonly Parameter[]): Parameter {
  const shape = [parts.reduce((sum, part) => sum + part.shape[0]!, 0), ...parts[0]!.shape.slice(1)]
  return {
    shape,
    dtype: 'f32',
    identity: `stacked: ${parts.map(({ identity }) => identity).join(' ')}`,
    async read(): Promise<HostArray> {
      const data = new Float32Array(sizeOf(shape))
      let at = 0
      for (const part of parts) {
        const values = await part.read()
        data.set(values, at)
        at += values.length
      }
      return data
    },
  }
}

/**
 * Moves every `updateSlice` to the earliest place where all that reads its target's old contents is done: written there, a
 * cache needs no copy, and the new rows need not be kept for long. All else keeps its order.
 *
 * @param isLazy whether a node's operands are read only when its result is
 */
export function placeUpdates(graph: Graph, isLazy: (node: Node) => boolean): Graph {
  const producer = new Map<Tensor, Node>()
  const readers = new Map<Tensor, Set<Node>>()
  for (const node of graph.nodes) {
    for (const output of node.outputs) producer.set(output, node)
    for (const input of node.inputs) readers.set(input, (readers.get(input) ?? new Set()).add(node))
  }
  /** All that reads a value; what reads it lazily does so when its own result is read. */
  const readersOf = (value: Tensor, found: Set<Node> = new Set()): Set<Node> => {
    for (const reader of readers.get(value) ?? []) {
      if (found.has(reader)) continue
      found.add(reader)
      if (isLazy(reader)) for (const output of reader.outputs) readersOf(output, found)
    }
    return found
  }
  const isUpdate = ({ op }: Node): boolean => op === 'updateSlice'
  if (!graph.nodes.some(isUpdate)) return graph
  const done = new Set<Node>()
  const isFree = (node: Node): boolean =>
    node.inputs.every((input) => !producer.has(input) || done.has(producer.get(input)!))
  const oldIsRead = (update: Node): boolean =>
    [...readersOf(update.inputs[0]!)].every((reader) => reader === update || done.has(reader))
  const left = new Set(graph.nodes)
  while (left.size > 0) {
    const nodes = [...left]
    const next =
      nodes.find((node) => isUpdate(node) && isFree(node) && oldIsRead(node)) ??
      nodes.find((node) => !isUpdate(node) && isFree(node)) ??
      // A reader of the old contents depends on the update: they will be copied.
      nodes[0]!
    left.delete(next)
    done.add(next)
  }
  return { ...graph, nodes: [...done] }
}
