/**
 * One question, thought through: the rollout on record, its thoughts read through the unembedding, and what the graph
 * says they should hold. `solve`, `trace` and `demo` show it in their own ways.
 */

import {
  describeThoughts,
  type RolloutOptions,
  type RolloutRow,
  rollout,
  type ThoughtModels,
  type ThoughtRecord,
} from '@afterthought/core'
import { type EncodedQuestion, frontiers, hopDistances, type Task, type TaskPrompt } from '@afterthought/core/data'
import type { Settings } from './settings.ts'
import { UsageError } from './usage-error.ts'

export interface ThinkOptions {
  readonly seed: number
  /** Tokens per reading. Default 5. */
  readonly top?: number
  readonly signal: AbortSignal
}

export interface ThoughtProcess {
  readonly question: string
  readonly answer: string
  readonly settings: Settings & { readonly model: string; readonly backend: string; readonly seed: number }
  readonly prompt: TaskPrompt
  /** Of a ProsQA question. */
  readonly view?: GraphView
  readonly row: RolloutRow
  readonly thoughts: readonly ThoughtRecord[]
  /** Milliseconds of the rollout. */
  readonly runMs: number
}

/** @throws ArgumentError if the question is not of the task's kind, and what a rollout throws */
export async function think(
  models: ThoughtModels,
  task: Task,
  question: string,
  settings: Settings,
  { seed, top, signal }: ThinkOptions,
): Promise<ThoughtProcess> {
  const { main } = models
  const prompt = task.encode(question)
  const started = performance.now()
  const { rows } = await rollout(models, [prompt.promptIds], {
    ...rolloutSettings(settings),
    tokens: task.tokens,
    endIds: prompt.endIds,
    ...(task.stopIds && { stopIds: task.stopIds }),
    record: true,
    seed,
    signal,
  })
  const runMs = performance.now() - started
  const row = rows[0]!
  const reading = { ...(top !== undefined && { top }), tokenText: (id: number) => prompt.tokenText(id) }
  return {
    question,
    answer: prompt.answer(row.tokens),
    settings: { model: main.id, backend: main.backend.name, ...settings, seed },
    prompt,
    ...(prompt.graph && { view: viewGraph(prompt.graph, settings.latents) }),
    row,
    thoughts: await describeThoughts(main, prompt.promptIds, row, reading),
    runMs,
  }
}

/**
 * Settings as a rollout takes them.
 *
 * @throws UsageError for replacements that take other questions
 */
export function rolloutSettings({
  latents,
  replace,
  refinement,
}: Settings): Pick<RolloutOptions, 'latents' | 'replace' | 'refinement'> {
  if (replace === 'other-question' || replace === 'permute') {
    throw new UsageError('takes the thoughts of a whole data set', {
      where: `--replace ${replace}`,
      hint: 'Use it with afterthought eval',
    })
  }
  return {
    latents,
    ...(replace && replace !== 'none' && { replace }),
    ...(refinement && { refinement }),
  }
}

/** Where the names of a question stand in its graph, seen from the person. */
export interface GraphView {
  /** Symbols exactly t facts away, for t = 0 … steps. */
  readonly frontiers: readonly (readonly number[])[]
  /** Least number of facts from the person to each symbol; −1 where no chain of facts leads. */
  readonly hops: readonly number[]
}

export function viewGraph(graph: EncodedQuestion, steps: number): GraphView {
  return { frontiers: frontiers(graph, steps), hops: hopDistances(graph) }
}

/** The thoughts as JSON shows them, each with the names it should hold; vectors only where asked for. */
export function listThoughts(
  { prompt, view, thoughts }: Pick<ThoughtProcess, 'prompt' | 'view' | 'thoughts'>,
  vectors = false,
): readonly unknown[] {
  const names = (t: number): string[] => view!.frontiers[t]!.map((id) => prompt.graph!.symbols[id]!)
  return thoughts.map(({ vector, ...thought }) => ({
    ...thought,
    ...(view && { frontier: names(thought.t) }),
    ...(vectors && { vector }),
  }))
}
