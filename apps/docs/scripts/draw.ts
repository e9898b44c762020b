/**
 * Draws every picture of the pages: runs of the embedded models, made anew for each build with the reference backend, and
 * the measurements in recorded/. Nothing on this site is drawn by hand.
 *
 *     node --import tsx --conditions=@afterthought/source scripts/draw.ts
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { reference } from '@afterthought/core'
import { embeddedSeed, reportFolder } from '../../../packages/bench/scripts/report-models.ts'
import { curvePanel } from '../../../packages/cli/src/drawing/curves.ts'
import { heatMap } from '../../../packages/cli/src/drawing/heat-map.ts'
import { type LogLine, learningCurves } from '../../../packages/cli/src/drawing/learning-curves.ts'
import { type Drawing, inlineSvg, moved } from '../../../packages/cli/src/drawing/svg.ts'
import { panelDrawing } from '../playground/drawings.ts'
import { defaults, type PlaygroundState } from '../playground/state.ts'
import { Thinker } from '../playground/thinking.ts'
import type { ResultView, ThinkingView } from '../playground/view.ts'

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const pictures = local('../.vitepress/pictures/')
const models = local('../../../packages/cli/models/prosqa/')

const GAP = 14

function write(name: string, drawing: Drawing): void {
  writeFileSync(`${pictures}${name}.svg`, inlineSvg(drawing, name))
}

/** Drawings in rows, as wide as the widest. */
function arranged(rows: readonly (readonly Drawing[])[], title: string): Drawing {
  let y = 0
  const elements = rows.map((row) => {
    let x = 0
    const placed = row.map((drawing) => {
      const at = moved(x, y, drawing.elements)
      x += drawing.width + GAP
      return at
    })
    y += Math.max(...row.map(({ height }) => height)) + GAP
    return placed.join('')
  })
  return {
    width: Math.max(...rows.map((row) => row.reduce((sum, { width }) => sum + width + GAP, -GAP))),
    height: y - GAP,
    title,
    description: rows
      .flat()
      .map(({ description }) => description)
      .join(' '),
    elements,
  }
}

function record<T>(name: string): T {
  return JSON.parse(readFileSync(local(`../recorded/${name}.json`), 'utf8')) as T
}

interface Sweep {
  readonly n: number
  readonly grid: readonly { alpha: number; step: number; latents: number; correct: number; accuracy: number }[]
}

function drawGrid(): void {
  const { grid, n } = record<Sweep>('grid')
  const alphas = [...new Set(grid.map(({ alpha }) => alpha))]
  const steps = [...new Set(grid.map(({ step }) => step))]
  const cells = (value: 'accuracy' | 'correct'): number[][] =>
    alphas.map((alpha) => steps.map((step) => grid.find((cell) => cell.alpha === alpha && cell.step === step)![value]))
  write(
    'grid',
    heatMap({ alphas, steps, n, values: cells('accuracy'), counts: cells('correct'), title: 'Right answers' }),
  )
}

function drawLatents(): void {
  const { grid, n } = record<Sweep>('latents')
  const curve = {
    title: `Right of ${n}, for 1 … ${grid.length - 1} thoughts`,
    series: [
      {
        name: 'right',
        values: grid.filter(({ latents }) => latents > 0).map(({ correct }) => correct),
        style: 'first' as const,
      },
      { name: 'guessing', values: grid.slice(1).map(() => n / 2), style: 'expected' as const },
    ],
  }
  write('latents', curvePanel(curve, 520))
}

function drawTraining(): void {
  const log = readFileSync(`${reportFolder}/models/${embeddedSeed}/prosqa.jsonl`, 'utf8')
  const lines = log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine)
  write('training', learningCurves(lines, `prosqa, ${embeddedSeed.replace('-', ' ')}, ${lines.at(-1)!.step} steps`))
}

/** Group by group: how strongly each thought points at names, and attends to facts on its way. */
function drawGroups(): void {
  const styles = { optimal: 'first', frontier: 'second', reachable: 'expected', 'not reachable': 'expected' } as const
  type Means = Readonly<Record<string, { readonly mean: number }>>
  const all = JSON.parse(readFileSync(`${reportFolder}/superposition.json`, 'utf8'))
  const panelOf = (quantity: string, title: string): Drawing => {
    const rows = all[embeddedSeed][quantity] as readonly Means[]
    const series = Object.entries(styles).map(([name, style]) => {
      return { name, style, values: rows.map((row) => row[name]?.mean) }
    })
    return curvePanel({ title, series }, 344)
  }
  const drawings = [panelOf('products', 'Inner product with names'), panelOf('attention', 'Attention to facts')]
  write('groups', arranged([drawings], 'What a thought is made of'))
}

mkdirSync(pictures, { recursive: true })
const thinker = new Thinker(reference(), (path) => readFile(`${models}${path}`))
const think = (change: Partial<PlaygroundState>): Promise<ResultView> =>
  thinker.think({ ...defaults, alpha: 0, ...change })
const panels = (
  { question }: ResultView,
  { thoughts }: ThinkingView,
  slots: readonly number[],
  name?: string,
): Drawing[] => slots.map((t) => panelDrawing(question, thoughts[t - 1]!, 344, name))

const blended = await thinker.think(defaults)
const contrasted = await think({ step: 1 / 4 })
const printed = await think({ step: 1 / 4, sign: 'paper' })
const paused = await think({ slots: 'pause' })
const foreign = await think({ slots: 'other-question' })

write(
  'thoughts',
  arranged([panels(blended, blended.before, [1, 2]), panels(blended, blended.before, [3, 4])], 'Four thoughts'),
)
for (const t of [1, 2, 3, 4]) write(`hero-${t}`, panelDrawing(blended.question, blended.before.thoughts[t - 1]!, 480))
write('first-thought', panelDrawing(blended.question, blended.before.thoughts[0]!, 520))
write(
  'blend',
  arranged(
    [3, 4].map((t) => [
      ...panels(blended, blended.before, [t], 'plain'),
      ...panels(blended, blended.after, [t], 'α = 0.3'),
    ]),
    'Blended thoughts',
  ),
)
write(
  'contrast',
  arranged(
    [2, 3].map((t) => [
      ...panels(contrasted, contrasted.after, [t], 's = 1/4'),
      ...panels(printed, printed.after, [t], 's = 1/4, printed sign'),
    ]),
    'Contrasted thoughts',
  ),
)
write(
  'controls',
  arranged(
    [
      [
        ...panels(paused, paused.after, [3], 'pause'),
        ...panels(foreign, foreign.after, [3], 'thoughts of another question'),
      ],
    ],
    'Two controls',
  ),
)
drawGrid()
drawLatents()
drawTraining()
drawGroups()
writeFileSync(local('../playground/recorded.json'), JSON.stringify(withoutNoise(blended)))

/** What the playground shows before its model is there: readings that can be seen, in numbers that can be read. */
function withoutNoise({ question, before, after }: ResultView): ResultView {
  const short = (value: number): number => Number(value.toPrecision(6))
  const thin = (thinking: ThinkingView): ThinkingView => ({
    ...thinking,
    thoughts: thinking.thoughts.map((thought) => ({
      ...thought,
      top: thought.top
        .filter(({ probability }, i) => i < 5 || probability >= 0.001)
        .map(({ id, token, logit, probability }) => ({
          id,
          token,
          logit: short(logit),
          probability: short(probability),
        })),
    })),
  })
  return { question, before: thin(before), after: thin(after) }
}
