/**
 * What a rollout is run with: options and prompts, checked, as a static plan and the host's numbers for it.
 */

import { Random } from '../data/random.ts'
import { ArgumentError } from '../errors.ts'
import type { HostArray, TensorSpec } from '../tensor/types.ts'
import { resolveRefinement } from './options.ts'
import { capacitiesOf, needsNoise, type RolloutPlan, requireModels, rolesOf, type ThoughtModels } from './programs.ts'
import type { RolloutOptions } from './rollout.ts'
import { checkSampling, isGreedy } from './sampling.ts'
import type { SlotSource } from './thought-loop.ts'

/** A rollout's static plan with its host data. */
export interface Batch {
  readonly models: ThoughtModels
  readonly options: RolloutOptions
  readonly plan: RolloutPlan
  /** Left-padded ids [B, S]. */
  readonly ids: Int32Array
  readonly starts: Int32Array
  readonly stopIds: ReadonlySet<number>
  /** [B, T, D] where the plan needs them. */
  readonly noise: Float32Array | undefined
  readonly given: Float32Array | undefined
  /** [B, N] where tokens are drawn. */
  readonly uniform: Float32Array | undefined
}

/**
 * @throws ArgumentError, CapacityError for what the options or prompts ask
 */
export function prepare(
  models: ThoughtModels,
  prompts: readonly (readonly number[])[],
  options: RolloutOptions,
): Batch {
  const { latents, tokens = 1, endIds = [], replace, refinement = {} } = options
  const { main } = models
  checkCount('latents', latents, 0)
  checkCount('tokens', tokens, 1)
  if (options.sampling) checkSampling(options.sampling)
  const source: SlotSource = replace === undefined ? 'own' : typeof replace === 'string' ? replace : 'given'
  const plan: RolloutPlan = {
    loop: {
      source: latents === 0 ? 'own' : source,
      refinement: resolveRefinement(latents === 0 ? {} : refinement, main.config.width, prompts.length),
      endIds: latents === 0 ? [] : endIds,
      pauseId: main.latent?.latentId,
    },
    batch: prompts.length,
    promptLength: 0,
    latents,
    tokens,
    ...(!isGreedy(options.sampling) && { sampling: options.sampling! }),
  }
  requireModels(models, plan)
  main.checkIds(endIds)
  const rows = latents === 0 ? prompts.map((prompt) => [...prompt, ...endIds]) : prompts
  const padded = pad(models, rows, options.promptLength)
  const sized = { ...plan, promptLength: padded.length }
  const longest = Math.max(...rows.map((row) => row.length))
  for (const role of rolesOf(sized)) models[role]!.checkPositions(longest + capacitiesOf(sized).main - padded.length)
  return {
    models,
    options,
    plan: sized,
    ids: padded.ids,
    starts: padded.starts,
    stopIds: new Set(options.stopIds ?? main.config.eosIds),
    noise: needsNoise(sized.loop)
      ? draws(sized.batch, sized.latents * main.config.width, options, (random) => random.normal())
      : undefined,
    given: replace instanceof Float32Array ? checkGiven(replace, sized, main.config.width) : undefined,
    uniform: sized.sampling && draws(sized.batch, sized.tokens, options, (random) => random.uniform()),
  }
}

function checkCount(where: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= 1_000_000) return
  throw new ArgumentError('out of range', { where, expected: `a whole number from ${least} on`, actual: `${value}` })
}

function checkGiven(given: Float32Array, { batch, latents }: RolloutPlan, width: number): Float32Array {
  if (given.length === batch * latents * width) return given
  throw new ArgumentError('wrong number of values', {
    where: 'replace',
    expected: `[${batch}, ${latents}, ${width}]`,
    actual: `${given.length} values`,
  })
}

/** Left-pads the rows with 0, which is masked. */
function pad(
  { main }: ThoughtModels,
  rows: readonly (readonly number[])[],
  promptLength: number | undefined,
): { ids: Int32Array; starts: Int32Array; length: number } {
  if (rows.length === 0 || rows.some((row) => row.length === 0)) {
    throw new ArgumentError('nothing to start from', {
      where: 'prompts',
      expected: 'at least one row, each with at least one token',
      actual: `${rows.length} rows of ${rows.map((row) => row.length).join(', ')} tokens`,
    })
  }
  const longest = Math.max(...rows.map((row) => row.length))
  const length = promptLength ?? longest
  if (length < longest) {
    throw new ArgumentError('a prompt is longer than its padding', {
      where: 'promptLength',
      expected: `at least ${longest}`,
      actual: `${length}`,
    })
  }
  const ids = new Int32Array(rows.length * length)
  rows.forEach((row, b) => {
    main.checkIds(row)
    ids.set(row, (b + 1) * length - row.length)
  })
  return { ids, starts: Int32Array.from(rows, (row) => length - row.length), length }
}

/** `perRow` numbers for each row, from a stream of its own. */
function draws(
  batch: number,
  perRow: number,
  { seed = 0, streams }: RolloutOptions,
  draw: (random: Random) => number,
): Float32Array {
  const values = new Float32Array(batch * perRow)
  for (let b = 0; b < batch; b++) {
    const random = new Random(seed, streams?.[b] ?? b)
    for (let i = 0; i < perRow; i++) values[b * perRow + i] = draw(random)
  }
  return values
}

/** The numbers of a refinement as buffers, where the plan has such inputs. */
export function coefficientTensors({ loop }: RolloutPlan): Record<string, TensorSpec & { data: HostArray }> {
  if (loop.source !== 'own') return {}
  const { residual, search } = loop.refinement
  const scalar = (value: number): TensorSpec & { data: HostArray } => ({
    shape: [],
    dtype: 'f32',
    data: Float32Array.of(value),
  })
  return { ...(residual && { alpha: scalar(residual.alpha) }), ...(search && { step: scalar(search.step) }) }
}
