/** `afterthought eval`: a data set through one or several settings, with controls, intervals and tests. */

import type { EvaluationSettings } from '@afterthought/core/evaluation'
import type { Values } from '../arguments.ts'
import { type Command, defineCommand } from '../command.ts'
import { backendOptions, modelOptions, refinementOptions, thoughtOptions } from '../options.ts'
import type { Settings } from '../settings.ts'

/** Names of core's controls, here without loading it. */
export const CONTROLS = [
  'all',
  'no-thoughts',
  'zero',
  'noise',
  'first',
  'other-question',
  'permute',
  'pause',
  'alpha-1',
  'opposite-sign',
  'random-direction',
  'swapped-references',
] as const

const evalOptions = {
  settings: {
    type: 'names',
    choices: ['plain', 'residual', 'contrastive', 'both'],
    description: 'Rows of the table; strengths as given by the options, else alpha 0.1 and step 0.25',
  },
  controls: {
    type: 'names',
    choices: CONTROLS,
    also: { form: 'latents-K', matches: /^latents-\d{1,4}$/ },
    description: 'Rows beside the last one in which thoughts cannot carry what they are said to',
  },
  limit: { type: 'integer', least: 1, value: 'N', description: 'The first N questions only' },
  items: {
    type: 'text',
    value: 'FILE',
    description: 'One JSON line per question and row; the same command resumes a run that was killed',
  },
  batch: { type: 'integer', least: 1, value: 'N', description: 'Questions computed at once; default 32' },
  ...thoughtOptions,
  ...refinementOptions,
} as const

export const command: Command = defineCommand({
  description:
    'Answers every question of a data set and counts: accuracy with its 95 % interval (Wilson), pairs, hops, and each\n' +
    'row against the first on the same questions (exact McNemar, Holm). Reads ProsQA, GSM8K, AQuA and other public\n' +
    'formats. Without --settings the options make exactly one row.',
  examples: [
    ['eval', 'the embedded sample questions, plainly'],
    ['eval --settings plain residual contrastive both --controls all', 'the full table'],
    ['eval prosqa_test.json --alpha 0.3 --items run.jsonl', 'on record, and resumable'],
    ['eval prosqa_test.json --latents 3 --controls zero,permute,latents-6 --json', ''],
  ],
  operand: { name: 'DATA', description: 'a data file, or sample (default) or validation', required: false },
  options: { ...evalOptions, ...modelOptions, ...backendOptions },
  async run({ values, operand = 'sample', output, signal }) {
    const [
      { defaultLatents, withSession },
      { readQuestions },
      { runEvaluation },
      { refuseUnusedReferences },
      { formatEvaluation },
      { taskOf },
      { evaluationReport },
    ] = await Promise.all([
      import('../models.ts'),
      import('../questions.ts'),
      import('../evaluation-run.ts'),
      import('../settings.ts'),
      import('../report.ts'),
      import('@afterthought/core/data'),
      import('@afterthought/core/evaluation'),
    ])
    const { limit, seed = 0, batch, items, dtype } = values
    const questions = await readQuestions(operand, limit)
    await withSession(values, output, async ({ models }) => {
      const rows = await planRows(values, defaultLatents(models.main, values.latents, output))
      refuseUnusedReferences(values, rows)
      const answered = await runEvaluation({
        ...{ models, task: taskOf(models.main), questions, rows, seed, output, signal },
        ...(batch !== undefined && { batch }),
        ...(items !== undefined && { items }),
        ...(dtype && { dtype }),
      })
      const { name, records } = questions
      const base = rows.length > 1 ? { base: rows[0]!.name } : {}
      const evaluation = evaluationReport(answered, { data: name, records, seed, ...base })
      const document = { ...evaluation, model: models.main.id, backend: models.main.backend.name }
      output.result(document, () => formatEvaluation(evaluation, output.colors))
    })
    return 0
  },
})

type EvalValues = Values<typeof evalOptions>

/** The rows of the table: presets or the options' one row, then the controls of the last of them. */
async function planRows(values: EvalValues, defaultLatents: number): Promise<EvaluationSettings[]> {
  const { describeSettings, presetSettings, readSettings } = await import('../settings.ts')
  const named = (name: string, settings: Settings): EvaluationSettings => ({ name, ...settings })
  const chosen = [...new Set(values.settings ?? [])]
  const rows = chosen.map((preset) => named(preset, presetSettings(preset, values, defaultLatents)))
  if (rows.length === 0) {
    const settings = readSettings(values, defaultLatents)
    rows.push(named(describeSettings(settings), settings))
  }
  if (values.controls === undefined) return rows
  const { findControls } = await import('@afterthought/core/evaluation')
  const base = rows.at(-1)!
  const controls = findControls(values.controls.join(','), base)
  return [...rows, ...controls.map((control) => ({ ...base, ...control.settings(base), name: control.name }))]
}
