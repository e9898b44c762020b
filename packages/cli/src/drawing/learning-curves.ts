/** What a training run went through: its loss on a logarithmic scale, and shares between 0 and 1. */

import { type Drawing, element, label, moved, svgFile } from './svg.ts'
import { numberText } from './words.ts'

interface LearningCurve {
  readonly name: string
  /** (step, value), ascending by step. */
  readonly points: readonly (readonly [step: number, value: number])[]
}

export interface LearningCurves {
  readonly title: string
  readonly loss: LearningCurve
  readonly shares: readonly LearningCurve[]
}

const WIDTH = 720
const PANEL = { height: 190, left: 56, right: 120, top: 34, bottom: 28 }
const styles = ['first', 'second', 'expected'] as const
const dashes = [undefined, '5 3', '1.5 3.5'] as const

/** Two panels as a file of their own. */
export function learningCurvesSvg({ title, loss, shares }: LearningCurves): string {
  const last = Math.max(1, ...[loss, ...shares].flatMap(({ points }) => points.map(([step]) => step)))
  const logarithms = loss.points.map(([step, value]): [number, number] => [step, Math.log10(Math.max(value, 1e-6))])
  const [low, high] = [Math.floor(least(logarithms)), Math.ceil(-least(logarithms.map(([s, v]) => [s, -v])))]
  const decades = Array.from({ length: Math.max(high - low, 1) + 1 }, (_, i) => low + i)
  const panels = [
    panel('loss', [{ ...loss, points: logarithms }], { last, ticks: decades, text: (tick) => numberText(10 ** tick) }),
    panel('share', shares, { last, ticks: [0, 0.25, 0.5, 0.75, 1], text: numberText }),
  ]
  const drawing: Drawing = {
    width: WIDTH,
    height: 40 + 2 * PANEL.height,
    title,
    description: [loss, ...shares].map(({ name, points }) => `${name} ends at ${points.at(-1)?.[1] ?? '–'}`).join('; '),
    elements: [
      label(16, 26, title, { class: 'strong' }),
      ...panels.map((elements, i) => moved(0, 40 + i * PANEL.height, elements)),
    ],
  }
  return svgFile(drawing)
}

const least = (points: readonly (readonly [number, number])[]): number =>
  points.length === 0 ? 0 : Math.min(...points.map(([, value]) => value))

interface Scale {
  readonly last: number
  /** Ascending; the first and last bound the panel. */
  readonly ticks: readonly number[]
  readonly text: (tick: number) => string
}

function panel(name: string, curves: readonly LearningCurve[], { last, ticks, text }: Scale): string[] {
  const right = WIDTH - PANEL.right
  const inner = { width: right - PANEL.left, height: PANEL.height - PANEL.top - PANEL.bottom }
  const [bottom, top] = [ticks[0]!, ticks.at(-1)!]
  const x = (step: number): number => PANEL.left + (step / last) * inner.width
  const y = (value: number): number => PANEL.top + inner.height * (1 - (value - bottom) / (top - bottom || 1))
  const grid = ticks.flatMap((tick) => [
    element('line', { x1: PANEL.left, x2: right, y1: y(tick), y2: y(tick), class: 'axis', 'stroke-width': 0.8 }),
    label(PANEL.left - 8, y(tick) + 4, text(tick), { class: 'muted small', 'text-anchor': 'end' }),
  ])
  const steps = [0, last / 2, last].map((step) =>
    label(x(step), PANEL.height - 10, `${Math.round(step)}`, { class: 'muted small', 'text-anchor': 'middle' }),
  )
  const lines = curves.flatMap(({ name: curve, points }, i) => {
    if (points.length === 0) return []
    const d = points.map(([step, value], j) => `${j === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`)
    const line = { d: d.join(''), class: `series ${styles[i]}`, 'stroke-width': 1.6, 'stroke-dasharray': dashes[i] }
    const end = points.at(-1)!
    return [element('path', line), label(right + 8, y(end[1]) + 4, curve, { class: 'small strong' })]
  })
  return [label(16, 18, name, { class: 'muted small' }), ...grid, ...steps, ...lines]
}
