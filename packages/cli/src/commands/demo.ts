/** `afterthought demo`: the whole in a minute, on what is inside the package. */

import { type Command, defineCommand } from '../command.ts'
import { wrap } from '../drawing/words.ts'
import { backendOptions } from '../options.ts'
import type { Colors } from '../output.ts'
import type { ThoughtProcess } from '../thinking.ts'
import { formatProcess } from './solve.ts'

/** What shows whether the thoughts carry the reasoning, and the refinement its gain. */
const CONTROLS =
  'no-thoughts,latents-3,zero,noise,first,other-question,permute,pause,alpha-1,opposite-sign,random-direction'

/** The interpreter would take minutes for all sixty. */
const FEW_QUESTIONS = 10

export const command: Command = defineCommand({
  description:
    'Answers the embedded ProsQA questions with the embedded model, shows the thoughts of one of them on its graph, and\n' +
    'evaluates with and without refinement, and with the controls that a claim about thoughts has to pass.',
  examples: [
    ['demo', ''],
    ['demo --json', 'the same for programs'],
  ],
  options: backendOptions,
  async run({ values, output, signal }) {
    const [{ withSession }, { readQuestions }, { runEvaluation }, { formatEvaluation }, thinking, data, evaluation] =
      await Promise.all([
        import('../models.ts'),
        import('../questions.ts'),
        import('../evaluation-run.ts'),
        import('../report.ts'),
        import('../thinking.ts'),
        import('@afterthought/core/data'),
        import('@afterthought/core/evaluation'),
      ])
    const trio = { model: undefined, good: undefined, bad: undefined, method: undefined }
    await withSession({ ...trio, ...values }, output, async ({ models, backend }) => {
      const questions = await readQuestions('sample', backend.name === 'reference' ? FEW_QUESTIONS : undefined)
      const task = data.taskOf(models.main)
      const { latents } = models.main.latent!
      const seed = 0

      const [shown] = questions.records
      const process = await thinking.think(models, task, shown!.question, { latents }, { seed, signal })
      output.write(`${formatQuestion(process, shown!.steps, output.colors)}\n\n`)

      const residual = { residual: { alpha: 0.1 } }
      const search = { search: { step: 0.25 } }
      const both = { name: 'both', latents, refinement: { ...residual, ...search } }
      const controls = evaluation.findControls(CONTROLS, both)
      const rows = [
        { name: 'plain', latents },
        { name: 'residual', latents, refinement: residual },
        { name: 'contrastive', latents, refinement: search },
        both,
        ...controls.map((control) => ({ ...both, ...control.settings(both), name: control.name })),
      ]
      const answered = await runEvaluation({ models, task, questions, rows, seed, output, signal })
      const { name, records } = questions
      const report = evaluation.evaluationReport(answered, { data: name, records, seed, base: 'plain' })
      const document = {
        question: process.question,
        answer: process.answer,
        thoughts: process.thoughts.map(({ vector: _, ...thought }) => thought),
        evaluation: report,
        backend: backend.name,
      }
      output.result(document, () =>
        [formatEvaluation(report, output.colors), '', conclusion(records.length, controls, output.colors)].join('\n'),
      )
    })
    return 0
  },
})

function formatQuestion(process: ThoughtProcess, steps: readonly string[], colors: Colors): string {
  const { question, thoughts } = process
  const asked = question.slice(question.lastIndexOf('.') + 1).trim()
  return [
    colors.bold('A question'),
    ...wrap(question.slice(0, question.length - asked.length).trim(), 110),
    colors.bold(asked),
    '',
    `The chain of facts that answers it: ${steps.join(' ')}`,
    '',
    `${colors.bold('What the model thought')}, without a word: ${thoughts.length} states, each fed back as the next input`,
    formatProcess(process, colors),
    '',
    colors.bold('Is that luck? Is it the thoughts? Does refinement help?'),
  ].join('\n')
}

/** Right answers on the published test file, plainly and with residual α = 0.01, 0.1, 0.3. */
export const published = { plain: 495, residual: [495, 490, 414] } as const

function conclusion(n: number, controls: readonly { name: string; description: string }[], colors: Colors): string {
  const { plain, residual } = published
  return [
    ...controls.map(({ name, description }) => colors.dim(`${name}: ${description}`)),
    '',
    `n = ${n}: a demonstration, no claim; the intervals say how little it is. Without its thoughts, or with another`,
    "question's, the model guesses. Refinement does not help this model: of the 500 published test questions it gets",
    `${plain} plainly, and with residual α = 0.01, 0.1, 0.3 it gets ${residual.join(', ')}. ${n} questions are too few`,
    `to tell ${residual[1]} from ${plain}: afterthought eval prosqa_test.json --settings plain residual --alpha 0.1`,
    'Try prosqa-early, other references, your own model: afterthought eval --help',
  ].join('\n')
}
