/**
 * A thought trajectory as a page of its own: panels that flow into as many columns as fit, curves, and the readings as a
 * table. One file, nothing loaded, no script; light or dark as the reader prefers.
 */

import { element, escapeText, inlineSvg } from './svg.ts'
import { fontFamily, palettes, stylesheet } from './theme.ts'
import { curvePanels, type DrawnRun, type DrawnThought, type Trajectory, thoughtPanels } from './trajectory.ts'
import { askedIn, numberText, visibleToken } from './words.ts'

export function trajectoryPage(trajectory: Trajectory): string {
  const { question, runs, setting, graph } = trajectory
  const asked = askedIn(question)
  const facts = question.trim().slice(0, -asked.length).trim()
  const title = `A thought trajectory: ${asked}`
  const drawn = runs.filter((run) => run !== undefined)
  const body = element('main', { class: drawn.length > 1 ? 'paired' : undefined }, [
    element('h1', {}, [escapeText(asked)]),
    element(
      'dl',
      { class: 'answers' },
      drawn.flatMap((run) => answerOf(run, drawn.length > 1)),
    ),
    element('p', { class: 'muted' }, [escapeText(setting)]),
    ...(facts === '' ? [] : [foldedFacts(facts)]),
    ...thoughtSection(trajectory),
    ...curveSection(trajectory),
    ...drawn.flatMap((run) => readingSection(run, drawn.length > 1, graph?.view.frontiers)),
  ])
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    element('title', {}, [escapeText(title)]),
    `<style>${pageStyle}${stylesheet}</style>`,
    '</head>',
    element('body', {}, [body]),
    '</html>',
    '',
  ].join('\n')
}

function answerOf({ name, answer }: DrawnRun, named: boolean): string[] {
  const said = answer === '' ? '(no answer)' : answer
  return [element('dt', {}, [escapeText(named ? name : 'answer')]), element('dd', {}, [escapeText(said)])]
}

function foldedFacts(facts: string): string {
  return element('details', {}, [
    element('summary', {}, ['What the question says']),
    element('p', {}, [escapeText(facts)]),
  ])
}

function thoughtSection(trajectory: Trajectory): string[] {
  const rows = thoughtPanels(trajectory)
  if (rows.length === 0) return [element('p', {}, ['No thoughts: the answer came at once.'])]
  const figures = rows.map((row, i) => {
    const panels = row.map((panel, j) => element('figure', {}, [inlineSvg(panel, `thought-${i + 1}-${j + 1}`)]))
    return row.length === 1 ? panels.join('') : element('div', { class: 'pair' }, panels)
  })
  return [
    element('h2', {}, ['Thoughts']),
    element('p', { class: 'muted' }, [trajectory.graph ? graphLegend : readingLegend]),
    element('div', { class: trajectory.runs[1] ? 'pairs' : 'panels' }, figures),
  ]
}

const graphLegend =
  'Each thought is read through the unembedding, as if the next token were predicted from it. A glow’s area is the ' +
  'probability of a name. ◆ person, ■ the two options; a dashed ring marks the names exactly that many facts away.'
const readingLegend =
  'Each thought is read through the unembedding, as if the next token were predicted from it; the bars are probabilities.'

function curveSection(trajectory: Trajectory): string[] {
  const panels = curvePanels(trajectory)
  if (panels.length === 0) return []
  return [
    element('h2', {}, ['Along the way']),
    element('div', { class: 'panels' }, [
      ...panels.map((panel, i) => element('figure', {}, [inlineSvg(panel, `curve-${i + 1}`)])),
    ]),
  ]
}

/** Tokens of a table's row. */
const COLUMNS = 5

function readingSection(
  { name, thoughts }: DrawnRun,
  named: boolean,
  frontiers: readonly (readonly number[])[] | undefined,
): string[] {
  if (thoughts.length === 0) return []
  const heading = named ? `Readings, ${name}` : 'Readings'
  const asked = thoughts.some(({ good }) => good)
  const columns = Math.min(COLUMNS, Math.max(...thoughts.map(({ top }) => top.length)))
  const rows = thoughts.flatMap((thought) => [
    readingRow(thought, 'thought', thought.top, columns, frontiers?.[thought.t]),
    ...(thought.good ? [readingRow(thought, 'good', thought.good, columns, frontiers?.[thought.t])] : []),
    ...(thought.bad ? [readingRow(thought, 'bad', thought.bad, columns, frontiers?.[thought.t])] : []),
  ])
  const titles = ['t', ...(asked ? ['of'] : []), 'most probable tokens'].map((title, i, all) =>
    element('th', { scope: 'col', ...(i === all.length - 1 && { colspan: columns }) }, [title]),
  )
  return [
    element('h2', {}, [escapeText(heading)]),
    ...(frontiers ? [element('p', { class: 'muted' }, ['● exactly t facts away from the person.'])] : []),
    element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': heading }, [
      element('table', {}, [
        element('thead', {}, [element('tr', {}, titles)]),
        element(
          'tbody',
          {},
          rows.map((row) => element('tr', {}, asked ? row : row.filter((_, i) => i !== 1))),
        ),
      ]),
    ]),
  ]
}

function readingRow(
  { t }: DrawnThought,
  of: string,
  top: DrawnThought['top'],
  columns: number,
  frontier: readonly number[] | undefined,
): string[] {
  const cells = top.slice(0, columns).map(({ id, token, probability }) => {
    const mark = frontier?.includes(id) ? '● ' : ''
    const text = `${escapeText(mark + visibleToken(token))} <span class="muted">${numberText(probability)}</span>`
    return element('td', {}, [text])
  })
  const first = of === 'thought' ? element('th', { scope: 'row' }, [`${t}`]) : '<td></td>'
  return [first, element('td', { class: 'muted' }, [of]), ...cells]
}

function variables({ ground, panel, line, ink, muted, option }: (typeof palettes)['light']): string {
  return `--ground:${ground};--panel:${panel};--line:${line};--ink:${ink};--muted:${muted};--answer:${option}`
}

const pageStyle: string = [
  `:root{${variables(palettes.light)}}`,
  `@media (prefers-color-scheme:dark){:root{${variables(palettes.dark)}}}`,
  `*{box-sizing:border-box}`,
  `body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 ${fontFamily}}`,
  'main{max-width:1128px;margin:0 auto;padding:24px 16px 64px}',
  'main.paired{max-width:900px}',
  'h1{font-size:1.5rem;line-height:1.25;margin:0 0 12px;overflow-wrap:anywhere}',
  'h2{font-size:1.125rem;margin:40px 0 4px}',
  'p{margin:4px 0 12px;max-width:72ch;overflow-wrap:anywhere}',
  '.muted{color:var(--muted);font-size:.875rem}',
  '.answers{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:0 0 12px}',
  '.answers dt{color:var(--muted)}',
  '.answers dd{margin:0;color:var(--answer);font-weight:600;overflow-wrap:anywhere}',
  'details{margin:8px 0;border-left:3px solid var(--line);padding-left:12px}',
  'summary{cursor:pointer}',
  'figure{margin:0}',
  'svg{display:block;width:100%}',
  '.panels{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}',
  '.pairs{display:grid;gap:28px}',
  '.pair{display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}',
  '.scroll{overflow-x:auto}',
  'table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}',
  'th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);white-space:nowrap}',
  'thead th{color:var(--muted);font-weight:400}',
].join('')
