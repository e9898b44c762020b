/**
 * Endless symbolic ProsQA for training: a fresh graph, fresh symbols and a fresh order of facts for every sample, in three
 * sizes. Both options are drawn by one rule, one from each family, and the person at random, so that no rule that ignores
 * the person can win (specs: the depth shortcut).
 */

import {
  childrenOf,
  distancesFrom,
  type Edge,
  encodeProsqa,
  type GraphParameters,
  growGraph,
  type ProsqaItem,
  prosqaTokens,
  type Random,
  realGraphs,
  SYMBOL_COUNT,
  shortestPathLevels,
  UNREACHABLE,
  walkSets,
} from '@afterthought/core/data'

const little = (least: number, most: number): GraphParameters => ({
  nodes: { mean: (least + most) / 2, deviation: (most - least) / 3, least, most },
  parents: 1,
  orphan: 0,
  branch: 0.46,
  personWeight: 1,
  slope: 0,
})

/** Tiny graphs are where looking up neighbours is learned at all; real ones are like the published items. */
export type GraphSize = 'tiny' | 'small' | 'real'
const graphSizes: Readonly<Record<GraphSize, GraphParameters>> = {
  tiny: little(5, 8),
  small: little(8, 14),
  real: realGraphs,
}

/** What the thoughts are taught to spread over, thought t of a question with this root and target. */
export type Supervision = 'walk' | 'frontier' | 'optimalPath' | 'none'

/** Thoughts that are supervised at most, and hops that are asked for. */
export const MOST_HOPS = 6
/** Tokens of the longest chain with its answer: facts, `[A]`, the answer. */
export const CHAIN_TOKENS: number = MOST_HOPS + 2
const LEAST_HOPS = 2
const DEEP = 3
const SHARE_OF_DEEP = 0.8

/** A question in symbols. Nodes are numbers of its graph, `symbols` their tokens. */
export interface Puzzle {
  readonly promptIds: readonly number[]
  readonly symbols: readonly number[]
  readonly edges: readonly Edge[]
  readonly children: readonly (readonly number[])[]
  readonly root: number
  readonly target: number
  /** Facts from root to target. */
  readonly hops: number
}

export function drawPuzzle(random: Random, size: GraphSize): Puzzle {
  for (;;) {
    const { labels, edges } = growGraph(random, graphSizes[size])
    const children = childrenOf(labels.length, edges)
    const distances = [0, 1].map((root) => distancesFrom([root], children))
    const own = [0, 1].map((family) => {
      const hops = distances[family]!
      const exclusive = (node: number): boolean => distances[1 - family]![node] === UNREACHABLE
      return hops.flatMap((hop, node) => (hop >= LEAST_HOPS && hop <= MOST_HOPS && exclusive(node) ? [node] : []))
    })
    if (own.some((nodes) => nodes.length === 0) || labels.length > SYMBOL_COUNT) continue
    const wanted = random.uniform() < SHARE_OF_DEEP ? DEEP : LEAST_HOPS
    const picked = own.map((nodes, family) => {
      const deep = nodes.filter((node) => distances[family]![node]! >= wanted)
      return random.choice(deep.length > 0 ? deep : nodes)
    })
    const root = random.integer(2)
    const symbols = random.shuffle(Array.from({ length: SYMBOL_COUNT }, (_, i) => i)).slice(0, labels.length)
    const facts = random.shuffle(edges).map((edge) => edge.map((node) => symbols[node]!))
    const options = random.shuffle(picked.map((node) => symbols[node]!))
    const { eos, separator, question, root: asks } = prosqaTokens
    const listed = facts.flatMap((fact, i) => (i === 0 ? fact : [separator, ...fact]))
    const target = picked[root]!
    return {
      promptIds: [eos, ...listed, question, ...options, asks, symbols[root]!],
      symbols,
      edges,
      children,
      root,
      target,
      hops: distances[root]![target]!,
    }
  }
}

/** A ProsQA item as a puzzle, for validation. @throws ArgumentError if its question is not ProsQA's language */
export function puzzleOf({ question, idx_to_symbol: names, target }: ProsqaItem): Puzzle {
  const { promptIds, symbols, edges, personId: root } = encodeProsqa(question)
  const children = childrenOf(symbols.length, edges)
  const answer = symbols.indexOf(names[target]!)
  const hops = distancesFrom([root], children)[answer]!
  return { promptIds, symbols: symbols.map((_, id) => id), edges, children, root, target: answer, hops }
}

/** For thought 1, 2, … `MOST_HOPS`, the nodes it should be read as. */
export function supervisedLevels(puzzle: Puzzle, supervision: Supervision): (readonly number[])[] {
  const { children, edges, root, target } = puzzle
  switch (supervision) {
    case 'walk':
      return walkSets(root, children, MOST_HOPS).slice(1)
    case 'frontier': {
      const distances = distancesFrom([root], children)
      const at = (hop: number): number[] => distances.flatMap((distance, node) => (distance === hop ? [node] : []))
      return Array.from({ length: MOST_HOPS }, (_, i) => at(i + 1))
    }
    case 'optimalPath':
      return shortestPathLevels(children.length, edges, root, target).slice(1)
    default:
      return []
  }
}

/** A random shortest path from root to target, the root left out. */
export function shortestPath(random: Random, puzzle: Puzzle): number[] {
  const path = [puzzle.target]
  for (const level of shortestPathLevels(puzzle.children.length, puzzle.edges, puzzle.root, puzzle.target)
    .slice(1, -1)
    .reverse()) {
    path.unshift(random.choice(level.filter((node) => puzzle.children[node]!.includes(path[0]!))))
  }
  return path
}
