/** `afterthought sweep`: accuracy over a grid of refinement strengths, to choose them on validation data. */

import { type Command, defineCommand } from '../command.ts'
import { backendOptions, modelOptions, refinementOptions } from '../options.ts'
import type { Colors } from '../output.ts'
import { formatTable } from '../table.ts'
import { UsageError } from '../usage-error.ts'

/** Grids that refinement.ts's authors would publish whole; 0 is off. */
const ALPHAS = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1]
const STEPS = [0, 1 / 64, 1 / 16, 1 / 4, 1]

const { alpha: _alpha, step: _step, eta: _eta, lambda: _lambda, 'step-mode': _mode, ...manner } = refinementOptions

export const command: Command = defineCommand({
  description:
    'Evaluates every combination of memory rates, steps and numbers of thoughts. Strengths chosen on the data that\n' +
    'they are then reported on mean nothing: sweep a validation file, and report the whole grid.',
  examples: [
    ['sweep', 'the embedded validation questions, default grid'],
    ['sweep prosqa_valid.json --alphas 0 0.1 0.3 --steps 0 0.0625 0.25 --svg grid.svg', ''],
    ['sweep --alphas 0 --steps 0 --latents 0 1 2 3 4 5 6 7 8', 'how many thoughts it takes'],
  ],
  operand: { name: 'DATA', description: 'a validation file; default validation, the embedded one', required: false },
  options: {
    alphas: {
      type: 'numbers',
      least: 0,
      most: 1,
      value: 'A',
      description: `Memory rates; default ${ALPHAS.join(', ')}`,
    },
    steps: { type: 'numbers', value: 'S', description: 'Scale-free steps; default 0, 1/64, 1/16, 1/4, 1' },
    latents: {
      type: 'numbers',
      value: 'T',
      description: 'Numbers of thoughts; default what the model was trained for',
    },
    svg: { type: 'text', value: 'FILE', description: 'Draw the grid of the best number of thoughts' },
    limit: { type: 'integer', least: 1, value: 'N', description: 'The first N questions only' },
    items: { type: 'text', value: 'FILE', description: 'One JSON line per question and cell; resumes a killed run' },
    batch: { type: 'integer', least: 1, value: 'N', description: 'Questions computed at once; default 32' },
    seed: { type: 'integer', value: 'N', description: 'Of everything drawn at random; default 0' },
    ...manner,
    ...modelOptions,
    ...backendOptions,
  },
  async run({ values, operand = 'validation', output, signal }) {
    const [
      { defaultLatents, withSession },
      { refuseFolders },
      { readQuestions },
      { runEvaluation },
      { readSettings, refuseUnusedReferences },
      { taskOf },
    ] = await Promise.all([
      import('../models.ts'),
      import('../files.ts'),
      import('../questions.ts'),
      import('../evaluation-run.ts'),
      import('../settings.ts'),
      import('@afterthought/core/data'),
    ])
    const { alphas = ALPHAS, steps = STEPS, seed = 0, limit, batch, items, dtype, svg } = values
    refuseFolders({ svg, items })
    const questions = await readQuestions(operand, limit)
    if (/test/i.test(questions.name)) {
      output.warn(`${questions.name} looks like a test file: strengths chosen on it cannot be reported on it`)
    }
    await withSession(values, output, async ({ models }) => {
      const counts = values.latents ?? [defaultLatents(models.main, undefined, output)]
      const cells = product(counts, alphas, steps).map(([latents, alpha, step]) => ({ latents, alpha, step }))
      const nothing = { eta: undefined, lambda: undefined, 'step-mode': undefined, replace: undefined } as const
      const rows = cells.map(({ latents, alpha, step }) => {
        const settings = readSettings({ ...values, ...nothing, latents, alpha, step, seed }, latents)
        return { name: `latents ${latents}, alpha ${alpha}, step ${step}`, ...settings }
      })
      requireDistinct(rows.map((row) => row.name))
      refuseUnusedReferences(values, rows)
      const answered = await runEvaluation({
        ...{ models, task: taskOf(models.main), questions, rows, seed, output, signal },
        ...(batch !== undefined && { batch }),
        ...(items !== undefined && { items }),
        ...(dtype && { dtype }),
      })
      const n = questions.records.length
      const grid = cells.map((cell, i): Cell => {
        const correct = answered[i]!.items.filter((item) => item.correct).length
        return { ...cell, correct, accuracy: correct / n }
      })
      const best = grid.reduce((leader, cell) => (cell.correct > leader.correct ? cell : leader))
      const table = (latents: number): Cell[] => grid.filter((cell) => cell.latents === latents)
      if (svg !== undefined) await draw(svg, table(best.latents), alphas, steps, n, questions.name)
      output.result({ data: questions.name, n, grid, best, seed, model: models.main.id }, () =>
        formatSweep(counts.map(table), alphas, steps, best, n, questions.name, output.colors),
      )
    })
    return 0
  },
})

