/**
 * The sum of what flows back into one value from its several uses, without writing more than it must.
 *
 * Parts of an axis that were used separately come back as padded pieces: side by side they are one concatenation. Outer
 * products, as keys and values receive from every latent step that reads them, are one product of joined operands:
 * Σ AᵢᵀBᵢ = [A₁; A₂; …]ᵀ[B₁; B₂; …]. The rest is added up.
 */

import * as F from '../tensor/functional.ts'
import type { Node, Tensor } from '../tensor/graph.ts'
import { builder } from '../tensor/trace.ts'
import { sizeOf } from '../tensor/types.ts'

/** @param values one shape each, at least one */
export function sumOf(values: readonly Tensor[]): Tensor {
  if (values.length === 1) return values[0]!
  const nodes = values.map(producerOf)
  return tiled(nodes) ?? [...productsJoined(values, nodes)].reduce((sum, value) => F.add(sum, value))
}

function producerOf(value: Tensor): Node | undefined {
  const { nodes } = builder()
  for (let i = nodes.length - 1; i >= 0; i--) if (nodes[i]!.outputs[0] === value) return nodes[i]
  return undefined
}

/** The concatenation, if every value is a piece of one axis between zeros, and the pieces fill it. */
function tiled(nodes: readonly (Node | undefined)[]): Tensor | undefined {
  const pads = nodes.flatMap((node) => (node?.op === 'pad' ? [node as Node<'pad'>] : []))
  const padded = (node: Node<'pad'>): number[] =>
    node.attributes.before.flatMap((before, i) => (before + node.attributes.after[i]! > 0 ? [i] : []))
  const [axis, ...others] = new Set(pads.flatMap(padded))
  if (pads.length < nodes.length || axis === undefined || others.length > 0) return undefined
  const startOf = ({ attributes }: Node<'pad'>): number => attributes.before[axis]!
  const ordered = [...pads].sort((a, b) => startOf(a) - startOf(b))
  let end = 0
  for (const node of ordered) {
    if (startOf(node) !== end || node.attributes.value !== 0) return undefined
    end += node.inputs[0]!.shape[axis]!
  }
  const complete = end === ordered[0]!.outputs[0]!.shape[axis]
  return complete
    ? F.concat(
        ordered.map(({ inputs }) => inputs[0]!),
        axis,
      )
    : undefined
}

/** The values, with outer products that are smaller before than after they are multiplied joined into one. */
function* productsJoined(values: readonly Tensor[], nodes: readonly (Node | undefined)[]): Generator<Tensor> {
  const products = nodes.filter((node): node is Node<'matmul'> => node !== undefined && isOuterProduct(node))
  const joined = products.length > 1 ? new Set<Node | undefined>(products) : new Set()
  for (const [i, value] of values.entries()) if (!joined.has(nodes[i])) yield value
  if (joined.size === 0) return
  const [left, right] = [0, 1].map((operand) => {
    const parts = products.map(({ inputs }) => inputs[operand]!)
    return F.concat(parts, parts[0]!.shape.length - 2)
  }) as [Tensor, Tensor]
  yield F.matmul(left, right, { transposeA: true })
}

function isOuterProduct(node: Node): boolean {
  if (node.op !== 'matmul') return false
  const { inputs, outputs, attributes } = node as Node<'matmul'>
  const [a, b] = inputs as [Tensor, Tensor]
  const sameBatch = `${a.shape.slice(0, -2)}` === `${b.shape.slice(0, -2)}`
  const grows = sizeOf(a.shape) + sizeOf(b.shape) < sizeOf(outputs[0]!.shape)
  return attributes.transposeA && !attributes.transposeB && sameBatch && grows
}
