/** `afterthought train`: a recipe, run from nothing or taken up again, with everything it went through written down. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { AbortedError, type Backend, FileError, FormatError } from '@afterthought/core'
import { writeFileAtomically } from '@afterthought/core/files'
import type { StepRecord, TrainingRun } from '@afterthought/train'
import { asset } from '../assets.ts'
import { type Command, defineCommand } from '../command.ts'
import { beginCourse, type CourseValues, type PreparedCourse, rememberedCourse, type Validation } from '../courses.ts'
import { type LogLine, learningCurves } from '../drawing/learning-curves.ts'
import { svgFile } from '../drawing/svg.ts'
import { readJson, readText } from '../files.ts'
import { backendOptions } from '../options.ts'
import type { Output } from '../output.ts'
import { formatSeconds } from '../progress.ts'
import { UsageError } from '../usage-error.ts'

const STATE = 'state.safetensors'
const LOG = 'log.jsonl'
const CURVES = 'curves.svg'
/** Folder of the best model, and the mark of a line that competed. */
const BEST = 'best'

export const command: Command = defineCommand({
  description:
    'Trains a latent reasoner by a recipe: the name of one that comes with the package (prosqa; its controls\n' +
    'prosqa-cot, prosqa-no-cot, prosqa-curriculum, prosqa-pause; coconut-prosqa and coconut-gsm8k, which train a\n' +
    'language model further on text), or a JSON file. The folder gets a checkpoint, a log, learning curves and the\n' +
    'model. A run that was stopped, in whatever way, goes on with --resume from its last checkpoint, with the same\n' +
    'result bit by bit on the same backend and threads.',
  examples: [
    ['train prosqa --out ./my-model', 'a model that thinks, from nothing'],
    ['train --resume ./my-model', 'after a stop, a kill, a power cut'],
    ['train prosqa-cot --seed 1 --threads 2', 'a model that writes its reasoning down instead'],
    ['solve --model ./my-model/model "…"', 'with what was trained'],
    ['train coconut-prosqa --model gpt2 --data prosqa_train.json --validation prosqa_valid.json', 'on text'],
  ],
  operand: { name: 'CONFIG', description: 'A recipe: a name or a JSON file', required: false },
  options: {
    out: { type: 'text', value: 'FOLDER', description: 'Where everything goes; default ./afterthought-NAME' },
    resume: { type: 'text', value: 'FOLDER', description: 'Take up the run of this folder again' },
    model: {
      type: 'text',
      value: 'FOLDER-or-hub-id',
      description: 'Recipes for text: the model that is trained further',
    },
    data: { type: 'text', value: 'FILE', description: 'Recipes for text: questions with their steps' },
    validation: { type: 'text', value: 'FILE', description: 'Questions; prosqa has 60 that come with the package' },
    seed: { type: 'integer', value: 'N', description: 'Instead of the seed of the recipe' },
    steps: { type: 'integer', least: 1, value: 'N', description: 'Stop after step N, with a checkpoint' },
    'checkpoint-every': { type: 'integer', least: 1, value: 'SECONDS', description: 'Default 60' },
    'report-every': { type: 'integer', least: 1, value: 'STEPS', description: 'Steps per line of the log; default 20' },
    ...backendOptions,
  },
  async run({ values, operand, output, signal }) {
    const folder = values.resume ?? values.out ?? `./afterthought-${basename(operand ?? '', '.json')}`
    if ((values.resume === undefined) === (operand === undefined)) {
      throw new UsageError('one of the two', { where: 'train', expected: 'CONFIG or --resume FOLDER' })
    }
    for (const name of ['out', 'seed', 'model', 'data'] as const) {
      if (values.resume === undefined || values[name] === undefined) continue
      throw new UsageError('has no effect with --resume: the run goes on as it was begun', { where: `--${name}` })
    }
    const path = operand === undefined ? undefined : findRecipe(operand)
    const begun = existsSync(join(folder, STATE))
    if (path === undefined && !begun) {
      throw new FileError('no run to go on with', {
        where: `train --resume ${folder}`,
        expected: `a folder with ${STATE}`,
        hint: 'Begin one with afterthought train CONFIG --out FOLDER',
      })
    }
    if (path !== undefined && begun) {
      throw new UsageError('there is a run already', {
        where: `train --out ${folder}`,
        expected: 'a new folder',
        hint: `Go on with afterthought train --resume ${folder}`,
      })
    }
    const { backend, run, prepared } = await openRun(path, folder, values, output)
    try {
      const session = new Session(run, folder, prepared, output)
      await session.open()
      const reached = await session.train({
        until: Math.min(values.steps ?? Number.POSITIVE_INFINITY, run.course.steps),
        checkpointSeconds: values['checkpoint-every'] ?? 60,
        reportSteps: values['report-every'] ?? 20,
        signal,
      })
      await run.dispose()
      if (!reached) throw new AbortedError('stopped', { hint: `Go on with afterthought train --resume ${folder}` })
      return 0
    } finally {
      await backend.dispose()
    }
  },
})