interface Cell {
  readonly alpha: number
  readonly step: number
  readonly latents: number
  readonly correct: number
  readonly accuracy: number
}

function product(
  counts: readonly number[],
  alphas: readonly number[],
  steps: readonly number[],
): [number, number, number][] {
  return counts.flatMap((latents) =>
    alphas.flatMap((alpha) => steps.map((step): [number, number, number] => [latents, alpha, step])),
  )
}

function requireDistinct(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new UsageError('a value is given twice', { where: 'sweep', actual: twice })
}

async function draw(
  path: string,
  cells: readonly Cell[],
  alphas: readonly number[],
  steps: readonly number[],
  n: number,
  name: string,
): Promise<void> {
  const { heatMapSvg } = await import('../drawing/heat-map.ts')
  const { writeFileAtomically } = await import('@afterthought/core/files')
  const rows = alphas.map((alpha) => cells.filter((cell) => cell.alpha === alpha))
  const [values, counts] = [
    rows.map((row) => row.map((cell) => cell.accuracy)),
    rows.map((row) => row.map((cell) => cell.correct)),
  ]
  const title = `Accuracy on ${name}, ${cells[0]!.latents} thoughts`
  await writeFileAtomically(path, heatMapSvg({ alphas, steps, values, counts, n, title }))
}

/** One heat map per number of thoughts, α down and s across. */
function formatSweep(
  tables: readonly (readonly Cell[])[],
  alphas: readonly number[],
  steps: readonly number[],
  best: Cell,
  n: number,
  name: string,
  colors: Colors,
): string {
  const columns = [{ title: 'α \\ s' }, ...steps.map((step) => ({ title: `${step}`, align: 'right' as const }))]
  const maps = tables.map((cells) => {
    const rows = alphas.map((alpha) => {
      const row = cells.filter((cell) => cell.alpha === alpha)
      return [`${alpha}`, ...row.map((cell) => shade(cell, cell === best, colors))]
    })
    return [`${cells[0]!.latents} thoughts`, formatTable(columns, rows, colors.dim)].join('\n')
  })
  const equals = tables.flat().filter(({ correct }) => correct === best.correct).length - 1
  const shared = equals > 0 ? `, and ${equals} more of the grid` : ''
  return [
    `${colors.bold(name)}, right answers of ${n}`,
    ...maps,
    `best: alpha ${best.alpha}, step ${best.step}, ${best.latents} thoughts: ${best.correct}/${n}${shared}`,
  ].join('\n\n')
}

/** The xterm ramp from dark blue over green to yellow, for none to all right. */
const RAMP = [17, 18, 24, 30, 29, 35, 71, 107, 143, 179, 221]

function shade({ correct, accuracy }: Cell, best: boolean, colors: Colors): string {
  const text = ` ${correct}${best ? '*' : ' '}`
  if (!colors.isColorSupported) return text
  const background = RAMP[Math.round(accuracy * (RAMP.length - 1))]!
  return `\u001B[48;5;${background}m\u001B[38;5;${accuracy > 0.5 ? 16 : 255}m${text}\u001B[0m`
}
