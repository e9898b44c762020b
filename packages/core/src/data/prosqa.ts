/**
 * ProsQA items: their shape, a check of untrusted JSON, and the exact invariants of the published files.
 *
 * ProsQA (Coconut, arXiv 2412.06769) hides a directed acyclic graph in sentences: one fact per edge, two options of
 * which exactly one can be reached from the person asked about. Reading a file only checks what the code relies on
 * (`parseProsqaItems`); `prosqaViolations` checks what makes an item a ProsQA item.
 */

import { isJsonObject } from '../io/json.ts'
import { badField, textField, textListField } from './fields.ts'
import { childrenOf, distancesFrom, type Edge, parentsOf, UNREACHABLE } from './graph.ts'
import { parseProsqaQuestion } from './question.ts'

/** One item as its file holds it; nodes are indices into `idx_to_symbol`. */
export interface ProsqaItem {
  readonly question: string
  readonly answer: string
  /** The facts along one shortest path from the root to the target. */
  readonly steps: readonly string[]
  readonly idx_to_symbol: readonly string[]
  readonly edges: readonly Edge[]
  /** The person asked about. */
  readonly root: number
  /** The option that holds, and the one that does not. */
  readonly target: number
  readonly neg_target: number
  /** Hop ("0", "1", …) to the nodes at that hop on some shortest path; only in the symbolic files. */
  readonly neighbor_k?: Readonly<Record<string, readonly number[]>>
}

/** Far above any ProsQA graph (the largest published one has 28 nodes); keeps the walks over a hostile file short. */
const MOST_NODES = 1000

/**
 * Checks a parsed ProsQA file: a list of items whose fields have their types and whose indices are inside.
 *
 * @param where names the file in errors
 * @throws FormatError naming the item's index and the field
 */
export function parseProsqaItems(json: unknown, where = 'ProsQA data'): ProsqaItem[] {
  if (!Array.isArray(json) || json.length === 0)
    throw badField(where, 'a JSON list with at least one ProsQA item', json)
  return json.map((value, i) => parseProsqaItem(value, `${where}, item ${i}`))
}

/** One item of `parseProsqaItems`. */
export function parseProsqaItem(value: unknown, where = 'ProsQA item'): ProsqaItem {
  if (!isJsonObject(value)) throw badField(where, 'an object', value)
  const names = textListField(value, 'idx_to_symbol', where)
  if (names.length > MOST_NODES) throw badField(`${where}, idx_to_symbol`, `at most ${MOST_NODES} names`, names)
  const node = (field: string): number => nodeIndex(value[field], names.length, `${where}, ${field}`)
  const item: ProsqaItem = {
    question: textField(value, 'question', where),
    answer: textField(value, 'answer', where),
    steps: textListField(value, 'steps', where),
    idx_to_symbol: names,
    edges: edgesOf(value.edges, names.length, `${where}, edges`),
    root: node('root'),
    target: node('target'),
    neg_target: node('neg_target'),
  }
  if (value.neighbor_k === undefined) return item
  return { ...item, neighbor_k: levelsOf(value.neighbor_k, names.length, `${where}, neighbor_k`) }
}

function edgesOf(value: unknown, nodes: number, where: string): Edge[] {
  if (!Array.isArray(value)) throw badField(where, 'a list of pairs of node indices', value)
  return value.map((pair: unknown, i): Edge => {
    const at = `${where}[${i}]`
    if (!Array.isArray(pair) || pair.length !== 2) throw badField(at, 'two node indices', pair)
    return [nodeIndex(pair[0], nodes, at), nodeIndex(pair[1], nodes, at)]
  })
}

function levelsOf(value: unknown, nodes: number, where: string): Record<string, number[]> {
  if (!isJsonObject(value)) throw badField(where, 'a map of hops to lists of node indices', value)
  const levels: Record<string, number[]> = {}
  for (const [hop, list] of Object.entries(value)) {
    if (!/^\d{1,3}$/.test(hop)) throw badField(where, 'hop numbers as keys', hop)
    if (!Array.isArray(list)) throw badField(`${where}, hop ${hop}`, 'a list of node indices', list)
    levels[hop] = list.map((node) => nodeIndex(node, nodes, `${where}, hop ${hop}`))
  }
  return levels
}

function nodeIndex(value: unknown, nodes: number, where: string): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= nodes) {
    throw badField(where, `a node index below ${nodes}`, value)
  }
  return value as number
}

/** The sentence for an edge: persons stand alone, concepts after "Every"; always "a", also before vowels. */
export function factText(source: string, target: string, isPerson: boolean): string {
  return `${isPerson ? '' : 'Every '}${source} is a ${target}.`
}

/** A question from its parts. */
export function questionText(facts: readonly string[], person: string, options: readonly [string, string]): string {
  return `${facts.join(' ')} Is ${person} a ${options[0]} or ${options[1]}?`
}

/** Groups of invariants. Root-swapped files keep all but `hops` and `depth`; a random relabelling breaks `order`. */
export type ProsqaRule = 'order' | 'names' | 'text' | 'target' | 'steps' | 'hops' | 'depth'

export interface ProsqaViolation {
  readonly rule: ProsqaRule
  readonly message: string
}

