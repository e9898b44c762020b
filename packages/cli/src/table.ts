/** Tables for terminals: columns as wide as their widest cell, numbers to the right. */

import { stripVTControlCharacters } from 'node:util'

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Rows of cells, which may be coloured, under their titles. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  paintTitle: (line: string) => string = (line) => line,
): string {
  const widths = columns.map((column, i) =>
    Math.max(...[column.title, ...rows.map((row) => row[i] ?? '')].map(widthOf)),
  )
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, i) => pad(cells[i] ?? '', widths[i]!, align))
      .join('  ')
      .trimEnd()
  return [paintTitle(line(columns.map((column) => column.title))), ...rows.map(line)].join('\n')
}

function pad(cell: string, width: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(width - widthOf(cell))
  return align === 'left' ? cell + space : space + cell
}

/** Columns that a text takes, as far as characters of one column go. */
function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length
}
