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
/** Tokens that a model may write: a chain that went astray may still find its end. */
export const WRITTEN_TOKENS: number = 2 * CHAIN_TOKENS
const LEAST_HOPS = 2
const DEEP = 3
const SHARE_OF_DEEP = 0.8

/** Facts in symbols with questions about them. Nodes are numbers of the graph, `symbols` their tokens. */
export interface Puzzle {
  /** Start token and facts. */
  readonly factIds: readonly number[]
  readonly symbols: readonly number[]
  readonly edges: readonly Edge[]
  readonly children: readonly (readonly number[])[]
  readonly questions: readonly Question[]
}

export interface Question {
  /** `[Q] a b [R] root` */
  readonly askIds: readonly number[]
  readonly root: number
  readonly target: number
  /** The wrong option. */
  readonly other: number
  /** Facts from root to target. */
  readonly hops: number
  /** Decides after how many thoughts the answer is asked early while training: 0 … `DRAWS` − 1. */
  readonly draw: number
}

/** A number of draws that one to six numbers of thoughts can share alike. */
export const DRAWS = 60

/** Tokens of a question without its facts. */
export const ASK_TOKENS = 5
/** Pairs of nodes that are tried as roots of a further question before it is asked of the persons again. */
const PAIR_ATTEMPTS = 4

/** A graph with `count` questions: two of its persons, who see farthest, the others of any two nodes of different reach. */
export function drawPuzzle(random: Random, size: GraphSize, count = 1): Puzzle {
  for (;;) {
    const { labels, edges } = growGraph(random, graphSizes[size])
    const children = childrenOf(labels.length, edges)
    const persons = pairOf(children, [0, 1])
    if (persons === undefined || labels.length > SYMBOL_COUNT) continue
    const symbols = random.shuffle(Array.from({ length: SYMBOL_COUNT }, (_, i) => i)).slice(0, labels.length)
    const facts = random.shuffle(edges).map((edge) => edge.map((node) => symbols[node]!))
    const { eos, separator } = prosqaTokens
    const listed = facts.flatMap((fact, i) => (i === 0 ? fact : [separator, ...fact]))
    const first = random.integer(2)
    const questions = Array.from({ length: count }, (_, i) =>
      i < 2
        ? questionOf(random, persons, (first + i) % 2, symbols)
        : questionOf(random, anyPair(random, children) ?? persons, random.integer(2), symbols),
    )
    return { factIds: [eos, ...listed], symbols, edges, children, questions }
  }
}

/** Two roots, and for each the nodes that it alone reaches, within the hops that are asked for. */
interface Pair {
  readonly roots: readonly [number, number]
  readonly distances: readonly (readonly number[])[]
  readonly own: readonly (readonly number[])[]
}

function pairOf(children: Puzzle['children'], roots: readonly [number, number]): Pair | undefined {
  const distances = roots.map((root) => distancesFrom([root], children))
  const own = distances.map((hops, side) => {
    const exclusive = (node: number): boolean => distances[1 - side]![node] === UNREACHABLE
    return hops.flatMap((hop, node) => (hop >= LEAST_HOPS && hop <= MOST_HOPS && exclusive(node) ? [node] : []))
  })
  return own.some((nodes) => nodes.length === 0) ? undefined : { roots, distances, own }
}

function anyPair(random: Random, children: Puzzle['children']): Pair | undefined {
  const inner = children.flatMap((list, node) => (list.length > 0 ? [node] : []))
  for (let attempt = 0; attempt < PAIR_ATTEMPTS; attempt++) {
    const pair = pairOf(children, [random.choice(inner), random.choice(inner)])
    if (pair !== undefined) return pair
  }
  return undefined
}

/** Both options are drawn by one rule, whichever root is asked. */
function questionOf(random: Random, pair: Pair, asked: number, symbols: readonly number[]): Question {
  const { roots, distances, own } = pair
  const wanted = random.uniform() < SHARE_OF_DEEP ? DEEP : LEAST_HOPS
  const picked = own.map((nodes, side) => {
    const deep = nodes.filter((node) => distances[side]![node]! >= wanted)
    return random.choice(deep.length > 0 ? deep : nodes)
  })
  const options = random.shuffle(picked.map((node) => symbols[node]!))
  const [root, target, other] = [roots[asked]!, picked[asked]!, picked[1 - asked]!]
  const { question, root: asks } = prosqaTokens
  const askIds = [question, ...options, asks, symbols[root]!]
  return { askIds, root, target, other, hops: distances[asked]![target]!, draw: random.integer(DRAWS) }
}

/** A ProsQA item as a puzzle, for validation. @throws ArgumentError if its question is not ProsQA's language */
export function puzzleOf({ question, idx_to_symbol: names, target, neg_target: negative }: ProsqaItem): Puzzle {
  const { promptIds, symbols, edges, personId: root } = encodeProsqa(question)
  const children = childrenOf(symbols.length, edges)
  const [answer, other] = [target, negative].map((index) => symbols.indexOf(names[index]!)) as [number, number]
  const hops = distancesFrom([root], children)[answer]!
  const asked = { askIds: promptIds.slice(-ASK_TOKENS), root, target: answer, other, hops, draw: 0 }
  const factIds = promptIds.slice(0, -ASK_TOKENS)
  return { factIds, symbols: symbols.map((_, id) => id), edges, children, questions: [asked] }
}

/** For thought 1, 2, … `MOST_HOPS`, the nodes it should be read as. */
export function supervisedLevels(
  { children, edges }: Puzzle,
  { root, target }: Question,
  supervision: Supervision,
): (readonly number[])[] {
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
export function shortestPath(random: Random, { children, edges }: Puzzle, { root, target }: Question): number[] {
  const path = [target]
  for (const level of shortestPathLevels(children.length, edges, root, target).slice(1, -1).reverse()) {
    path.unshift(random.choice(level.filter((node) => children[node]!.includes(path[0]!))))
  }
  return path
}
