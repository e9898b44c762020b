/** What a training run went through, drawn from its log: loss, shares of what was right, and the phases of its recipe. */

import { spread } from './curves.ts'
import { type Drawing, element, label, moved } from './svg.ts'
import { numberText } from './words.ts'

/** A line of the log. Reports carry `phase`, `task`, `thoughts`, `loss`, `mass`; validations carry `accuracy`. */
export interface LogLine {
  readonly step: number
  readonly [quantity: string]: number | string
}

interface Curve {
  readonly name: string
  readonly style: 'first' | 'second' | 'expected'
  /** (step, value), ascending by step. */
  readonly points: readonly (readonly [step: number, value: number])[]
}

const WIDTH = 720
const PANEL = { height: 208, left: 56, right: 120, top: 54, bottom: 28 }
const LEFT_TO_RIGHT = WIDTH - PANEL.left - PANEL.right
const dashes = { first: undefined, second: '5 3', expected: '1.5 3.5' } as const
/** Pixels between the numbers of thoughts that are written, at least. */
const APART = 12

export function learningCurves(lines: readonly LogLine[], title: string): Drawing {
  const curve = (key: string, name: string, style: Curve['style']): Curve => ({
    name,
    style,
    points: lines.flatMap((line): [number, number][] =>
      typeof line[key] === 'number' ? [[line.step, line[key] as number]] : [],
    ),
  })
  const loss = curve('loss', 'loss', 'first')
  const shares = [
    curve('accuracy', 'right', 'first'),
    curve('withoutThoughts', 'no thoughts', 'second'),
    curve('mass', 'mass', 'expected'),
  ]
  const logarithms = loss.points.map(([step, value]): [number, number] => [step, Math.log10(Math.max(value, 1e-6))])
  const exponents = logarithms.map(([, value]) => value)
  const low = Math.floor(Math.min(0, ...exponents))
  const decades = Array.from({ length: Math.ceil(Math.max(1, ...exponents)) - low + 1 }, (_, i) => low + i)
  const last = Math.max(1, ...lines.map(({ step }) => step))
  const marks = phaseMarks(lines, last)
  const panels = [
    panel('loss, logarithmic', [{ ...loss, points: logarithms }], last, decades, (tick) => numberText(10 ** tick)),
    panel('share', shares, last, [0, 0.25, 0.5, 0.75, 1], numberText),
  ]
  return {
    width: WIDTH,
    height: 36 + panels.length * PANEL.height,
    title,
    description: [loss, ...shares]
      .flatMap(({ name, points }) => (points.length > 0 ? [`${name} ends at ${numberText(points.at(-1)![1])}`] : []))
      .join('; '),
    elements: [
      label(16, 26, title, { class: 'strong' }),
      ...panels.map((elements, i) => moved(0, 36 + i * PANEL.height, [...marks, ...elements])),
    ],
  }
}

const across = (step: number, last: number): number => PANEL.left + (step / last) * LEFT_TO_RIGHT

/** A line where a phase begins, the task where it is another, and the number of thoughts where one is added. */
function phaseMarks(lines: readonly LogLine[], last: number): string[] {
  const reports = lines.filter(({ phase }) => phase !== undefined)
  let written = Number.NEGATIVE_INFINITY
  return reports.flatMap(({ phase, task, thoughts }, i) => {
    const before = reports[i - 1]
    const x = before ? across(before.step, last) : PANEL.left
    const marks: string[] = []
    if (before && phase !== before.phase) {
      const line = { x1: x, x2: x, y1: PANEL.top - 4, y2: PANEL.height - PANEL.bottom, class: 'axis' }
      marks.push(element('line', { ...line, 'stroke-width': 0.8, 'stroke-dasharray': '2 3' }))
    }
    if (task !== before?.task) marks.push(label(x + 3, PANEL.top - 20, `${task}`, { class: 'muted small' }))
    const counted = (thoughts as number) > 0 && (thoughts !== before?.thoughts || phase !== before?.phase)
    if (counted && x - written >= APART) {
      marks.push(label(x + 3, PANEL.top - 7, `${thoughts}`, { class: 'muted small' }))
      written = x
    }
    return marks
  })
}

/** @param ticks ascending; the first and last bound the panel */
function panel(
  name: string,
  curves: readonly Curve[],
  last: number,
  ticks: readonly number[],
  text: (tick: number) => string,
): string[] {
  const right = PANEL.left + LEFT_TO_RIGHT
  const [bottom, top] = [ticks[0]!, ticks.at(-1)!]
  const inner = PANEL.height - PANEL.top - PANEL.bottom
  const y = (value: number): number => PANEL.top + inner * (1 - (value - bottom) / (top - bottom))
  const grid = ticks.flatMap((tick) => [
    element('line', { x1: PANEL.left, x2: right, y1: y(tick), y2: y(tick), class: 'axis', 'stroke-width': 0.8 }),
    label(PANEL.left - 8, y(tick) + 4, text(tick), { class: 'muted small', 'text-anchor': 'end' }),
  ])
  const steps = [0, last / 2, last].map((step) =>
    label(across(step, last), PANEL.height - 10, `${Math.round(step)}`, {
      class: 'muted small',
      'text-anchor': 'middle',
    }),
  )
  const drawn = curves.filter(({ points }) => points.length > 0)
  const names = spread(
    drawn.map(({ points }) => y(points.at(-1)![1]) + 4),
    14,
  )
  const paths = drawn.flatMap(({ name: curve, style, points }, i) => {
    const d = points.map(
      ([step, value], j) => `${j === 0 ? 'M' : 'L'}${across(step, last).toFixed(1)} ${y(value).toFixed(1)}`,
    )
    const line = { d: d.join(''), class: `series ${style}`, 'stroke-width': 1.6, 'stroke-dasharray': dashes[style] }
    return [element('path', line), label(right + 8, names[i]!, curve, { class: 'small strong' })]
  })
  return [label(16, 14, name, { class: 'muted small' }), ...grid, ...steps, ...paths]
}
