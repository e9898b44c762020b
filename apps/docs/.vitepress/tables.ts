/**
 * Measurements inside pages: a line
 *
 *     @table test plain residual zero
 *
 * becomes the rows of that name from recorded/test.json, with counts, intervals and comparisons. No number of an
 * evaluation is typed into a page.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'

const line = /^@table (\S+)((?: \S+)*)$/gm

interface Share {
  readonly correct: number
  readonly n: number
  readonly accuracy: number
  readonly interval: readonly [number, number]
}

interface Row extends Share {
  readonly name: string
  readonly paired?: Share
  readonly against?: { readonly b: number; readonly c: number; readonly pAdjusted: number }
}

interface Record {
  readonly command: string
  readonly n: number
  readonly rows: readonly Row[]
}

export function tables(md: MarkdownRenderer): void {
  md.core.ruler.before('normalize', 'tables', (state) => {
    state.src = state.src.replace(line, (_, name: string, rows: string) => table(name, rows.trim().split(' ')))
  })
}

function table(name: string, wanted: readonly string[]): string {
  const path = fileURLToPath(new URL(`../recorded/${name}.json`, import.meta.url))
  const { command, rows } = JSON.parse(readFileSync(path, 'utf8')) as Record
  const shown = wanted[0] === '' ? rows : wanted.map((row) => find(rows, row, name))
  const paired = shown.some((row) => row.paired)
  const header = ['', 'right', '95 %', ...(paired ? ['both of a pair'] : []), 'better / worse than plain', 'p']
  const lines = shown.map((row) => [
    `**${row.name}**`,
    `${row.correct} of ${row.n}`,
    range(row.interval),
    ...(paired ? [row.paired ? `${row.paired.correct} of ${row.paired.n}` : ''] : []),
    row.against ? `${row.against.b} / ${row.against.c}` : '',
    row.against ? probability(row.against.pAdjusted) : '',
  ])
  return [
    markdownTable(header, lines),
    `<p class="measured">Measured with <code>${command}</code>; p: exact McNemar against plain, Holm over all rows of the run.</p>`,
  ].join('\n')
}

/** Numbers are on the right, names in the first column. */
export function markdownTable(header: readonly string[], body: readonly (readonly string[])[]): string {
  const rule = header.map((_, i) => (i === 0 ? '---' : '---:')).join('|')
  return [`| ${header.join(' | ')} |`, `|${rule}|`, ...body.map((cells) => `| ${cells.join(' | ')} |`), ''].join('\n')
}

/** Controls are called after the row that they stand beside: `plain, zero` is a `zero`. */
export const isNamed = (row: { readonly name: string }, wanted: string): boolean =>
  row.name === wanted || row.name.endsWith(`, ${wanted}`)

function find(rows: readonly Row[], wanted: string, name: string): Row {
  const row = rows.find((candidate) => isNamed(candidate, wanted))
  if (!row) throw new Error(`recorded/${name}.json has no row ${wanted}: ${rows.map((known) => known.name).join('; ')}`)
  return row
}

const range = ([low, high]: readonly [number, number]): string =>
  `${(100 * low).toFixed(1)} … ${(100 * high).toFixed(1)} %`

function probability(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3)
}