interface OpenRun {
  readonly backend: Backend
  readonly run: TrainingRun
  readonly prepared: PreparedCourse
}

/** A new run of a recipe, or that of the folder's checkpoint, whose bytes are let go with this function's end. */
async function openRun(
  path: string | undefined,
  folder: string,
  values: CourseValues,
  output: Output,
): Promise<OpenRun> {
  const [{ openBackend }, { readCheckpoint, TrainingRun }] = await Promise.all([
    import('../backend.ts'),
    import('@afterthought/train'),
  ])
  // The recipe first: a slip in it should not cost the start of a runtime.
  const state = join(folder, STATE)
  const checkpoint = path === undefined ? await readCheckpoint(await readFile(state), state) : undefined
  const prepared = checkpoint
    ? await rememberedCourse(checkpoint.recipe, values, output)
    : await beginCourse(await readJson(path!), path!, values, output)
  const backend = await openBackend(values, (line) => output.note(line))
  try {
    const { course } = prepared
    const run = checkpoint ? TrainingRun.resume(checkpoint, course, backend) : await TrainingRun.start(course, backend)
    return { backend, run, prepared }
  } catch (error) {
    await backend.dispose()
    throw error
  }
}

/** The file of a recipe of the package by name, or of another one by its path. */
function findRecipe(name: string): string {
  const own = asset(`recipes/${name}.json`)
  const path = /^[\w-]+$/.test(name) && existsSync(own) ? own : name
  if (!existsSync(path)) {
    throw new UsageError('no such recipe', { where: 'train', actual: JSON.stringify(name), hint: 'Try train prosqa' })
  }
  return path
}

interface Pace {
  readonly until: number
  readonly checkpointSeconds: number
  readonly reportSteps: number
  readonly signal: AbortSignal
}

/** A run with its folder: what is written, shown and remembered. */
class Session {
  private readonly run: TrainingRun
  private readonly folder: string
  private readonly prepared: PreparedCourse
  private readonly output: Output
  private lines: LogLine[] = []
  private latest: { readonly step: number; readonly validation: Validation } | undefined

  constructor(run: TrainingRun, folder: string, prepared: PreparedCourse, output: Output) {
    this.run = run
    this.folder = folder
    this.prepared = prepared
    this.output = output
  }

  /** Reads what the log says of the steps before the checkpoint; later ones will come again. */
  async open(): Promise<void> {
    const path = join(this.folder, LOG)
    if (this.run.steps === 0 || !existsSync(path)) return
    const lines = (await readText(path)).trimEnd().split('\n')
    const known = lines.map((text, i) => parseLogLine(text, `${path}, line ${i + 1}`))
    this.lines = known.filter(({ step }) => step <= this.run.steps)
  }

  /** @returns whether the last step was reached */
  async train({ until, checkpointSeconds, reportSteps, signal }: Pace): Promise<boolean> {
    const { run, output } = this
    if (run.steps < until)
      output.note(
        `steps ${run.steps + 1} to ${until} of ${run.course.steps}, a line every ${reportSteps}, ` +
          `a checkpoint every ${checkpointSeconds} s in ${this.folder}; Ctrl-C stops with one`,
      )
    let saved = performance.now()
    let since = performance.now()
    let records: StepRecord[] = []
    const begun = { at: performance.now(), step: run.steps }
    while (run.steps < until && !signal.aborted) {
      records.push(await run.step())
      for (const [name, step] of Object.entries(run.course.recipe.keep ?? {}))
        if (step === run.steps) await this.keep(name)
      if (run.course.competes?.(run.steps)) await this.compete()
      if (run.steps % reportSteps === 0 || run.steps === until) {
        const seconds = (performance.now() - since) / 1000
        const perStep = (performance.now() - begun.at) / 1000 / (run.steps - begun.step)
        this.report(summary(records, seconds), perStep * (until - run.steps), until)
        since = performance.now()
        records = []
      }
      if (performance.now() - saved > checkpointSeconds * 1000) {
        await this.save()
        saved = performance.now()
      }
    }
    const validation = await this.save()
    if (run.steps < until) return false
    const model = join(this.folder, 'model')
    const text = (): string =>
      `${run.steps} steps; of ${validation.n} validation questions right: ${inWords(validation)}\nmodel in ${model}`
    if (output.json) output.jsonLine({ done: true, steps: run.steps, checkpoint: this.folder, model, validation })
    else output.result({}, text)
    return true
  }

