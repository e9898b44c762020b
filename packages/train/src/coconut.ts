/**
 * Coconut's curriculum for text (arXiv 2412.06769; facebookresearch/coconut@27273cb): stage by stage, the first written
 * steps of a chain give way to continuous thoughts. Every knob that the release leaves in code is an option here.
 *
 *     question <start> <latent>×(n·c) <end> steps[skipped …] answer        supervised: all behind <end>
 */

import { asRow, F, type HostTensor, lastRow, promptedCache, sizeOf, TracedDecoder } from '@afterthought/core'
import type { Random } from '@afterthought/core/data'
import type { DecoderConfig } from '@afterthought/core/io'
import { lengthFor, paddedRows } from './batches.ts'
import { tokenLoss } from './losses.ts'
import type { Batch, Objective } from './step.ts'

/** A question in tokens; the answer with its end token. */
export interface TextSample {
  readonly question: readonly number[]
  readonly steps: readonly (readonly number[])[]
  readonly answer: readonly number[]
}

export interface StageOptions {
  /**
   * `coconut`; `pause`: the latent marker's own embedding in every slot, same curriculum; `noThoughts`: the curriculum
   * alone; `cot`: all steps written; `noCot`: none. The last three have neither markers nor slots.
   */
  readonly mode: 'coconut' | 'pause' | 'noThoughts' | 'cot' | 'noCot'
  /** c: thoughts that stand for one step. */
  readonly thoughtsPerStep: number
  readonly epochsPerStage: number
  /** From the stage after this one on, no step is written. */
  readonly maxStage: number
  /** Whether questions of fewer steps still get the thoughts of `maxStage` then. */
  readonly padToMax: boolean
  /** Chance of a stage drawn from 0 … number of steps instead, anew for every sample and epoch. */
  readonly uniform: number
}

/** Epochs are counted from 0; `cot` and `noCot` stay at stage 0. */
export function stageAt({ mode, epochsPerStage }: StageOptions, epoch: number): number {
  return mode === 'cot' || mode === 'noCot' ? 0 : Math.floor(epoch / epochsPerStage)
}

export interface Stage {
  /** Steps that are not written. */
  readonly skipped: number
  /** Slots for thoughts. */
  readonly thoughts: number
}

/** What a sample of `steps` steps looks like at a stage. While training, stages up to `maxStage` are not capped by it. */
export function trainingStage(options: StageOptions, stage: number, steps: number, random: Random): Stage {
  const { mode, thoughtsPerStep, maxStage, padToMax, uniform } = options
  if (mode === 'cot') return { skipped: 0, thoughts: 0 }
  if (mode === 'noCot') return { skipped: steps, thoughts: 0 }
  const drawn = random.uniform() < uniform ? random.integer(steps + 1) : stage
  const all = drawn > maxStage
  const replaced = all ? (padToMax ? maxStage : Math.min(steps, maxStage)) : drawn
  return {
    skipped: all ? steps : Math.min(drawn, steps),
    thoughts: mode === 'noThoughts' ? 0 : replaced * thoughtsPerStep,
  }
}

/** Thoughts of a question when a model of `stage` is asked. */
export function evaluationThoughts(options: StageOptions, stage: number, steps: number): number {
  const { thoughtsPerStep, maxStage, padToMax } = options
  if (!hasMarkers(options)) return 0
  return Math.min(stage, padToMax ? maxStage : Math.min(maxStage, steps)) * thoughtsPerStep
}

/** The most thoughts that a row of a batch takes one after another: pauses are known beforehand and read like tokens. */
export function mostThoughts({ mode, thoughtsPerStep, maxStage, uniform }: StageOptions, stage: number): number {
  return mode === 'coconut' ? (uniform > 0 ? maxStage : Math.min(stage, maxStage)) * thoughtsPerStep : 0
}

/** Whether questions are followed by markers. */
export const hasMarkers = ({ mode }: StageOptions): boolean => mode === 'coconut' || mode === 'pause'

export interface MarkerIds {
  readonly start: number
  readonly end: number
  readonly latent: number
}

/** A sample at its stage: what stands before its slots, and slots with what follows them. */
interface Layout {
  readonly before: readonly number[]
  readonly behind: readonly number[]
  readonly thoughts: number
  /** Tokens at the end of `behind` that are supervised. */
  readonly taught: number
}

function layOut({ question, steps, answer }: TextSample, stage: Stage, markers: MarkerIds | undefined): Layout {
  const taught = [...steps.slice(stage.skipped).flat(), ...answer]
  const slots = markers ? [...new Array<number>(stage.thoughts).fill(markers.latent), markers.end] : []
  return {
    before: markers ? [...question, markers.start] : question,
    behind: [...slots, ...taught],
    thoughts: stage.thoughts,
    taught: taught.length,
  }
}

