/**
 * The few graph walks that ProsQA needs: neighbours, breadth-first distances, and sets of nodes by length of walk.
 *
 * A graph is a number of nodes and a list of directed edges; a fact "X is a Y" is the edge from X to Y.
 */

export type Edge = readonly [source: number, target: number]

/** Distance of nodes that no walk reaches. */
export const UNREACHABLE = -1

/** For each node, the targets of its edges, in the order of the edges. */
export function childrenOf(nodes: number, edges: readonly Edge[]): number[][] {
  const children: number[][] = Array.from({ length: nodes }, () => [])
  for (const [source, target] of edges) children[source]?.push(target)
  return children
}

/** For each node, the sources of the edges that end in it, in the order of the edges. */
export function parentsOf(nodes: number, edges: readonly Edge[]): number[][] {
  return childrenOf(
    nodes,
    edges.map(([source, target]): Edge => [target, source]),
  )
}

/**
 * Shortest distance of every node from the nearest of `starts` along `neighbours` (children: forwards, parents:
 * backwards); `UNREACHABLE` where there is no walk.
 */
export function distancesFrom(starts: readonly number[], neighbours: readonly (readonly number[])[]): number[] {
  const distances = new Array<number>(neighbours.length).fill(UNREACHABLE)
  for (const start of starts) distances[start] = 0
  const queue = [...starts]
  for (const node of queue) {
    for (const next of neighbours[node] ?? []) {
      if (distances[next] !== UNREACHABLE) continue
      distances[next] = (distances[node] as number) + 1
      queue.push(next) // the loop sees what is pushed: this is the queue of the search
    }
  }
  return distances
}

/** Nodes reached from `start` by a walk of exactly t edges, for t = 0 … steps, each ascending. */
export function walkSets(start: number, neighbours: readonly (readonly number[])[], steps: number): number[][] {
  const sets = [[start]]
  for (let t = 1; t <= steps; t++) {
    const reached = new Set((sets[t - 1] ?? []).flatMap((node) => neighbours[node] ?? []))
    sets.push([...reached].sort((a, b) => a - b))
  }
  return sets
}

/**
 * Nodes at each distance from `root` that lie on some shortest path to `target`; index 0 is [root], the last [target].
 * This is the `neighbor_k` of Reasoning by Superposition (arXiv 2505.12514). Empty if there is no path.
 */
export function shortestPathLevels(nodes: number, edges: readonly Edge[], root: number, target: number): number[][] {
  const distances = distancesFrom([root], childrenOf(nodes, edges))
  const length = distances[target] ?? UNREACHABLE
  if (length === UNREACHABLE) return []
  const parents = parentsOf(nodes, edges)
  const levels = [[target]]
  for (let distance = length - 1; distance >= 0; distance--) {
    const previous = new Set((levels[0] ?? []).flatMap((node) => parents[node] ?? []))
    levels.unshift([...previous].filter((node) => distances[node] === distance).sort((a, b) => a - b))
  }
  return levels
}
