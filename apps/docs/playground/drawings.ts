/** The command line's drawings, in the page. */

import { curvePanel, type Series } from '../../../packages/cli/src/drawing/curves.ts'
import { layoutGraph } from '../../../packages/cli/src/drawing/graph-layout.ts'
import { graphPanel } from '../../../packages/cli/src/drawing/graph-panel.ts'
import { type Drawing, inlineSvg } from '../../../packages/cli/src/drawing/svg.ts'
import type { QuestionView, ResultView, ThoughtView } from './view.ts'

const PANEL_WIDTH = 460
const CURVE_WIDTH = 344

/**
 * A thought over its question's graph.
 *
 * @param run what the run is called, where there is more than one
 */
export function panelDrawing(question: QuestionView, thought: ThoughtView, width: number, run?: string): Drawing {
  return graphPanel(layoutGraph(question, question, width), thought, question.frontiers[thought.t] ?? [], run)
}

/** @param id distinguishes the drawings of the page */
export function panelSvg(question: QuestionView, thought: ThoughtView, id: string): string {
  return inlineSvg(panelDrawing(question, thought, PANEL_WIDTH), id)
}

/** Entropy, displacement and norm of both runs; of one if they are the same. */
export function curveSvgs({ before, after, question }: ResultView, same: boolean): string[] {
  const series = (value: (thought: ThoughtView) => number): Series[] => [
    ...(same ? [] : [{ name: 'changed', values: after.thoughts.map(value), style: 'first' as const }]),
    { name: 'by itself', values: before.thoughts.map(value), style: 'second' },
  ]
  const even = before.thoughts.map(({ t }) => Math.log(Math.max(question.frontiers[t]?.length ?? 0, 1)))
  const curves = [
    {
      title: 'Entropy, nats',
      series: [...series(({ entropy }) => entropy), { name: 'frontier', values: even, style: 'expected' as const }],
    },
    { title: 'Displacement', series: series(({ displacement }) => displacement) },
    { title: 'Norm', series: series(({ norm }) => norm) },
  ]
  return curves.map((curve, i) => inlineSvg(curvePanel(curve, CURVE_WIDTH), `curve-${i}`))
}
