/** `afterthought trace`: the thoughts of one question on record, as JSON, as a page or as a drawing. */

import type { LanguageModel, ThoughtModels, ThoughtRecord } from '@afterthought/core'
import type { Task } from '@afterthought/core/data'
import { type Command, defineCommand } from '../command.ts'
import type { Trajectory } from '../drawing/trajectory.ts'
import { backendOptions, modelOptions, refinementOptions, thoughtOptions } from '../options.ts'
import type { Settings } from '../settings.ts'
import type { ThinkOptions, ThoughtProcess } from '../thinking.ts'
import { formatProcess } from './solve.ts'

/** Tokens per reading, unless asked for more. */
const TOP = 5

export const command: Command = defineCommand({
  description:
    'Records the thoughts of one question: norms, displacements, entropies, what each thought and the references read\n' +
    'as, and with --vectors the thoughts themselves. --html and --svg draw them: for ProsQA over the graph of the\n' +
    'question, refined thoughts beside the plain ones. The page fits any screen; the SVG is for papers and slides. What\n' +
    'is printed without --json is the table of solve.',
  examples: [
    ['trace --html trace.html "…"', 'a page to look at'],
    ['trace --alpha 0.3 --svg trace.svg - < question.txt', 'refined beside plain, as one drawing'],
    ['trace --vectors --json "…"', 'everything, for a program'],
  ],
  operand: { name: 'QUESTION', description: 'the question, or - to read it from standard input', required: true },
  options: {
    html: { type: 'text', value: 'FILE', description: 'Write a page with the drawings' },
    svg: { type: 'text', value: 'FILE', description: 'Write one drawing' },
    vectors: { type: 'flag', description: 'Add the thoughts themselves to the JSON' },
    top: { type: 'integer', least: 1, value: 'N', description: `Tokens shown per thought; default ${TOP}` },
    ...thoughtOptions,
    ...refinementOptions,
    ...modelOptions,
    ...backendOptions,
  },
  async run({ values, operand, output, signal, readInput }) {
    const question = (operand === '-' ? await readInput() : operand!).trim()
    const [
      { withSession },
      { refuseFolders },
      { readSettings, refuseUnusedReferences },
      { listThoughts, think },
      { taskOf },
    ] = await Promise.all([
      import('../models.ts'),
      import('../files.ts'),
      import('../settings.ts'),
      import('../thinking.ts'),
      import('@afterthought/core/data'),
    ])
    const { seed = 0, top = TOP, html, svg } = values
    refuseFolders({ html, svg })
    await withSession(values, output, async ({ models, loadMs }) => {
      const { main } = models
      const settings = readSettings(values, main.latent?.latents ?? 0)
      refuseUnusedReferences(values, [settings])
      const task = taskOf(main)
      const options = { seed, signal, top: readTokens(main, task, top) }
      const thinking = await think(models, task, question, settings, options)
      const files = { ...(html !== undefined && { html }), ...(svg !== undefined && { svg }) }
      if (html !== undefined || svg !== undefined) {
        await draw(await compared(models, task, thinking, settings, options), files)
      }
      const shown = { ...thinking, thoughts: thinking.thoughts.map((thought) => cut(thought, top)) }
      output.result(
        {
          question,
          answer: thinking.answer,
          answerIds: thinking.row.tokens,
          settings: thinking.settings,
          thoughts: listThoughts(shown, values.vectors),
          ms: { load: loadMs, run: thinking.runMs },
          ...(Object.keys(files).length > 0 && { files }),
        },
        () => formatProcess(shown, output.colors),
      )
      for (const file of Object.values(files)) output.note(`drawn: ${file}`)
    })
    return 0
  },
})

/** Over a graph every name of the question is read: its vocabulary is small. */
function readTokens({ config }: LanguageModel, task: Task, top: number): number {
  return task.name === 'prosqa-symbolic' ? config.vocabSize : top
}

function cut({ top, good, bad, ...thought }: ThoughtRecord, count: number): ThoughtRecord {
  return {
    ...thought,
    top: top.slice(0, count),
    ...(good && { good: good.slice(0, count) }),
    ...(bad && { bad: bad.slice(0, count) }),
  }
}

/** What is drawn: the run that was asked for, and the plain one beside it where that is another. */
async function compared(
  models: ThoughtModels,
  task: Task,
  thinking: ThoughtProcess,
  settings: Settings,
  options: ThinkOptions,
): Promise<Trajectory> {
  const [{ think }, { describeSettings }] = await Promise.all([import('../thinking.ts'), import('../settings.ts')])
  const { question, prompt, view } = thinking
  const name = describeSettings(settings)
  const run = { name, answer: thinking.answer, thoughts: thinking.thoughts }
  const plain =
    name === 'plain' ? undefined : await think(models, task, question, { latents: settings.latents }, options)
  const { model, backend } = thinking.settings
  const thoughts = settings.latents === 1 ? '1 thought' : `${settings.latents} thoughts`
  return {
    question,
    setting: `${thoughts}, model ${model} on ${backend}`,
    runs: plain ? [run, { name: 'plain', answer: plain.answer, thoughts: plain.thoughts }] : [run],
    ...(prompt.graph && view && { graph: { question: prompt.graph, view } }),
  }
}

async function draw(
  trajectory: Trajectory,
  { html, svg }: { readonly html?: string; readonly svg?: string },
): Promise<void> {
  const { writeFileAtomically } = await import('@afterthought/core/files')
  if (html !== undefined) {
    const { trajectoryPage } = await import('../drawing/page.ts')
    await writeFileAtomically(html, trajectoryPage(trajectory))
  }
  if (svg !== undefined) {
    const { trajectorySvg } = await import('../drawing/trajectory.ts')
    await writeFileAtomically(svg, trajectorySvg(trajectory))
  }
}
