/**
 * Tables of the evaluation report inside pages, from packages/bench/report/results.jsonl, where every line is what one
 * `afterthought eval` or `sweep` gave. Counts are written seed by seed, never as a mean alone. A line
 *
 *     @report test paired | main/plain main/zero pause/pause
 *
 * has a column per question set and a row per model and row of its evaluation;
 *
 *     @hops root-swap | main/plain good/plain
 *
 * one set by facts between person and answer;
 *
 *     @cost test | main good
 *
 * what a question costs, asked one at a time,
 *
 *     @refined test paired | main early
 *
 * every refinement at the strength that the validation file chose, as points against plain, and
 *
 *     @groups products | seed-0
 *
 * means over groups of nodes by distance from the person, thought by thought, from superposition.json.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'
import { isNamed, markdownTable } from './tables.ts'

interface Share {
  readonly correct: number
  readonly n: number
}

interface Row extends Share {
  readonly name: string
  readonly interval: readonly [number, number]
  readonly paired?: Share
  readonly latents: number
  readonly tokensPerQuestion: number
  readonly msPerQuestion: number
  readonly byHop?: Readonly<Record<string, Share>>
  readonly against?: {
    readonly difference: number
    readonly interval: readonly [number, number]
    readonly pAdjusted: number
  }
}

interface Line {
  readonly part: string
  readonly seed: string
  readonly model: string
  readonly set: string
  readonly way?: string
  readonly rows: readonly Row[]
}

const read = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../packages/bench/report/${name}`, import.meta.url)), 'utf8')
const lines = read('results.jsonl')
  .trim()
  .split('\n')
  .map((text) => JSON.parse(text) as Line)
const SEPARATOR = ' · '

export function report(md: MarkdownRenderer): void {
  const makers = { report: counts, hops, cost, refined, groups } as const
  md.core.ruler.before('normalize', 'report', (state) => {
    state.src = state.src.replace(
      /^@(report|hops|cost|refined|groups) (.+?) \| (.+)$/gm,
      (_, kind, left: string, right: string) =>
        makers[kind as keyof typeof makers](left.trim().split(' '), right.trim().split(' ')),
    )
  })
}

/** The rows of that name of a model on a set, one a seed. */
function rowsOf(set: string, wanted: string): Row[] {
  const [model, name] = wanted.split('/') as [string, string]
  const rows = lines
    .filter(
      (line) => (line.part === 'thoughts' || line.part === 'controls') && line.set === set && line.model === model,
    )
    .flatMap((line) => line.rows.filter((row) => isNamed(row, name)))
  if (rows.length === 0) throw new Error(`results.jsonl has no ${wanted} on ${set}`)
  return rows
}

const named = (wanted: string): string => {
  const [model, row] = wanted.split('/') as [string, string]
  return `**${model}**${row === 'plain' ? '' : `, ${row}`}`
}

function counts(sets: readonly string[], wanted: readonly string[]): string {
  const paired = (set: string): boolean => rowsOf(set, wanted[0]!)[0]!.paired !== undefined
  const header = sets.flatMap((set) => {
    const [{ n, paired: pairs }] = rowsOf(set, wanted[0]!) as [Row]
    return [`${set}, of ${n}`, ...(pairs ? [`both of a pair, of ${pairs.n}`] : ['95 %'])]
  })
  const body = wanted.map((row) => [
    named(row),
    ...sets.flatMap((set) => {
      const rows = rowsOf(set, row)
      const range = [Math.min(...rows.map(({ interval }) => interval[0])), Math.max(...rows.map((r) => r.interval[1]))]
      return [
        rows.map(({ correct }) => correct).join(SEPARATOR),
        paired(set)
          ? rows.map((r) => r.paired?.correct ?? '').join(SEPARATOR)
          : range.map((bound) => (100 * bound).toFixed(1)).join(' … '),
      ]
    }),
  ])
  return markdownTable(['', ...header], body)
}

function hops(sets: readonly string[], wanted: readonly string[]): string {
  const [set] = sets as [string]
  const first = rowsOf(set, wanted[0]!)[0]!.byHop!
  const known = Object.keys(first)
  const body = wanted.map((row) => [
    named(row),
    ...known.map((hop) =>
      rowsOf(set, row)
        .map(({ byHop }) => byHop![hop]!.correct)
        .join(SEPARATOR),
    ),
  ])
  return markdownTable(['', ...known.map((hop) => `${hop} facts, of ${first[hop]!.n}`)], body)
}

function cost(sets: readonly string[], models: readonly string[]): string {
  const body = models.map((model) => {
    const rows = lines
      .filter((line) => line.part === 'cost' && sets.includes(line.set) && line.model === model)
      .flatMap((line) => line.rows)
    const all = (value: (row: Row) => string): string => rows.map(value).join(SEPARATOR)
    return [
      `**${model}**`,
      all(({ latents }) => `${latents}`),
      all((row) => row.tokensPerQuestion.toFixed(1)),
      all((row) => row.msPerQuestion.toFixed(1)),
    ]
  })
  return markdownTable(['', 'thoughts', 'tokens', 'ms'], body)
}

/** Ways to refine, as the results name them and as the page does. */
const ways = {
  residual: 'residual',
  code: 'contrastive',
  paper: 'contrastive, printed sign',
  same: 'contrastive, same step',
  own: 'contrastive, own checkpoints',
  both: 'both',
} as const

function refined(sets: readonly string[], models: readonly string[]): string {
  const columns = models.flatMap((model) => sets.map((set) => ({ model, set })))
  const body = Object.entries(ways).map(([way, label]) => [
    label,
    ...columns.map(({ model, set }) =>
      lines
        .filter((line) => line.part === 'refinement' && line.model === model && line.set === set && line.way === way)
        .map(({ rows }) => difference(rows[1]))
        .join('<br>'),
    ),
  ])
  return markdownTable(['', ...columns.map(({ model, set }) => `${model}, ${set}`)], body)
}

function difference(row: Row | undefined): string {
  if (row?.against === undefined) return ''
  const { difference: points, interval, pAdjusted } = row.against
  const inPoints = (value: number): string =>
    `${value > 0 ? '+' : value < 0 ? '−' : ''}${Math.abs(100 * value).toFixed(1)}`
  const strength = row.name.replace(/^\D*/, '')
  const mark = pAdjusted < 0.05 ? ' *' : ''
  return `${inPoints(points)} (${interval.map(inPoints).join(' … ')})${mark}${strength ? ` ${strength}` : ''}`
}

const groupNames = ['not reachable', 'reachable', 'frontier', 'optimal'] as const

type Groups = Readonly<Record<string, { readonly mean: number; readonly count: number }>>

function groups([quantity]: readonly string[], [seed]: readonly string[]): string {
  const all = JSON.parse(read('superposition.json')) as Record<string, Record<string, readonly Groups[]>>
  const rows = all[seed!]![quantity!]!
  const cells = (row: Groups): string[] => groupNames.map((name) => row[name]?.mean.toFixed(2) ?? '')
  return markdownTable(
    ['thought', ...groupNames],
    rows.map((row, t) => [`${t + 1}`, ...cells(row)]),
  )
}
