/**
 * Rules that answer without reasoning: the yardsticks below which no accuracy means anything.
 *
 * In the published ProsQA files the right option almost always lies deeper, so a rule that never looks at whom the
 * question asks about scores 91 % on the test file. On the paired set every such rule gets exactly half.
 */

import type { QuestionRecord } from '../data/formats.ts'
import { childrenOf, distancesFrom, parentsOf, UNREACHABLE } from '../data/graph.ts'
import type { ProsqaItem } from '../data/prosqa.ts'

/** Prefers one of the two options of a ProsQA item by a score. */
export interface GraphRule {
  readonly name: string
  /** Whether the rule reads the person asked about; those that do not are the shortcuts. */
  readonly readsPerson: boolean
  /** For an item, the score of a node; the option with the larger score is the answer, equal scores count half. */
  readonly score: (item: ProsqaItem) => (node: number) => number
}

/** The rule table, from the strongest shortcut down, then three that search backwards from the options. */
export const graphRules: readonly GraphRule[] = [
  {
    name: 'larger distance from any person',
    readsPerson: false,
    score(item) {
      const parents = parentsOf(item.idx_to_symbol.length, item.edges)
      const people = parents.flatMap((list, node) => (list.length === 0 ? [node] : []))
      const distances = distancesFrom(people, childrenOf(parents.length, item.edges))
      return (node) => distances[node] ?? UNREACHABLE
    },
  },
  {
    name: 'more ancestors',
    readsPerson: false,
    score(item) {
      const parents = parentsOf(item.idx_to_symbol.length, item.edges)
      return (node) => distancesFrom([node], parents).filter((distance) => distance > 0).length
    },
  },
  {
    name: 'larger longest-path depth',
    readsPerson: false,
    score(item) {
      const parents = parentsOf(item.idx_to_symbol.length, item.edges)
      const depths = new Map<number, number>()
      const depth = (node: number): number => {
        const known = depths.get(node)
        if (known !== undefined) return known
        depths.set(node, 0) // ends the walk should a file hold a cycle
        const found = (parents[node] ?? []).reduce((most, parent) => Math.max(most, 1 + depth(parent)), 0)
        depths.set(node, found)
        return found
      }
      return depth
    },
  },
  {
    name: 'smaller in-degree',
    readsPerson: false,
    score(item) {
      const parents = parentsOf(item.idx_to_symbol.length, item.edges)
      return (node) => -(parents[node]?.length ?? 0)
    },
  },
  { name: 'larger node index', readsPerson: false, score: () => (node) => node },
  {
    name: 'earlier last mention in the text',
    readsPerson: false,
    score(item) {
      const words = item.question.slice(0, item.question.lastIndexOf('.')).split(/[ .]+/)
      return (node) => -words.lastIndexOf(item.idx_to_symbol[node] ?? '')
    },
  },
  backwards(3),
  backwards(4),
  backwards(5),
]

/** Prefers the option from which the person is found within so many steps against the edges. */
function backwards(steps: number): GraphRule {
  return {
    name: `person within ${steps} backward steps`,
    readsPerson: true,
    score(item) {
      const distances = distancesFrom([item.root], childrenOf(item.idx_to_symbol.length, item.edges))
      return (node) => {
        const distance = distances[node] ?? UNREACHABLE
        return distance !== UNREACHABLE && distance <= steps ? 1 : 0
      }
    },
  }
}

export interface RuleAccuracy {
  readonly name: string
  readonly readsPerson: boolean
  /** Ties count half. */
  readonly accuracy: number
  readonly ties: number
  readonly n: number
}

/** Accuracy of a rule on ProsQA items. */
export function ruleAccuracy(rule: GraphRule, items: readonly ProsqaItem[]): RuleAccuracy {
  let right = 0
  let ties = 0
  for (const item of items) {
    const score = rule.score(item)
    const lead = score(item.target) - score(item.neg_target)
    if (lead > 0) right++
    if (lead === 0) ties++
  }
  return {
    name: rule.name,
    readsPerson: rule.readsPerson,
    accuracy: (right + ties / 2) / items.length,
    ties,
    n: items.length,
  }
}

/** Every rule of the table on the same items. */
export function ruleTable(items: readonly ProsqaItem[]): RuleAccuracy[] {
  return graphRules.map((rule) => ruleAccuracy(rule, items))
}

export interface Baseline {
  readonly name: string
  readonly accuracy: number
}

/** The answer given most often, and how often: what a constant scores. */
export function constantBaseline(
  records: readonly Pick<QuestionRecord, 'answer'>[],
): Baseline & { readonly answer: string; readonly correct: number } {
  const counts = new Map<string, number>()
  for (const { answer } of records) counts.set(answer, (counts.get(answer) ?? 0) + 1)
  const [answer = '', correct = 0] = [...counts].reduce<readonly [string, number]>(
    (best, entry) => (entry[1] > best[1] ? entry : best),
    ['', 0],
  )
  return { name: `always "${answer}"`, answer, correct, accuracy: records.length === 0 ? 0 : correct / records.length }
}

/**
 * The best rule that ignores the question: for ProsQA of the graph rules that do not read the person, each also in
 * reverse (on root-swapped files the shortcut is wrong as often as it is right elsewhere), else the most common answer.
 * State every result as a distance from it.
 */
export function blindBaseline(records: readonly QuestionRecord[]): Baseline {
  const items = records.flatMap((record) => (record.prosqa === undefined ? [] : [record.prosqa]))
  if (items.length === 0 || items.length < records.length) {
    const { name, accuracy } = constantBaseline(records)
    return { name, accuracy }
  }
  const blind = graphRules
    .filter((rule) => !rule.readsPerson)
    .map((rule) => ruleAccuracy(rule, items))
    .flatMap(({ name, accuracy }) => [
      { name, accuracy },
      { name: `${name}, reversed`, accuracy: 1 - accuracy },
    ])
  return blind.reduce((best, rule) => (rule.accuracy > best.accuracy ? rule : best))
}
