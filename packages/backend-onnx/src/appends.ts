/**
 * Cache appends without a copy.
 *
 * A cache of fixed capacity grows by `updateSlice` into a graph input whose storage the result takes over. ONNX has no
 * such thing: computed as written, every step would copy the whole cache. But ONNX Runtime reads inputs on the CPU where
 * they lie, so the update alone becomes an output, and its rows are written into the input's own memory after the run.
 */

import type { Graph, Node, Output, Tensor } from '@afterthought/core'
import { sizeOf } from '@afterthought/core'

/** Where a start position comes from: fixed, an input, or a hidden output. */
export type Start = { readonly constant: number } | { readonly input: string } | { readonly output: string }

export interface Append {
  /** Hidden output with the new rows. */
  readonly update: string
  readonly start: Start
  readonly axis: number
}

/** An output that is an input with rows written into it, in order. */
export interface AppendedOutput {
  readonly name: string
  readonly alias: string
  readonly appends: readonly Append[]
}

export interface AppendPlan {
  /** The graph that ONNX Runtime computes. */
  readonly graph: Graph
  readonly appended: readonly AppendedOutput[]
}

/**
 * Splits off every aliased output that is nothing but its input with updates written into it, or the input as it was.
 *
 * @param hostMemory whether the engine can write into inputs; if not, only unchanged ones are split off
 */
export function planAppends(graph: Graph, hostMemory: boolean): AppendPlan {
  const appended: AppendedOutput[] = []
  const removed = new Set<Node>()
  const hidden = new Map<Tensor, string>()
  const hide = (tensor: Tensor): string => {
    const name = hidden.get(tensor) ?? `append.${hidden.size}`
    hidden.set(tensor, name)
    return name
  }
  const outputs: Output[] = []
  for (const output of graph.outputs) {
    const chain = appendChain(graph, output)
    const writes = chain?.filter(({ inputs: [, update] }) => sizeOf(update!.shape) > 0)
    if (!chain || !writes || (writes.length > 0 && !hostMemory)) {
      outputs.push(output)
      continue
    }
    for (const node of chain) removed.add(node)
    const appends = writes.map(({ inputs: [, update, start], attributes: { axis } }) => ({
      update: hide(update!),
      start: startOf(graph, start!, hide),
      axis,
    }))
    appended.push({ name: output.name, alias: output.alias!, appends })
  }
  for (const [value, name] of hidden) outputs.push({ name, value })
  const nodes = graph.nodes.filter((node) => !removed.has(node))
  return { graph: { ...graph, nodes, outputs }, appended }
}

function startOf(graph: Graph, start: Tensor, hide: (tensor: Tensor) => string): Start {
  const constant = graph.constants.find(({ value }) => value === start)
  if (constant) return { constant: constant.data[0]! }
  const input = graph.inputs.find(({ value }) => value === start)
  return input ? { input: input.name } : { output: hide(start) }
}

/** The updates from the aliased input to `output`, first to last, if nothing else reads the results between. */
function appendChain(graph: Graph, output: Output): Node<'updateSlice'>[] | undefined {
  if (output.alias === undefined) return undefined
  const source = graph.inputs.find(({ name }) => name === output.alias)!.value
  const chain: Node<'updateSlice'>[] = []
  for (let value = output.value; value !== source; ) {
    const node = graph.nodes.find(({ outputs }) => outputs.includes(value))
    if (node?.op !== 'updateSlice' || countUses(graph, value) !== 1) return undefined
    chain.unshift(node as Node<'updateSlice'>)
    value = node.inputs[0]!
  }
  return chain
}

function countUses(graph: Graph, value: Tensor): number {
  let uses = graph.outputs.filter((output) => output.value === value).length
  for (const { inputs } of graph.nodes) uses += inputs.filter((input) => input === value).length
  return uses
}

/** `count` runs of `run` elements, `toStep` apart in the target; a row is `row` elements. */
export interface Stride {
  readonly count: number
  readonly run: number
  readonly toStep: number
  readonly row: number
}

/** How the rows of an update lie in a target of `shape`: `count` runs of `run` elements, `toStep` apart. */
export function strideOf(shape: readonly number[], rows: number, axis: number): Stride {
  const row = shape.slice(axis + 1).reduce((product, extent) => product * extent, 1)
  const count = shape.slice(0, axis).reduce((product, extent) => product * extent, 1)
  return { count, row, run: rows * row, toStep: shape[axis]! * row }
}