/** Any token will do: nothing looks at padding. */
const PADDING = 0

/**
 * A batch for `textObjective`. Rows are padded on the left so that their first slots stand in one column, then on the
 * right: a row's loss does not depend on the slots of others.
 *
 * @param lengths columns that either side is padded to: the least that holds it
 */
export function stageBatch(
  samples: readonly TextSample[],
  options: StageOptions,
  epoch: number,
  random: Random,
  markers: MarkerIds,
  lengths: readonly number[],
): Batch {
  const stage = stageAt(options, epoch)
  const rows = samples.map((sample) =>
    layOut(
      sample,
      trainingStage(options, stage, sample.steps.length, random),
      hasMarkers(options) ? markers : undefined,
    ),
  )
  const width = lengthFor(Math.max(...rows.map(({ behind }) => behind.length)), lengths)
  const { ids, start } = paddedRows(
    rows.map(({ before }) => before),
    lengthFor(Math.max(...rows.map(({ before }) => before.length)), lengths),
    PADDING,
  )
  const behind = new Int32Array(rows.length * width).fill(PADDING)
  const labels = new Int32Array(rows.length * (width + 1)).fill(-1)
  rows.forEach((row, b) => {
    behind.set(row.behind, b * width)
    labels.set(row.behind.slice(-row.taught), b * (width + 1) + row.behind.length - row.taught)
  })
  return {
    ids: ids!,
    start: start!,
    behind: { shape: [rows.length, width], dtype: 'i32', data: behind },
    labels: { shape: [rows.length, width + 1], dtype: 'i32', data: labels },
    thoughts: { shape: [rows.length], dtype: 'i32', data: Int32Array.from(rows, (row) => row.thoughts) },
  }
}

/**
 * Next-token loss with `count` columns of slots, the most that a row of the batch has; for `pause`, whose slots hold
 * tokens, 0. The last state is the next thought, after the final norm and without a projection.
 */
export function textObjective(config: DecoderConfig, count: number): Objective {
  return {
    key: `text ${count}`,
    terms(weights, { ids, start, behind, labels, thoughts }) {
      let decoder = new TracedDecoder(weights, config, promptedCache(start!))
      const width = behind!.shape[1]!
      const tokens = decoder.embed(behind!) // [B, A, D]
      const read = (rows: typeof tokens): typeof tokens => {
        const { lastHidden, next } = decoder.step(rows)
        decoder = next as typeof decoder
        return lastHidden
      }
      const states = [asRow(lastRow(read(decoder.embed(ids!))))] // predicts the first token behind
      for (let k = 0; k < Math.min(count, width); k++) {
        const filled = F.reshape(F.less(k, thoughts!), [thoughts!.shape[0]!, 1, 1])
        states.push(read(F.where(filled, states.at(-1)!, F.narrow(tokens, 1, k, k + 1))))
      }
      if (count < width) states.push(read(F.narrow(tokens, 1, count, width)))
      const logits = decoder.logits(F.concat(states, 1)) // [B, A + 1, V]
      return { loss: tokenLoss(logits, labels!) }
    },
  }
}

/** How the rows of new tokens begin: as a copy of another token's (the release: `<<`), as the mean of all, or random. */
export type MarkerInit = { readonly copyOf: number } | 'mean' | { readonly deviation: number; readonly random: Random }

/** Embedding and unembedding with `count` rows more; a config.json needs `vocab_size` to match. */
export function withMarkers(
  weights: ReadonlyMap<string, HostTensor>,
  count: number,
  init: MarkerInit,
): Map<string, HostTensor> {
  const grown = new Map(weights)
  for (const name of ['wte.weight', 'model.embed_tokens.weight', 'lm_head.weight']) {
    const table = weights.get(name)
    if (!table) continue
    const [rows, width] = table.shape as [number, number]
    const data = new Float32Array(sizeOf([rows + count, width]))
    data.set(table.data as Float32Array)
    const meanAt = (column: number): number => {
      let sum = 0
      for (let row = 0; row < rows; row++) sum += table.data[row * width + column]!
      return sum / rows
    }
    const valueAt = (column: number): number => {
      if (init === 'mean') return meanAt(column)
      return 'copyOf' in init ? table.data[init.copyOf * width + column]! : init.random.normal(0, init.deviation)
    }
    for (let i = rows * width; i < data.length; i++) data[i] = valueAt(i % width)
    grown.set(name, { shape: [rows + count, width], dtype: 'f32', data })
  }
  return grown
}
