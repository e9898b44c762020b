/**
 * The suite that the project is measured by: prompt → thoughts → tokens on a random model of GPT-2's shape, batch 1, f32,
 * against peers; and what refinement, low-bit weights, start and memory cost.
 *
 * All speeds are of weights and plan as a server would choose them (the faster of each pair of settings, which have rows
 * of their own); start and memory are of the defaults, as an application meets them.
 */

import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '@afterthought/core/data'
import type { Contender, Workload } from '../contender.ts'
import { freshStart } from '../fresh.ts'
import { spreadOf } from '../measure.ts'
import { openOurs } from '../ours.ts'
import { type Gpt2Shape, gpt2Small, randomGpt2 } from '../random-gpt2.ts'
import type { Row } from '../report.ts'
import { duel, duelsWithPeer, type Suite, type SuiteContext, tokenTime, wallTime } from './suite.ts'

interface Scale {
  readonly shape: Gpt2Shape
  readonly prompt: number
  readonly latents: number
  /** Numbers of answer tokens, one row each. */
  readonly tokens: readonly number[]
}

const scales: { readonly [Profile in SuiteContext['profile']]: Scale } = {
  full: { shape: gpt2Small, prompt: 200, latents: 6, tokens: [8, 16] },
  quick: {
    shape: { layers: 2, heads: 4, width: 64, vocabSize: 211, positions: 64 },
    prompt: 20,
    latents: 3,
    tokens: [3, 5],
  },
}

export const trajectory: Suite = {
  summary: 'prompt, thoughts and tokens on a random GPT-2 (124M): against peers, refined, with low-bit weights',
  peers: ['floor', 'hf', 'coconut'],
  async *run(context) {
    const scale = scales[context.profile]
    context.tell('random models of the shape (written to the cache once)')
    const main = await randomGpt2(scale.shape, context.seed)
    const workloads = workloadsOf(scale, context.seed)
    const shortest = [...workloads.values()][0]!
    yield* freshRows(main, scale, shortest, context)
    const { rows, ours, setting } = await bestSetting(main, shortest, context)
    yield* rows
    await using _ = ours
    for (const peer of context.peers.keys()) {
      for await (const row of duelsWithPeer(peer, ours, main, workloads, wallTime, context)) yield { ...row, setting }
    }
    yield { ...(await refinedRow(ours, main, scale, shortest, context)), setting }
    yield* lowBitRows(main, scale, context)
  },
}

/** `200+6+8` → the work, the prompt being random ids. */
function workloadsOf({ shape, prompt, latents, tokens }: Scale, seed: number): Map<string, Workload> {
  const random = new Random(seed, PROMPT_STREAM)
  const ids = Array.from({ length: prompt }, () => random.integer(shape.vocabSize))
  return new Map(tokens.map((count) => [`${prompt}+${latents}+${count}`, { prompt: ids, latents, tokens: count }]))
}

/** Far from the streams of the weights. */
const PROMPT_STREAM = 1_000_000

/** Start and memory in fresh processes, held against the bytes of weights and caches. */
async function* freshRows(
  folder: string,
  { shape }: Scale,
  workload: Workload,
  { threads, repetition, tell }: SuiteContext,
): AsyncGenerator<Row> {
  tell('session start, memory')
  const starts = []
  while (starts.length < Math.min(repetition.pairs, FRESH_STARTS)) {
    starts.push(await freshStart(folder, threads, workload))
  }
  yield { name: 'session start', ours: { ...spreadOf(starts.map(({ startMs }) => startMs)), unit: 'ms' } }
  const slots = workload.prompt.length + workload.latents + workload.tokens - 1
  const caches = 2 * 4 * shape.layers * shape.width * slots
  const needed = statSync(join(folder, 'model.safetensors')).size + caches
  for (const [name, part] of Object.entries({
    memory: 'modelBytes',
    'memory of the process': 'processBytes',
  } as const)) {
    yield {
      name,
      ours: { ...spreadOf(starts.map((start) => start[part] / 1e6)), unit: 'MB' },
      theirs: { ...spreadOf([needed / 1e6]), unit: 'MB' },
      ratio: spreadOf(starts.map((start) => start[part] / needed)),
    }
  }
}

const FRESH_STARTS = 3

interface Choice {
  readonly rows: readonly Row[]
  readonly ours: Contender
  readonly setting: string
}

/** Weights prepacked or mapped, one graph or steps: both pairs as rows, and the fastest of them open. */
async function bestSetting(folder: string, workload: Workload, context: SuiteContext): Promise<Choice> {
  const open = (plan: 'trajectory' | 'stepped', prepack: boolean): Promise<Contender> =>
    openOurs({ main: folder }, { threads: context.threads, plan, prepack })
  const [packed, mapped] = [await open('trajectory', true), await open('trajectory', false)]
  const weights = await duel('prepacked/mapped', packed, mapped, workload, wallTime, context)
  const prepack = weights.ratio!.median < 1
  await (prepack ? mapped : packed)[Symbol.asyncDispose]()
  const [oneGraph, steps] = [prepack ? packed : mapped, await open('stepped', prepack)]
  const plans = await duel('trajectory/stepped', oneGraph, steps, workload, wallTime, context)
  const whole = plans.ratio!.median < 1
  await (whole ? steps : oneGraph)[Symbol.asyncDispose]()
  return {
    rows: [weights, plans],
    ours: whole ? oneGraph : steps,
    setting: `${whole ? 'trajectory' : 'stepped'} plan, weights ${prepack ? 'prepacked' : 'mapped'}`,
  }
}

/** Both operations of arXiv 2506.08552 with two references of the main model's size, against none. */
async function refinedRow(
  plain: Contender,
  main: string,
  { shape }: Scale,
  workload: Workload,
  context: SuiteContext,
): Promise<Row> {
  const good = await randomGpt2(shape, context.seed + 1)
  const bad = await randomGpt2(shape, context.seed + 2)
  await using refined = await openOurs(
    { main, good, bad },
    {
      threads: context.threads,
      plan: 'trajectory',
      prepack: true,
      refinement: { residual: { alpha: 0.2 }, search: { step: 0.1 } },
    },
  )
  const { agreement: _, ...row } = await duel('refined/plain', refined, plain, workload, wallTime, context)
  return row
}

/** Time per token with weights in 4 and 8 bits, against f32. */
async function* lowBitRows(folder: string, { tokens }: Scale, context: SuiteContext): AsyncGenerator<Row> {
  const prompt = [1, 2, 3]
  const workload = { prompt, latents: 0, tokens: 2 * tokens.at(-1)! + 1 }
  const open = (dtype: 'f32' | 'int8' | 'int4'): Promise<Contender> =>
    openOurs({ main: folder }, { threads: context.threads, plan: 'stepped', dtype, prepack: true })
  await using full = await open('f32')
  for (const dtype of ['int4', 'int8'] as const) {
    await using packed = await open(dtype)
    const { agreement: _, ...row } = await duel(`${dtype}/f32`, packed, full, workload, tokenTime, context)
    yield row
  }
}
