/**
 * From answers to the table of an evaluation: counts, intervals, pairs, hops, and comparisons with one row.
 *
 * The shape is what `afterthought eval --json` prints. Fractions throughout; never a relative per cent.
 */

import type { QuestionRecord } from '../data/formats.ts'
import { ArgumentError } from '../errors.ts'
import { type Baseline, blindBaseline } from './heuristics.ts'
import { countPairs } from './pairs.ts'
import { bootstrapInterval, holm, type Interval, mcnemarExact, pairedDifference, wilsonInterval } from './statistics.ts'

/** One answer, as a JSON line of `--items` holds it. */
export interface ItemRecord {
  /** Name of the row (the settings) that gave the answer. */
  readonly row: string
  /** Index of the question in the data. */
  readonly index: number
  readonly gold: string
  readonly answer: string
  readonly answerIds: readonly number[]
  /** Exact match. */
  readonly correct: boolean
  readonly latents: number
  /** Generated tokens. */
  readonly tokens: number
  /** The question's share of its batch's time. */
  readonly ms: number
  /** Whether the right one of two options had the higher log-probability. */
  readonly twoWay?: boolean
  /** Equality as numbers, for numeric data. */
  readonly numeric?: boolean
  /** The output held no answer of the task's form; it counts as wrong. */
  readonly unparsable?: boolean
}

/** The answers under one set of settings, one per question, in the order of the data. */
export interface RowInput {
  readonly name: string
  /** Printed as it is. */
  readonly settings: unknown
  readonly items: readonly ItemRecord[]
  /** Time for all questions, without loading. */
  readonly ms: number
}

export interface Share {
  readonly correct: number
  readonly n: number
}

export interface EvaluationRow {
  readonly name: string
  readonly settings: unknown
  readonly correct: number
  readonly n: number
  readonly accuracy: number
  /** Wilson, 95 %. */
  readonly interval: Interval
  readonly twoWay?: Share & { readonly accuracy: number; readonly interval: Interval }
  readonly numeric?: Share & { readonly accuracy: number; readonly interval: Interval }
  /** Outputs without an answer, where any are known. */
  readonly unparsable?: number
  /** Pairs with both items right. */
  readonly paired?: Share & { readonly accuracy: number; readonly interval: Interval }
  /** Hops to counts. */
  readonly byHop?: Readonly<Record<string, Share>>
  readonly against?: Comparison
  readonly tokensPerQuestion: number
  readonly latents: number
  readonly msPerQuestion: number
}

/** A row against the base row, on the same questions. */
export interface Comparison {
  /** Name of the base row. */
  readonly row: string
  /** Questions that only this row, and only the base row, gets right. */
  readonly b: number
  readonly c: number
  /** Exact McNemar, and the same adjusted for all rows of the table (Holm). */
  readonly p: number
  readonly pAdjusted: number
  /** Accuracy minus the base row's. */
  readonly difference: number
  /** 95 %; on a paired set by bootstrap over pairs. */
  readonly interval: Interval
}

export interface Evaluation {
  readonly data: string
  readonly n: number
  /** The best rule that ignores the question. */
  readonly baseline: Baseline
  readonly rows: readonly EvaluationRow[]
  readonly seed: number
}

export interface EvaluationOptions {
  /** Name of the data, as printed. */
  readonly data: string
  /** The questions, in order. */
  readonly records: readonly QuestionRecord[]
  readonly seed: number
  /** Name of the row the others are compared with; default none. */
  readonly base?: string
}

/**
 * Builds the table.
 *
 * @throws ArgumentError if a row has not exactly one answer per question in order, or the base row is missing
 */
export function evaluationReport(rows: readonly RowInput[], options: EvaluationOptions): Evaluation {
  const { data, records, seed, base: baseName } = options
  if (records.length === 0) throw new ArgumentError('no questions', { where: 'evaluationReport' })
  for (const row of rows) requireAligned(row, records.length)
  const base = rows.find((row) => row.name === baseName)
  if (baseName !== undefined && base === undefined) {
    throw new ArgumentError('no such row', {
      where: 'evaluationReport base',
      expected: rows.map((row) => row.name).join(', '),
      actual: baseName,
    })
  }
  const pairs = countPairs(records.map((record) => record.question))
  const comparisons = base === undefined ? new Map<RowInput, Comparison>() : compareAll(rows, base, pairs)
  return {
    data,
    n: records.length,
    baseline: blindBaseline(records),
    rows: rows.map((row) => summarize(row, records, pairs, comparisons.get(row))),
    seed,
  }
}

