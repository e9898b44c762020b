/** The table of an evaluation for people: counts beside every percentage, intervals beside every accuracy. */

import type { Evaluation, EvaluationRow, Interval } from '@afterthought/core/evaluation'
import type { Colors } from './output.ts'
import { type Column, formatTable } from './table.ts'

interface Field extends Column {
  /** Left out where it is undefined for every row. */
  read(row: EvaluationRow): string | undefined
}

const right = { align: 'right' } as const

const fields: readonly Field[] = [
  { title: '', read: (row) => row.name },
  { title: 'right', ...right, read: (row) => `${row.correct}/${row.n}` },
  { title: 'accuracy', ...right, read: (row) => percent(row.accuracy) },
  { title: '95 %', ...right, read: (row) => range(row.interval) },
  { title: 'pairs', ...right, read: ({ paired }) => paired && `${paired.correct}/${paired.n}` },
  { title: 'both right', ...right, read: ({ paired }) => paired && percent(paired.accuracy) },
  { title: 'two-way', ...right, read: ({ twoWay }) => twoWay && percent(twoWay.accuracy) },
  { title: 'as numbers', ...right, read: ({ numeric }) => numeric && percent(numeric.accuracy) },
  { title: 'no answer', ...right, read: ({ unparsable }) => unparsable?.toString() },
  { title: 'points', ...right, read: ({ against }) => against && signed(100 * against.difference) },
  {
    title: '95 %',
    ...right,
    read: ({ against }) => against?.interval.map((end) => signed(100 * end)).join(' … '),
  },
  { title: 'won:lost', ...right, read: ({ against }) => against && `${against.b}:${against.c}` },
  { title: 'p (Holm)', ...right, read: ({ against }) => against && pValue(against.pAdjusted) },
  { title: 'T', ...right, read: (row) => String(row.latents) },
  { title: 'ms', ...right, read: (row) => row.msPerQuestion.toFixed(1) },
]

export function formatEvaluation(evaluation: Evaluation, colors: Colors): string {
  const { rows, baseline, data, n } = evaluation
  const shown = fields.filter(({ read }) => rows.some((row) => read(row) !== undefined))
  const cells = rows.map((row) => shown.map(({ read }) => read(row) ?? ''))
  const base = rows.find((row) => row.against)?.against?.row
  return [
    `${colors.bold(data)}, ${n} questions${base ? `; points, won:lost and p against ${base} (exact McNemar)` : ''}`,
    '',
    formatTable(shown, cells, colors.dim),
    ...formatHops(rows, colors),
    '',
    `Best rule that ignores the question: ${baseline.name}, ${percent(baseline.accuracy)}.`,
    ...rows.slice(0, 1).map((row) => {
      const lead = 100 * (row.accuracy - baseline.accuracy)
      return `${row.name} lies ${Math.abs(lead).toFixed(1)} points ${lead < 0 ? 'below' : 'above'} it.`
    }),
  ].join('\n')
}

function formatHops(rows: readonly EvaluationRow[], colors: Colors): string[] {
  const hops = Object.keys(rows[0]?.byHop ?? {})
  if (hops.length === 0) return []
  const columns = [{ title: '' }, ...hops.map((hop) => ({ title: `${hop} hops`, ...right }))]
  const cells = rows.map(({ name, byHop }) => [
    name,
    ...hops.map((hop) => `${byHop?.[hop]?.correct ?? 0}/${byHop?.[hop]?.n ?? 0}`),
  ])
  return ['', formatTable(columns, cells, colors.dim)]
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function range([low, high]: Interval): string {
  return `${(100 * low).toFixed(1)} … ${(100 * high).toFixed(1)}`
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`
}

function pValue(p: number): string {
  return p < 0.001 ? '< .001' : p.toFixed(3).replace(/^0/, '')
}
