/** One thought as the tokens it points at: bars of probability. What is drawn where there is no graph. */

import { type Drawing, element, label, moved } from './svg.ts'
import type { DrawnThought } from './trajectory.ts'
import { numberText, shorten, visibleToken } from './words.ts'

const HEADER = 42
/** Of the line with the run's name. */
const RUN = 14
const ROW = 24
const TOKEN = 132

/** @param run what the run is called, where there is more than one */
export function readingPanel(thought: DrawnThought, run: string | undefined, width: number): Drawing {
  const heading = `Thought ${thought.t}`
  const { top, entropy } = thought
  const header = HEADER + (run ? RUN : 0)
  const height = header + top.length * ROW + 12
  const full = width - TOKEN - 28 - 40
  const rows = top.map(({ token, probability }, i) => {
    const bar = { x: TOKEN, y: i * ROW + 4, height: 14, rx: 3 }
    return [
      label(TOKEN - 8, i * ROW + 15, shorten(visibleToken(token), 16), { 'text-anchor': 'end' }),
      element('rect', { ...bar, width: full, class: 'ground' }),
      element('rect', { ...bar, width: Math.max(full * probability, 1), class: 'glow' }),
      label(TOKEN + full + 8, i * ROW + 15, numberText(probability), { class: 'small' }),
    ].join('')
  })
  const read = top.map(({ token, probability }) => `${visibleToken(token)} ${numberText(probability)}`)
  return {
    width,
    height,
    title: run ? `${heading}, ${run}` : heading,
    description: `${heading} reads as ${read.join(', ')}.`,
    elements: [
      element('rect', { width, height, rx: 10, class: 'panel' }),
      label(14, 25, heading, { class: 'strong' }),
      label(width - 14, 25, `entropy ${numberText(entropy)}`, { class: 'muted small', 'text-anchor': 'end' }),
      ...(run ? [label(14, 42, shorten(run, 40), { class: 'muted small' })] : []),
      moved(0, header, rows),
    ],
  }
}