function requireAligned(row: RowInput, n: number): void {
  if (row.items.length === n && row.items.every((item, i) => item.index === i)) return
  throw new ArgumentError('answers and questions do not match', {
    where: `evaluationReport ${row.name}`,
    expected: `one answer for each of ${n} questions, in order`,
    actual: `${row.items.length} answers`,
  })
}

function summarize(
  row: RowInput,
  records: readonly QuestionRecord[],
  pairs: number,
  against: Comparison | undefined,
): EvaluationRow {
  const { name, settings, items, ms } = row
  const n = items.length
  const correct = count(items, (item) => item.correct)
  const unparsable = items.some((item) => item.unparsable !== undefined)
    ? count(items, (item) => item.unparsable === true)
    : undefined
  return {
    name,
    settings,
    ...interval(correct, n),
    ...defined(
      'twoWay',
      optionalShare(items, (item) => item.twoWay),
    ),
    ...defined(
      'numeric',
      optionalShare(items, (item) => item.numeric),
    ),
    ...defined('unparsable', unparsable),
    ...defined('paired', pairs > 0 ? interval(pairsRight(items, pairs), pairs) : undefined),
    ...defined('byHop', byHop(items, records)),
    ...defined('against', against),
    tokensPerQuestion: mean(items.map((item) => item.tokens)),
    latents: mean(items.map((item) => item.latents)),
    msPerQuestion: ms / n,
  }
}

function interval(correct: number, n: number): Share & { accuracy: number; interval: Interval } {
  return { correct, n, accuracy: correct / n, interval: wilsonInterval(correct, n) }
}

function optionalShare(
  items: readonly ItemRecord[],
  read: (item: ItemRecord) => boolean | undefined,
): ReturnType<typeof interval> | undefined {
  const judged = items.filter((item) => read(item) !== undefined)
  return judged.length === 0
    ? undefined
    : interval(
        count(judged, (item) => read(item) === true),
        judged.length,
      )
}

function pairsRight(items: readonly ItemRecord[], pairs: number): number {
  let right = 0
  for (let i = 0; i < pairs; i++) if (items[2 * i]?.correct && items[2 * i + 1]?.correct) right++
  return right
}

/** Hops are the length of the shortest written reasoning; only ProsQA states that. */
function byHop(items: readonly ItemRecord[], records: readonly QuestionRecord[]): Record<string, Share> | undefined {
  if (!records.every((record) => record.prosqa !== undefined)) return undefined
  const shares: Record<string, Share> = {}
  const hopsOf = (item: ItemRecord): number => records[item.index]?.steps.length ?? 0
  for (const hops of [...new Set(items.map(hopsOf))].sort((a, b) => a - b)) {
    const group = items.filter((item) => hopsOf(item) === hops)
    shares[String(hops)] = { correct: count(group, (item) => item.correct), n: group.length }
  }
  return shares
}

function compareAll(rows: readonly RowInput[], base: RowInput, pairs: number): Map<RowInput, Comparison> {
  const others = rows.filter((row) => row !== base)
  const compared = others.map((row) => compare(row, base, pairs))
  const adjusted = holm(compared.map((comparison) => comparison.p))
  return new Map(
    compared.map((comparison, i) => [others[i] as RowInput, { ...comparison, pAdjusted: adjusted[i] ?? 1 }]),
  )
}

function compare(row: RowInput, base: RowInput, pairs: number): Comparison {
  const gains = row.items.map((item, i) => Number(item.correct) - Number(base.items[i]?.correct))
  const b = count(gains, (gain) => gain > 0)
  const c = count(gains, (gain) => gain < 0)
  const p = mcnemarExact(b, c)
  const whole = pairedDifference(b, c, gains.length)
  // The two items of a pair share their facts: only pairs are independent.
  const overPairs = pairs > 0 && gains.length === 2 * pairs
  const pairGains = Array.from({ length: pairs }, (_, i) => ((gains[2 * i] ?? 0) + (gains[2 * i + 1] ?? 0)) / 2)
  return {
    row: base.name,
    b,
    c,
    p,
    pAdjusted: p,
    difference: whole.difference,
    interval: overPairs ? bootstrapInterval(pairGains) : whole.interval,
  }
}

function count<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.reduce((sum, item) => sum + (holds(item) ? 1 : 0), 0)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** A field that is left out rather than printed as undefined. */
function defined<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V })
}
