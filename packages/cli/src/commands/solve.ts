/** `afterthought solve`: the answer to a question, and the thoughts on the way to it. */

import { type Command, defineCommand } from '../command.ts'
import { backendOptions, modelOptions, refinementOptions, thoughtOptions } from '../options.ts'
import type { Colors } from '../output.ts'
import { formatTable } from '../table.ts'
import type { ThoughtProcess } from '../thinking.ts'

export const command: Command = defineCommand({
  description:
    'Answers a question by latent reasoning and shows the thoughts: each is read through the unembedding, as if the\n' +
    'next token were predicted from it. For ProsQA the names that lie exactly that many facts away are marked.',
  examples: [
    ['solve "Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?"', ''],
    ['solve --alpha 0.3 "…"', 'the same with residual refinement'],
    ['solve --step 0.25 --json - < question.txt', 'contrastive search; the question from standard input'],
  ],
  operand: { name: 'QUESTION', description: 'the question, or - to read it from standard input', required: true },
  options: {
    top: { type: 'integer', least: 1, value: 'N', description: 'Tokens shown per thought; default 5' },
    ...thoughtOptions,
    ...refinementOptions,
    ...modelOptions,
    ...backendOptions,
  },
  async run({ values, operand, output, signal, readInput }) {
    const question = (operand === '-' ? await readInput() : operand!).trim()
    const [
      { defaultLatents, withSession },
      { readSettings, refuseUnusedReferences },
      { listThoughts, think },
      { taskOf },
    ] = await Promise.all([
      import('../models.ts'),
      import('../settings.ts'),
      import('../thinking.ts'),
      import('@afterthought/core/data'),
    ])
    await withSession(values, output, async ({ models, loadMs }) => {
      const settings = readSettings(values, defaultLatents(models.main, values.latents, output))
      refuseUnusedReferences(values, [settings])
      const { seed = 0, top } = values
      const options = { seed, signal, ...(top !== undefined && { top }) }
      const thinking = await think(models, taskOf(models.main), question, settings, options)
      output.result(
        {
          question,
          answer: thinking.answer,
          answerIds: thinking.row.tokens,
          settings: thinking.settings,
          thoughts: listThoughts(thinking),
          ms: { load: loadMs, run: thinking.runMs },
        },
        () => formatProcess(thinking, output.colors),
      )
    })
    return 0
  },
})

/** The thoughts as a table, and the answer under it. */
export function formatProcess(
  { thoughts, answer, view }: Pick<ThoughtProcess, 'thoughts' | 'answer' | 'view'>,
  colors: Colors,
): string {
  const frontiers = view?.frontiers
  const lines = thoughts.map(({ t, norm, displacement, moved, top }) => {
    const frontier = frontiers?.[t]
    const reading = top.map(({ id, token, probability }) => {
      const expected = frontier?.includes(id) ?? false
      const text = `${expected ? '●' : ' '}${token} ${probability.toFixed(2)}`
      return expected ? colors.green(text) : probability < 0.05 ? colors.dim(text) : text
    })
    return [String(t), short(norm), short(displacement), moved && moved > 0 ? short(moved) : '', ...reading]
  })
  const readings = Math.max(0, ...thoughts.map(({ top }) => top.length))
  const columns = [
    { title: 't', align: 'right' },
    { title: 'norm', align: 'right' },
    { title: 'step', align: 'right' },
    { title: 'moved', align: 'right' },
    ...Array.from({ length: readings }, (_, i) => ({ title: i === 0 ? ' reads as' : '' })),
  ] as const
  const shown = lines.some((line) => line[3] !== '') ? columns : columns.filter(({ title }) => title !== 'moved')
  const cells = shown === columns ? lines : lines.map(([t, norm, step, , ...rest]) => [t!, norm!, step!, ...rest])
  const unused = thoughts.some(({ top }) => top.some(({ token }) => /^\d+$/.test(token)))
  const legend = frontiers
    ? colors.dim(
        `● exactly t facts away from the person${unused ? '; numbers are symbols no name of the question has' : ''}`,
      )
    : ''
  return [
    ...(thoughts.length > 0 ? [formatTable(shown, cells, colors.dim), legend, ''] : []),
    colors.bold(answer === '' ? '(no answer)' : answer),
  ]
    .filter((line, i, all) => line !== '' || all[i - 1] !== '')
    .join('\n')
}

function short(value: number): string {
  return value < 1e4 ? value.toFixed(2) : value.toExponential(1)
}
