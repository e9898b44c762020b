/**
 * Running an evaluation: a data set through one set of settings, in batches, item by item on record.
 *
 * Questions are sorted by length, so that batches share a few padded lengths and little is computed on padding; each
 * question's random stream is its index, so neither batch size nor a resumed run changes an answer.
 */

import type { QuestionRecord } from '../data/formats.ts'
import { Random } from '../data/random.ts'
import type { Task, TaskPrompt } from '../data/task.ts'
import { ArgumentError } from '../errors.ts'
import type { RefinementOptions } from '../latent/options.ts'
import type { ThoughtModels } from '../latent/programs.ts'
import { type Rollout, type RolloutOptions, type RolloutRow, rollout } from '../latent/rollout.ts'
import { exactMatch, numberOf, numericMatch } from './answers.ts'
import type { ThoughtReplacement } from './controls.ts'
import type { ItemRecord, RowInput } from './report.ts'

/** One row of an evaluation's table. */
export interface EvaluationSettings {
  readonly name: string
  /** The same number of thoughts for every question. */
  readonly latents: number
  readonly replace?: ThoughtReplacement
  readonly refinement?: RefinementOptions
}

export interface EvaluateOptions {
  readonly task: Task
  readonly settings: EvaluationSettings
  /** Of noise, random directions and permutations. Default 0. */
  readonly seed?: number
  /** Questions per batch. Default 32. */
  readonly batch?: number
  /** Answers of an earlier run with these settings: they are not computed again. */
  readonly known?: readonly ItemRecord[]
  readonly signal?: AbortSignal
  /** Called with every finished batch. */
  readonly onItems?: (items: readonly ItemRecord[]) => void | Promise<void>
}

/** Prompts are padded to a multiple of this, so that a data set compiles a handful of lengths. */
const LENGTH_STEP = 32

/**
 * Answers every record.
 *
 * @throws ArgumentError for a question the task cannot read (naming its index), or settings that do not go together
 */
export async function evaluate(
  models: ThoughtModels,
  records: readonly QuestionRecord[],
  options: EvaluateOptions,
): Promise<RowInput> {
  const { settings, task, known = [], onItems } = options
  const prompts = records.map((record, index) => encode(task, record, index))
  const items = new Map(known.map((item) => [item.index, item]))
  const batches = batchesOf(prompts, options.batch ?? 32, (index) => !items.has(index))
  const given = batches.length === 0 ? undefined : await borrowedThoughts(models, prompts, options)
  for (const batch of batches) {
    const replace = given ? { replace: stack(batch, given) } : ownReplacement(settings)
    const { rows, ms } = await run(models, prompts, batch, options, replace)
    const share = (ms.prefill + ms.decode) / batch.indices.length
    const finished = batch.indices.map((index, b) =>
      record(settings, prompts[index]!, records[index]!, index, rows[b]!, share),
    )
    for (const item of finished) items.set(item.index, item)
    await onItems?.(finished)
  }
  const sorted = [...items.values()].sort((a, b) => a.index - b.index)
  return { name: settings.name, settings, items: sorted, ms: sorted.reduce((sum, item) => sum + item.ms, 0) }
}

function encode(task: Task, { question }: QuestionRecord, index: number): TaskPrompt {
  try {
    return task.encode(question)
  } catch (cause) {
    throw new ArgumentError(`question ${index} is not of the task ${task.name}: ${(cause as Error).message}`, {
      where: 'evaluate',
      cause,
    })
  }
}

interface QuestionBatch {
  /** Data indices of the rows that count. */
  readonly indices: readonly number[]
  /** Rows in all; the last question is repeated to fill up a batch. */
  readonly size: number
  readonly promptLength: number
}

function batchesOf(prompts: readonly TaskPrompt[], most: number, wanted: (index: number) => boolean): QuestionBatch[] {
  const lengthOf = (index: number): number => prompts[index]!.promptIds.length + prompts[index]!.endIds.length
  const order = [...prompts.keys()].filter(wanted).sort((a, b) => lengthOf(a) - lengthOf(b) || a - b)
  const size = Math.min(most, order.length)
  const batches: QuestionBatch[] = []
  for (let at = 0; at < order.length; at += size) {
    const indices = order.slice(at, at + size)
    const longest = Math.max(...indices.map(lengthOf))
    batches.push({ indices, size, promptLength: Math.ceil(longest / LENGTH_STEP) * LENGTH_STEP })
  }
  return batches
}

