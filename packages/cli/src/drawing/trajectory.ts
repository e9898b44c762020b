/**
 * A thought trajectory as pictures: one panel per thought, and curves over all of them. Refined thoughts stand beside the
 * plain ones.
 */

import type { ThoughtRecord } from '@afterthought/core'
import type { EncodedQuestion } from '@afterthought/core/data'
import type { GraphView } from '../thinking.ts'
import { type Curves, curvePanel, type Series } from './curves.ts'
import { layoutGraph } from './graph-layout.ts'
import { graphPanel } from './graph-panel.ts'
import { readingPanel } from './reading-panel.ts'
import { type Drawing, element, label, moved, svgFile } from './svg.ts'
import { askedIn, wrap } from './words.ts'

export type DrawnThought = Omit<ThoughtRecord, 'vector'>

/** One way of thinking the question through. */
export interface DrawnRun {
  /** `plain`, or what the refinement is. */
  readonly name: string
  readonly answer: string
  /** With a graph, readings of all its names. */
  readonly thoughts: readonly DrawnThought[]
}

export interface Trajectory {
  readonly question: string
  /** Model and backend, in a few words. */
  readonly setting: string
  /** The run that was asked for, and the plain one if that is another. */
  readonly runs: readonly [DrawnRun, DrawnRun?]
  /** Of a ProsQA question. */
  readonly graph?: { readonly question: EncodedQuestion; readonly view: GraphView }
}

export const PANEL_WIDTH = 344

/** Panels of thought 1, 2, …: one for each run. */
export function thoughtPanels({ runs, graph }: Trajectory): Drawing[][] {
  const drawn = runs.filter((run) => run !== undefined)
  const layout = graph && layoutGraph(graph.question, graph.view, PANEL_WIDTH)
  return runs[0].thoughts.map((_, i) =>
    drawn.flatMap(({ thoughts, name }) => {
      const thought = thoughts[i]!
      const run = drawn.length > 1 ? name : undefined
      if (!layout) return [readingPanel(thought, run, PANEL_WIDTH)]
      return [graphPanel(layout, thought, graph.view.frontiers[thought.t] ?? [], run)]
    }),
  )
}

/** Entropy, norm, displacement, and how far refinement or a control moved thoughts from what the model proposed. */
export function curvePanels({ runs, graph }: Trajectory): Drawing[] {
  const drawn = runs.filter((run) => run !== undefined)
  const seriesOf = (value: (thought: DrawnThought) => number): Series[] =>
    drawn.map(({ name, thoughts }, i) => ({
      name: drawn.length === 1 ? '' : name.length <= 10 ? name : 'refined',
      values: thoughts.map(value),
      style: i === 0 ? 'first' : 'second',
    }))
  // Where nothing is t facts away there is nothing to expect.
  const sizes = graph?.view.frontiers.slice(1).map((ids) => ids.length) ?? []
  const reached = sizes.includes(0) ? sizes.slice(0, sizes.indexOf(0)) : sizes
  const expected: Series[] = reached.length > 1 ? [{ name: '', values: reached.map(Math.log), style: 'expected' }] : []
  const moves = runs[0].thoughts.some(({ moved = 0 }) => moved > 0)
  const curves: Curves[] = [
    {
      title: 'Entropy, nats',
      ...(expected.length > 0 && { note: 'dotted: even over the frontier' }),
      series: [...seriesOf(({ entropy }) => entropy), ...expected],
    },
    { title: 'Norm', series: seriesOf(({ norm }) => norm) },
    { title: 'Displacement', series: seriesOf(({ displacement }) => displacement) },
    ...(moves ? [{ title: 'Moved from the proposal', series: seriesOf(({ moved = 0 }) => moved).slice(0, 1) }] : []),
  ]
  return runs[0].thoughts.length === 0 ? [] : curves.map((curve) => curvePanel(curve, PANEL_WIDTH))
}

const GAP = 14

/** The whole as a file of its own, as wide as a telephone; refined and plain thoughts in two columns. */
export function trajectorySvg(trajectory: Trajectory): string {
  const panels = [...thoughtPanels(trajectory), ...pairs(curvePanels(trajectory), trajectory.runs[1] ? 2 : 1)]
  const columns = trajectory.runs[1] ? 2 : 1
  const width = columns * (PANEL_WIDTH + GAP) + GAP
  const { heading, height: top } = headingOf(trajectory, width)
  let y = top
  const rows = panels.map((row) => {
    const placed = row.map(({ elements }, i) => moved(GAP + i * (PANEL_WIDTH + GAP), y, elements))
    y += Math.max(...row.map(({ height }) => height)) + GAP
    return placed.join('')
  })
  return svgFile({
    width,
    height: y,
    title: `A thought trajectory: ${askedIn(trajectory.question)}`,
    description: panels
      .flat()
      .map(({ description }) => description)
      .join(' '),
    elements: [...heading, ...rows],
  })
}

function headingOf({ question, runs, setting }: Trajectory, width: number): { heading: string[]; height: number } {
  const characters = Math.floor((width - 2 * GAP) / 7.4)
  const asked = wrap(askedIn(question), characters)
  const answers = runs.flatMap((run) => (run ? [runs[1] ? `${run.name}: ${run.answer}` : run.answer] : []))
  const lines = [
    ...asked.map((text) => ({ text, class: 'strong' })),
    ...answers.flatMap((answer) => wrap(answer, characters)).map((text) => ({ text, class: undefined })),
    ...wrap(setting, Math.floor(characters * 1.15)).map((text) => ({ text, class: 'muted small' })),
  ]
  const heading = lines.map((line, i) => label(GAP + 2, 28 + i * 19, line.text, { class: line.class }))
  return { heading: [element('g', {}, heading)], height: 28 + lines.length * 19 + 4 }
}

function pairs<T>(items: readonly T[], size: number): T[][] {
  return items.flatMap((_, i) => (i % size === 0 ? [items.slice(i, i + size)] : []))
}
