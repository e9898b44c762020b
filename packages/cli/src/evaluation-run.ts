/** Several rows of one evaluation: settings by settings, with progress, on record in an items file if there is one. */

import type { ThoughtModels } from '@afterthought/core'
import type { Task } from '@afterthought/core/data'
import { type EvaluationSettings, evaluate, type RowInput } from '@afterthought/core/evaluation'
import { dependsOnBatch, fingerprint, ItemsFile } from './items.ts'
import type { Output } from './output.ts'
import type { Questions } from './questions.ts'
import { needsReferences } from './settings.ts'
import { UsageError } from './usage-error.ts'

export interface EvaluationRun {
  readonly models: ThoughtModels
  readonly task: Task
  readonly questions: Questions
  readonly rows: readonly EvaluationSettings[]
  readonly seed: number
  readonly batch?: number
  /** Of the weights, as stored on the backend. */
  readonly dtype?: string
  /** Path of an items file. */
  readonly items?: string
  readonly output: Output
  readonly signal: AbortSignal
}

/** @throws what `evaluate` and `ItemsFile` throw */
export async function runEvaluation(run: EvaluationRun): Promise<RowInput[]> {
  const { models, task, questions, rows, seed, batch, output, signal } = run
  const file = run.items === undefined ? undefined : openItems(run, run.items)
  const total = questions.records.length * rows.length
  const progress = output.progress('answered', total)
  let done = rows.reduce((sum, row) => sum + (file?.known(row.name).length ?? 0), 0)
  if (done > 0) output.note(`${done} of ${total} answers are known from ${run.items}`)
  progress.advance(done)
  try {
    const finished: RowInput[] = []
    for (const settings of rows) {
      const row = await evaluate(models, questions.records, {
        task,
        settings,
        seed,
        signal,
        ...(batch !== undefined && { batch }),
        ...(file && { known: file.known(settings.name) }),
        onItems(items) {
          file?.append(items)
          done += items.length
          progress.advance(done)
        },
      })
      finished.push(row)
    }
    await file?.finish(finished)
    return finished
  } catch (error) {
    if (file && signal.aborted) output.note(`${done} answers are in ${run.items}: the same command goes on from there`)
    throw error
  } finally {
    progress.end()
  }
}

function openItems(run: EvaluationRun, path: string): ItemsFile {
  const dependent = run.rows.find(dependsOnBatch)
  if (dependent) {
    throw new UsageError('answers that depend on their batch cannot be resumed', {
      where: `--items with --reduction batch-mean`,
      hint: 'Leave out --items',
    })
  }
  return new ItemsFile(path, new Map(run.rows.map((row) => [row.name, fingerprintOf(run, row)])))
}

/** Data, models, backend, seed and settings; whatever else a command says does not change an answer. */
function fingerprintOf({ models, questions, seed, dtype = 'f32' }: EvaluationRun, row: EvaluationSettings): string {
  const { main, good, bad } = models
  const taking = needsReferences(row) ? [main, good, bad] : [main]
  return fingerprint({
    questions: questions.records.map(({ question, answer }) => [question, answer]),
    models: taking.map((model) => model && [model.config, [...model.parameters.values()].map((p) => p.identity)]),
    backend: main.backend.name,
    dtype,
    seed,
    row,
  })
}