/** The data index of every row of a batch, fillers included. */
const rowsOf = ({ indices, size }: QuestionBatch): number[] =>
  Array.from({ length: size }, (_, b) => indices[Math.min(b, indices.length - 1)]!)

function run(
  models: ThoughtModels,
  prompts: readonly TaskPrompt[],
  batch: QuestionBatch,
  { settings, task, seed = 0, signal }: EvaluateOptions,
  replace: Pick<RolloutOptions, 'replace'>,
): Promise<Rollout> {
  const rows = rowsOf(batch)
  const [first] = rows
  return rollout(
    models,
    rows.map((index) => prompts[index]!.promptIds),
    {
      latents: settings.latents,
      tokens: task.tokens,
      endIds: prompts[first!]!.endIds,
      seed,
      streams: rows,
      plan: task.tokens === 1 ? 'trajectory' : 'stepped',
      promptLength: batch.promptLength,
      answerLogits: prompts[first!]!.optionIds !== undefined,
      ...(task.stopIds && { stopIds: task.stopIds }),
      ...(settings.refinement && { refinement: settings.refinement }),
      ...(signal && { signal }),
      ...replace,
    },
  )
}

function ownReplacement({ replace = 'none' }: EvaluationSettings): Pick<RolloutOptions, 'replace'> {
  return replace === 'none' || replace === 'other-question' || replace === 'permute' ? {} : { replace }
}

/**
 * Thoughts that come from elsewhere, per question T vectors: the next question's, or the question's own in another
 * order. They are taken from an unreplaced run over all questions.
 */
async function borrowedThoughts(
  models: ThoughtModels,
  prompts: readonly TaskPrompt[],
  options: EvaluateOptions,
): Promise<readonly (readonly Float32Array[])[] | undefined> {
  const { replace, latents } = options.settings
  if (latents === 0 || (replace !== 'other-question' && replace !== 'permute')) return undefined
  if (replace === 'other-question' && prompts.length < 2) {
    throw new ArgumentError('there is no other question', {
      where: 'replace other-question',
      expected: 'at least two questions',
      actual: `${prompts.length}`,
    })
  }
  const thoughts = new Array<readonly Float32Array[]>(prompts.length)
  for (const batch of batchesOf(prompts, options.batch ?? 32, () => true)) {
    const { rows } = await run(models, prompts, batch, options, {})
    batch.indices.forEach((index, b) => {
      thoughts[index] = rows[b]!.thoughts
    })
  }
  if (replace === 'other-question') return thoughts.map((_, index) => thoughts[(index + 1) % thoughts.length]!)
  return thoughts.map((own, index) => permuted(own, new Random(options.seed ?? 0, index)))
}

/** A random order of two or more thoughts in which at least one has moved. */
export function permuted<T>(own: readonly T[], random: Random): readonly T[] {
  if (own.length < 2) return own
  for (;;) {
    const order = random.shuffle([...own.keys()])
    if (order.some((from, at) => from !== at)) return order.map((from) => own[from]!)
  }
}

/** [B, T, D] of a batch's rows. */
function stack(batch: QuestionBatch, thoughts: readonly (readonly Float32Array[])[]): Float32Array {
  const vectors = rowsOf(batch).flatMap((index) => thoughts[index]!)
  const width = vectors[0]!.length
  const data = new Float32Array(vectors.length * width)
  vectors.forEach((vector, i) => data.set(vector, i * width))
  return data
}

function record(
  settings: EvaluationSettings,
  prompt: TaskPrompt,
  { answer: gold }: QuestionRecord,
  index: number,
  row: RolloutRow,
  ms: number,
): ItemRecord {
  const answer = prompt.answer(row.tokens)
  const twoWay = row.answerLogits && prompt.optionIds && prefersGold(row.answerLogits, prompt, prompt.optionIds, gold)
  const numeric = numberOf(gold) !== undefined
  return {
    row: settings.name,
    index,
    gold,
    answer,
    answerIds: row.tokens,
    correct: exactMatch(answer, gold),
    latents: settings.latents,
    tokens: row.tokens.length,
    ms,
    ...(twoWay !== undefined && { twoWay }),
    ...(numeric && { numeric: numericMatch(answer, gold) }),
    ...(numeric && { unparsable: numberOf(answer) === undefined }),
  }
}

/** Whether the right one of the two options has the larger logit. */
function prefersGold(
  logits: Float32Array,
  prompt: TaskPrompt,
  [first, second]: readonly [number, number],
  gold: string,
): boolean {
  const preferred = logits[first]! >= logits[second]! ? first : second
  return exactMatch(prompt.answer([preferred]), gold)
}