/**
 * What an item breaks of the invariants that hold for all 800 published items; empty for a faithful item.
 *
 * * `order`: nodes 0 and 1 are the two families, the root is one of them, sources precede targets, edges are sorted by
 *   target, none twice, no node without edge;
 * * `names`: distinct, and persons (a capital letter) are exactly the nodes without parent;
 * * `text`: question and answer say what the graph says;
 * * `target`: a leaf reached from the root's family only, the other option from the other family only;
 * * `steps`: the facts along a shortest path; `hops`: three to six of them;
 * * `depth`: the target is the deepest such leaf of its root, and no such leaf of the other family is deeper. These
 *   two are why a rule that never reads the question scores 91 % (see `graphRules`).
 */
export function prosqaViolations(item: ProsqaItem): ProsqaViolation[] {
  const found: ProsqaViolation[] = []
  const expect = (rule: ProsqaRule, holds: boolean, message: string): void => {
    if (!holds) found.push({ rule, message })
  }
  const { idx_to_symbol: names, edges, root, target, neg_target: negative } = item
  const nodes = names.length
  const children = childrenOf(nodes, edges)
  const parents = parentsOf(nodes, edges)

  expect('order', root <= 1 && nodes >= 2, `the root is node ${root}, not one of the families 0 and 1`)
  expect(
    'order',
    edges.every(([from, to]) => from < to),
    'an edge does not lead from a smaller to a larger index',
  )
  expect(
    'order',
    edges.every(([, to], i) => i === 0 || to >= (edges[i - 1] as Edge)[1]),
    'edges are not sorted by target',
  )
  expect('order', new Set(edges.map(String)).size === edges.length, 'an edge stands twice')
  expect(
    'order',
    names.every((_, v) => children[v]?.length || parents[v]?.length),
    'a node has no edge',
  )

  expect('names', new Set(names).size === nodes, 'two nodes share a name')
  expect(
    'names',
    names.every((name, v) => /^[A-Z]/.test(name) === (parents[v]?.length === 0)),
    'persons are not exactly the nodes without parent',
  )

  const distances = [0, 1].map((family) => distancesFrom([family], children))
  const fromRoot = distancesFrom([root], children)
  textViolations(item, parents, expect)
  if (root <= 1) leafViolations(root, target, negative, children, distances, expect)

  const hops = fromRoot[target] ?? UNREACHABLE
  expect('steps', item.steps.length === hops, `${item.steps.length} steps for a distance of ${hops}`)
  expect('steps', isPath(item, parents), 'the steps are not the facts along a path from the root to the target')
  expect('hops', hops >= 3 && hops <= 6, `${hops} hops`)
  return found
}

type Expect = (rule: ProsqaRule, holds: boolean, message: string) => void

function textViolations(item: ProsqaItem, parents: readonly (readonly number[])[], expect: Expect): void {
  const { idx_to_symbol: names, edges, root, target, neg_target: negative } = item
  const facts = edges.map(([from, to]) => factText(names[from] ?? '', names[to] ?? '', parents[from]?.length === 0))
  const person = names[root] ?? ''
  const options = [names[target] ?? '', names[negative] ?? '']
  expect('text', item.answer === `${person} is a ${options[0]}.`, `the answer is "${item.answer}"`)
  try {
    const parsed = parseProsqaQuestion(item.question)
    const stated = parsed.facts.map((fact) => factText(fact.subject, fact.class, !fact.every))
    expect('text', sameMembers(stated, facts), 'the facts of the text are not the edges')
    expect('text', parsed.person === person && sameMembers(parsed.options, options), 'the question asks something else')
  } catch (error) {
    expect('text', false, (error as Error).message)
  }
}

function leafViolations(
  root: number,
  target: number,
  negative: number,
  children: readonly (readonly number[])[],
  distances: readonly (readonly number[])[],
  expect: Expect,
): void {
  const exclusiveDepth = (family: number, node: number): number =>
    children[node]?.length === 0 && distances[1 - family]?.[node] === UNREACHABLE
      ? (distances[family]?.[node] ?? UNREACHABLE)
      : UNREACHABLE
  const deepest = (family: number): number => Math.max(...children.map((_, node) => exclusiveDepth(family, node)))
  expect('target', exclusiveDepth(root, target) > 0, 'the target is not a leaf of the root alone')
  expect('target', exclusiveDepth(1 - root, negative) > 0, 'the other option is not a leaf of the other family alone')
  expect('depth', exclusiveDepth(root, target) === deepest(root), 'the root has a deeper leaf of its own')
  expect('depth', deepest(root) >= deepest(1 - root), 'the other family has a deeper leaf')
}

function isPath(item: ProsqaItem, parents: readonly (readonly number[])[]): boolean {
  const { idx_to_symbol: names, edges } = item
  const edgeOf = new Map(
    edges.map((edge) => [factText(names[edge[0]] ?? '', names[edge[1]] ?? '', parents[edge[0]]?.length === 0), edge]),
  )
  let at = item.root
  for (const step of item.steps) {
    const edge = edgeOf.get(step)
    if (edge?.[0] !== at) return false
    at = edge[1]
  }
  return at === item.target
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && [...a].sort().join('\n') === [...b].sort().join('\n')
}
