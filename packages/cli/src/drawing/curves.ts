/** A quantity over the thoughts, as lines with their names beside them. */

import { type Drawing, element, label } from './svg.ts'
import { numberText } from './words.ts'

export interface Series {
  readonly name: string
  /** Value of thought 1, 2, …, where there is one. */
  readonly values: readonly (number | undefined)[]
  /** How the line is drawn: the first and second run, or what is to be expected. */
  readonly style: 'first' | 'second' | 'expected'
}

export interface Curves {
  readonly title: string
  /** What else there is to know of the lines. */
  readonly note?: string
  readonly series: readonly Series[]
}

const HEIGHT = 176
const PLOT = { left: 44, right: 20, top: 46, bottom: 34 }
/** Room for the names of the lines: at least, and for each letter. */
const NAMES = { least: 62, letter: 7 }
const dashes = { first: undefined, second: '5 3', expected: '1.5 3.5' } as const

export function curvePanel({ title, note, series }: Curves, width: number): Drawing {
  const all = series.flatMap(({ values }) => pointsOf(values).map(([, value]) => value))
  const high = niceCeiling(Math.max(...all, 0))
  const count = Math.max(...series.map(({ values }) => values.length))
  const right = width - PLOT.right - roomForNames(series)
  const inner = { width: right - PLOT.left, height: HEIGHT - PLOT.top - PLOT.bottom }
  const x = (i: number): number => PLOT.left + (count === 1 ? inner.width / 2 : (i / (count - 1)) * inner.width)
  const y = (value: number): number => PLOT.top + inner.height * (1 - value / high)
  const names = spread(
    series.map(({ values }) => y(pointsOf(values).at(-1)![1]) + 4),
    14,
  )
  return {
    width,
    height: HEIGHT,
    title: `${title} of the thoughts`,
    description: series
      .map(
        ({ name, values, style }) =>
          `${name || style}: ${values.map((value) => (value === undefined ? '–' : numberText(value))).join(', ')}`,
      )
      .join('; '),
    elements: [
      element('rect', { width, height: HEIGHT, rx: 10, class: 'panel' }),
      label(14, 25, title, { class: 'strong' }),
      ...(note ? [label(width - 14, 25, note, { class: 'muted small', 'text-anchor': 'end' })] : []),
      ...[0, high / 2, high].flatMap((value) => gridLine(value, y(value), right)),
      ...Array.from({ length: count }, (_, i) => i)
        .filter((i) => i % Math.ceil(count / 12) === 0)
        .map((i) => label(x(i), HEIGHT - 14, `${i + 1}`, { class: 'muted small', 'text-anchor': 'middle' })),
      ...series.map((line, i) => drawSeries(line, x, y, names[i]!)),
    ],
  }
}

/** (index, value) of the values that there are. */
function pointsOf(values: Series['values']): [index: number, value: number][] {
  return values.flatMap((value, i): [number, number][] => (value === undefined ? [] : [[i, value]]))
}

function roomForNames(series: readonly Series[]): number {
  const longest = Math.max(...series.map(({ name }) => name.length))
  return longest === 0 ? 0 : Math.max(NAMES.least, NAMES.letter * longest)
}

function gridLine(value: number, y: number, right: number): string[] {
  return [
    element('line', { x1: PLOT.left, x2: right, y1: y, y2: y, class: 'axis', 'stroke-width': 0.8 }),
    label(PLOT.left - 8, y + 4, numberText(value), { class: 'muted small', 'text-anchor': 'end' }),
  ]
}

function drawSeries(
  { name, values, style }: Series,
  x: (i: number) => number,
  y: (value: number) => number,
  nameY: number,
): string {
  const known = pointsOf(values)
  const path = known.map(([i, value], j) => `${j === 0 ? 'M' : 'L'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join('')
  const points = style === 'expected' ? [] : known.map(([i, value]) => dot(x(i), y(value), style))
  const line = { d: path, class: `series ${style}`, 'stroke-width': 2, 'stroke-dasharray': dashes[style] }
  return element('g', {}, [
    element('path', { ...line, 'stroke-linejoin': 'round', 'stroke-linecap': 'round' }),
    ...points,
    ...(name === '' ? [] : [label(x(values.length - 1) + 9, nameY, name, { class: 'small strong' })]),
  ])
}

/** The second run's points are squares: colour is not all that tells them apart. */
function dot(x: number, y: number, style: 'first' | 'second'): string {
  return style === 'first'
    ? element('circle', { cx: x, cy: y, r: 3.2, class: 'point' })
    : element('rect', { x: x - 2.8, y: y - 2.8, width: 5.6, height: 5.6, class: 'point second' })
}

/** A round number from `value` on. */
function niceCeiling(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= value * 0.999)!
}

/** Moves heights apart that are closer than `least`, keeping their order. */
export function spread(heights: readonly number[], least: number): number[] {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a]! - heights[b]!)
  const result = [...heights]
  order.forEach((index, rank) => {
    const above = order[rank - 1]
    if (above !== undefined) result[index] = Math.max(result[index]!, result[above]! + least)
  })
  return result
}
