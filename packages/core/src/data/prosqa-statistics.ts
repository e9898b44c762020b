/**
 * The statistics by which ProsQA-like data are told apart: size, depth, branching, and how the two families mix.
 *
 * They are the acceptance table of the generator; a file that differs here measures something else.
 */

import { childrenOf, distancesFrom, parentsOf, UNREACHABLE } from './graph.ts'
import type { ProsqaItem } from './prosqa.ts'

export interface ProsqaStatistics {
  readonly items: number
  /** Means per item. */
  readonly nodes: number
  readonly edges: number
  readonly hops: number
  readonly persons: number
  readonly rootOutDegree: number
  /** Leaves that the root reaches and the other family does not. */
  readonly rootLeaves: number
  /** Different shortest paths from the root to the target. */
  readonly shortestPaths: number
  /** Hops to share of the items. */
  readonly hopShares: ReadonlyMap<number, number>
  /** In-degree to share, over all nodes but the two families. */
  readonly inDegreeShares: ReadonlyMap<number, number>
  /** Shares, over all nodes but the two families, by the families that reach them. */
  readonly reach: { readonly root: number; readonly other: number; readonly both: number; readonly none: number }
}

/**
 * @param items in creation order: nodes 0 and 1 are the families
 */
export function prosqaStatistics(items: readonly ProsqaItem[]): ProsqaStatistics {
  const sums = { nodes: 0, edges: 0, hops: 0, persons: 0, rootOutDegree: 0, rootLeaves: 0, shortestPaths: 0 }
  const hopCounts = new Map<number, number>()
  const inDegrees = new Map<number, number>()
  const reach = { root: 0, other: 0, both: 0, none: 0 }
  for (const item of items) {
    const nodes = item.idx_to_symbol.length
    const children = childrenOf(nodes, item.edges)
    const parents = parentsOf(nodes, item.edges)
    const fromRoot = distancesFrom([item.root], children)
    const fromOther = distancesFrom([1 - item.root], children)
    const hops = fromRoot[item.target] ?? UNREACHABLE
    sums.nodes += nodes
    sums.edges += item.edges.length
    sums.hops += hops
    sums.rootOutDegree += children[item.root]?.length ?? 0
    sums.shortestPaths += countShortestPaths(parents, fromRoot, item.target)
    increase(hopCounts, hops)
    for (let node = 0; node < nodes; node++) {
      const inDegree = parents[node]?.length ?? 0
      if (inDegree === 0) sums.persons++
      if (node < 2) continue
      increase(inDegrees, inDegree)
      const own = fromRoot[node] !== UNREACHABLE
      const foreign = fromOther[node] !== UNREACHABLE
      reach[own ? (foreign ? 'both' : 'root') : foreign ? 'other' : 'none']++
      if (own && !foreign && children[node]?.length === 0) sums.rootLeaves++
    }
  }
  const n = items.length
  const inner = sums.nodes - 2 * n
  return {
    items: n,
    nodes: sums.nodes / n,
    edges: sums.edges / n,
    hops: sums.hops / n,
    persons: sums.persons / n,
    rootOutDegree: sums.rootOutDegree / n,
    rootLeaves: sums.rootLeaves / n,
    shortestPaths: sums.shortestPaths / n,
    hopShares: shares(hopCounts, n),
    inDegreeShares: shares(inDegrees, inner),
    reach: { root: reach.root / inner, other: reach.other / inner, both: reach.both / inner, none: reach.none / inner },
  }
}

function countShortestPaths(
  parents: readonly (readonly number[])[],
  distances: readonly number[],
  node: number,
): number {
  const distance = distances[node] ?? UNREACHABLE
  if (distance <= 0) return distance === 0 ? 1 : 0
  return (parents[node] ?? [])
    .filter((parent) => distances[parent] === distance - 1)
    .reduce((sum, parent) => sum + countShortestPaths(parents, distances, parent), 0)
}

function increase(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function shares(counts: ReadonlyMap<number, number>, total: number): Map<number, number> {
  return new Map([...counts].sort(([a], [b]) => a - b).map(([key, count]) => [key, count / total]))
}