  private report(line: LogLine, secondsLeft: number, until: number): void {
    this.lines.push(line)
    const { step, loss, tokensPerSecond, task, thoughts } = line as Record<string, number>
    if (this.output.json) this.output.jsonLine(line)
    else {
      const thinking = thoughts! > 0 ? `, ${thoughts} thoughts` : ''
      const shares = ['mass', 'taskAccuracy']
        .flatMap((name) => (name in line ? [` ${name} ${(line[name] as number).toFixed(3)}`] : []))
        .join(',')
      this.output.note(
        `step ${step}/${until} ${task}${thinking}: loss ${loss!.toFixed(4)},${shares} ` +
          `${Math.round(tokensPerSecond!)} tokens/s, ${formatSeconds(secondsLeft)} left`,
      )
    }
  }

  /** Checkpoint, model, log and curves. The log is written before the checkpoint that it must reach at least. */
  private async save(): Promise<Validation> {
    const { run, folder } = this
    const validation = await this.validate()
    this.note(validation, {})
    await writeFileAtomically(join(folder, LOG), `${this.lines.map((entry) => JSON.stringify(entry)).join('\n')}\n`)
    const title = `Training, ${run.steps} of ${run.course.steps} steps`
    await writeFileAtomically(join(folder, CURVES), svgFile(learningCurves(this.lines, title)))
    await this.keep('model')
    await writeFileAtomically(join(folder, STATE), await run.checkpoint())
    return validation
  }

  /** The model is kept as the best one if no epoch before it was as good; the log knows how good they were. */
  private async compete(): Promise<void> {
    const validation = await this.validate()
    const isBest = this.lines.every((line) => !(BEST in line) || validation.accuracy > Number(line.accuracy))
    this.note(validation, { [BEST]: Number(isBest) })
    if (isBest) await this.keep(BEST)
  }

  /** The last epoch's end is also that of the run: its model is asked once. */
  private async validate(): Promise<Validation> {
    const { steps: step } = this.run
    if (this.latest?.step !== step) this.latest = { step, validation: await this.prepared.validate(this.run) }
    return this.latest.validation
  }

  private note(validation: Validation, more: Readonly<Record<string, number>>): void {
    const { n: validated, ...shares } = validation
    const line: LogLine = { step: this.run.steps, ...shares, validated, ...more }
    this.lines.push(line)
    if (this.output.json) this.output.jsonLine(line)
    else this.output.note(`validation ${inWords(validation)}`)
  }

  /** The model as it is now, as a folder of its own. */
  private async keep(name: string): Promise<void> {
    for (const [file, data] of Object.entries(await this.run.model()))
      await writeFileAtomically(join(this.folder, name, file), data)
  }
}

function parseLogLine(text: string, where: string): LogLine {
  try {
    const line = JSON.parse(text) as LogLine | null
    if (typeof line?.step === 'number') return line
  } catch {
    // Told below, as what is JSON but no line is.
  }
  throw new FormatError('not a line of a training log', {
    where,
    expected: 'a JSON object with "step"',
    actual: JSON.stringify(text.slice(0, 60)),
    hint: 'Without the file the run goes on too, and its curves begin here',
  })
}

const inWords = ({ accuracy, withoutThoughts }: Validation): string =>
  percent(accuracy) + (withoutThoughts === undefined ? '' : `, without thoughts ${percent(withoutThoughts)}`)

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

function summary(records: readonly StepRecord[], seconds: number): LogLine {
  const last = records.at(-1)!
  const mean = (name: string): number =>
    records.reduce((sum, { report }) => sum + (report[name] ?? 0), 0) / records.length
  const { accuracy, ...terms } = last.report
  return {
    step: last.step,
    phase: last.phase,
    task: last.task,
    thoughts: last.thoughts,
    learningRate: last.learningRate,
    tokensPerSecond: records.reduce((sum, { tokens }) => sum + tokens, 0) / seconds,
    seconds,
    ...Object.fromEntries(Object.keys(terms).map((name) => [name, mean(name)])),
    ...(accuracy !== undefined && { taskAccuracy: mean('accuracy') }),
  }
}
