/**
 * A whole refined rollout as one graph of its own, for files that other programs run: prompt and attention mask in,
 * tokens and thoughts out. It is the trajectory plan (see programs.ts) with the numbers of the refinement written into it
 * and with the inputs of Hugging Face's models around it.
 *
 * A graph has static shapes, a file should take any number of rows. So the batch is traced as a prime beyond every other
 * extent of the models: whatever is a multiple of it can only stem from the batch, and a writer can put a name there.
 */

import type { Parameter } from '../backend.ts'
import { ArgumentError } from '../errors.ts'
import * as F from '../tensor/functional.ts'
import type { Graph, Tensor } from '../tensor/graph.ts'
import { constant, trace } from '../tensor/trace.ts'
import type { TensorSpec } from '../tensor/types.ts'
import { type RefinementOptions, resolveRefinement } from './options.ts'
import {
  capacitiesOf,
  type RolloutPlan,
  requireModels,
  rolesOf,
  type ThoughtModels,
  trajectoryOutputs,
  weightsOf,
} from './programs.ts'
import type { ThoughtLoop } from './thought-loop.ts'

export interface ExportGraphOptions {
  /** S: columns of the left-padded prompts, the same for every run of the file. */
  readonly promptLength: number
  /** T: the number of thoughts. */
  readonly latents: number
  /** N: the number of greedy tokens; stop tokens are the caller's business. Default 1. */
  readonly tokens?: number
  /** Tokens fed after the thoughts (an end marker). Default none. */
  readonly endIds?: readonly number[]
  readonly refinement?: RefinementOptions
  /** Rows of every run. Default: any number, see `ExportedGraph.batch`. */
  readonly batch?: number
}

export interface ExportedGraph {
  /**
   * Inputs `input_ids` and `attention_mask` [B, S] i32: left-padded prompts, and 0 where there is padding, which may hold
   * any id. Outputs `tokens` [B, N] i32, `answer_logits` [B, V] of the first token and, with thoughts, `thoughts` [B, T, D].
   */
  readonly graph: Graph
  readonly parameters: ReadonlyMap<string, Parameter>
  /** The extent that stands for the batch: axes that are multiples of it scale with the rows. */
  readonly batch: number
}

/**
 * @throws ArgumentError if a reference is missing, or what the options ask cannot be written into a file; CapacityError
 */
export function exportGraph(models: ThoughtModels, options: ExportGraphOptions): ExportedGraph {
  const plan = planOf(models, options)
  const { batch, promptLength } = plan
  const ids: TensorSpec = { shape: [batch, promptLength], dtype: 'i32' }
  const graph = trace('trajectory', { input_ids: ids, attention_mask: ids }, (inputs) => ({
    outputs: outputsOf(models, plan, options, inputs.input_ids!, inputs.attention_mask!),
  }))
  return { graph, parameters: weightsOf(models, rolesOf(plan)), batch }
}

function planOf(models: ThoughtModels, options: ExportGraphOptions): RolloutPlan {
  const { promptLength, latents, tokens = 1, endIds = [], refinement = {} } = options
  const { main } = models
  checkCount('promptLength', promptLength, 1)
  checkCount('latents', latents, 0)
  checkCount('tokens', tokens, 1)
  main.checkIds(endIds)
  refuse(refinement.search?.reduction === 'batchMean', "the search's batchMean", 'its step depends on the batch')
  refuse(refinement.control === 'randomDirection', 'the random direction', 'it is drawn anew in every run')
  const loop: ThoughtLoop = {
    source: 'own',
    refinement: resolveRefinement(latents === 0 ? {} : refinement, main.config.width, 1),
    endIds,
    pauseId: undefined,
  }
  const plan = { loop, batch: 1, promptLength, latents, tokens }
  requireModels(models, plan)
  const longest = capacitiesOf(plan).main + (latents === 0 ? endIds.length : 0)
  for (const role of rolesOf(plan)) models[role]!.checkPositions(longest)
  const { batch = unmistakableExtent(models, longest) } = options
  checkCount('batch', batch, 1)
  return { ...plan, batch }
}

function checkCount(where: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return
  throw new ArgumentError('out of range', { where, expected: `a whole number from ${least} on`, actual: `${value}` })
}

function refuse(holds: boolean, what: string, why: string): void {
  if (holds) throw new ArgumentError(`${what} cannot be written into a file`, { where: 'export', actual: why })
}

/** The smallest prime beyond every extent that is not the batch: none of them can be a multiple of it. */
function unmistakableExtent(models: ThoughtModels, columns: number): number {
  const configs = [models.main, models.good, models.bad].flatMap((model) => (model ? [model.config] : []))
  const extents = configs.flatMap(({ vocabSize, maxPositions, width, mlpWidth, heads, headDim }) => [
    vocabSize,
    maxPositions,
    3 * width, // GPT-2's fused q, k and v
    mlpWidth,
    heads * headDim,
    heads * (columns + 1), // query heads that share a key head are folded into its rows
  ])
  let candidate = Math.max(columns, ...extents) + 1
  while (!isPrime(candidate)) candidate++
  return candidate
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
  return value > 1
}

function outputsOf(
  models: ThoughtModels,
  plan: RolloutPlan,
  { endIds = [] }: ExportGraphOptions,
  inputIds: Tensor,
  mask: Tensor,
): Record<string, Tensor> {
  const { batch, promptLength, latents, loop } = plan
  const real = F.cast(F.reduceSum(F.cast(mask, 'f32'), [1]), 'i32') // [B]
  const start = F.sub(constant(promptLength, [], 'i32'), real)
  const masked = F.mul(inputIds, mask)
  // Without thoughts the end tokens are the prompt's last ones.
  const joins = latents === 0 && endIds.length > 0
  const end =
    joins && F.broadcastTo(constant(Int32Array.from(endIds), [1, endIds.length], 'i32'), [batch, endIds.length])
  const ids = end ? F.concat([masked, end], 1) : masked
  const { residual, search } = loop.refinement
  const coefficients = { alpha: residual?.alpha ?? 0, step: search?.step ?? 0 }
  const whole = { ...plan, promptLength: ids.shape[1]! }
  const wanted = { answerLogits: true, record: false }
  const outputs = trajectoryOutputs(models, whole, { ids }, start, wanted, () => coefficients)
  return {
    tokens: outputs.tokens!,
    answer_logits: outputs.answerLogits!,
    ...(outputs.thoughts && { thoughts: outputs.thoughts }),
  }
}
