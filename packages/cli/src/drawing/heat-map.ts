/**
 * Accuracy over a grid of refinement strengths: one row per α of the residual blend, one column per step s of the
 * contrastive search. The colour scale is all of 0 … 100 %: one stretched between the extremes would turn noise into
 * colour. Every cell says its number, and the best is framed.
 */

import { type Drawing, element, label, moved, svgFile } from './svg.ts'

export interface Grid {
  readonly alphas: readonly number[]
  readonly steps: readonly number[]
  /** Accuracy 0 … 1 of `alphas[i]` with `steps[j]`. */
  readonly values: readonly (readonly number[])[]
  /** Right answers, in the same places. */
  readonly counts: readonly (readonly number[])[]
  /** Questions that were asked in every cell. */
  readonly n: number
  readonly title: string
}

const CELL = { width: 64, height: 46 }
const MARGIN = { left: 62, top: 90, right: 16, bottom: 58 }

/** The grid as a file of its own. */
export function heatMapSvg(grid: Grid): string {
  return svgFile(heatMap(grid))
}

export function heatMap(grid: Grid): Drawing {
  const { alphas, steps, values, n, title } = grid
  const inner = { width: steps.length * CELL.width, height: alphas.length * CELL.height }
  const width = Math.max(MARGIN.left + inner.width + MARGIN.right, 320)
  const best = Math.max(...values.flat())
  const cells = alphas.flatMap((alpha, i) => steps.map((step, j) => cell(grid, { alpha, step, i, j, best })))
  const rows = alphas.map((alpha, i) =>
    label(-10, (i + 0.5) * CELL.height + 4, shortNumber(alpha), { 'text-anchor': 'end' }),
  )
  const columns = steps.map((step, j) =>
    label((j + 0.5) * CELL.width, -8, shortNumber(step), { 'text-anchor': 'middle' }),
  )
  return {
    width,
    height: MARGIN.top + inner.height + MARGIN.bottom,
    title,
    description: describe(grid, best),
    elements: [
      label(16, 28, title, { class: 'strong' }),
      label(16, 47, `of ${n} questions`, { class: 'muted small' }),
      label(MARGIN.left + inner.width / 2, 64, 'step s', { class: 'muted small', 'text-anchor': 'middle' }),
      label(MARGIN.left - 10, MARGIN.top - 8, 'α', { class: 'muted small', 'text-anchor': 'end' }),
      moved(MARGIN.left, MARGIN.top, [...rows, ...columns, ...cells]),
      moved(MARGIN.left, MARGIN.top + inner.height + 22, legend()),
    ],
  }
}

interface Place {
  readonly alpha: number
  readonly step: number
  readonly i: number
  readonly j: number
  readonly best: number
}

function cell({ values, counts, n }: Grid, { alpha, step, i, j, best }: Place): string {
  const value = values[i]![j]!
  const box = { x: 1, y: 1, width: CELL.width - 2, height: CELL.height - 2, rx: 5 }
  const frame = value === best ? [element('rect', { ...box, class: 'best', 'stroke-width': 2 })] : []
  const middle = { 'text-anchor': 'middle' }
  return moved(j * CELL.width, i * CELL.height, [
    `<title>α ${shortNumber(alpha)}, step ${shortNumber(step)}: ${counts[i]![j]} of ${n}</title>`,
    element('rect', { ...box, class: 'panel' }),
    element('rect', { ...box, class: 'heat', 'fill-opacity': value }),
    ...frame,
    label(CELL.width / 2, 21, percent(value), { ...middle, class: value === best ? 'strong' : undefined }),
    label(CELL.width / 2, 36, `${counts[i]![j]}`, { ...middle, class: 'small' }),
  ])
}

/** The scale, from nothing right to everything right. */
function legend(): string[] {
  const shades = Array.from({ length: 11 }, (_, i) =>
    element('rect', { x: 34 + i * 12, width: 12, height: 12, class: 'heat', 'fill-opacity': i / 10 }),
  )
  return [
    element('rect', { x: 34, width: 132, height: 12, class: 'panel' }),
    ...shades,
    label(28, 10, '0 %', { class: 'muted small', 'text-anchor': 'end' }),
    label(172, 10, '100 %', { class: 'muted small' }),
  ]
}

function describe({ alphas, steps, values, counts, n }: Grid, best: number): string {
  const places = alphas.flatMap((alpha, i) =>
    steps.flatMap((step, j) =>
      values[i]![j] === best ? [`α ${shortNumber(alpha)} with step ${shortNumber(step)} (${counts[i]![j]})`] : [],
    ),
  )
  const shown = places.length > 3 ? `${places.slice(0, 3).join(', ')} and ${places.length - 3} more` : places.join(', ')
  return `Accuracy of ${alphas.length} values of α by ${steps.length} steps on ${n} questions. Best: ${shown}.`
}

/** Three significant digits at most, and none that say nothing. */
function shortNumber(value: number): string {
  return `${Number(value.toPrecision(3))}`
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`
}
