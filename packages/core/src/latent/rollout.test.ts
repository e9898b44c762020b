import { existsSync, readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Backend } from '../backend.ts'
import { taskOf } from '../data/task.ts'
import { AbortedError, ArgumentError, CapacityError, NumericError } from '../errors.ts'
import { openFolder } from '../files/hub.ts'
import { memoryFolder } from '../io/model-folder.ts'
import { writeSafetensors } from '../io/safetensors.ts'
import { LanguageModel, loadModel } from '../models/language-model.ts'
import { reference } from '../reference/backend.ts'
import type { RefinementOptions, SearchOptions } from './options.ts'
import type { ThoughtModels } from './programs.ts'
import { type RolloutOptions, type RolloutRow, rollout } from './rollout.ts'
import { describeThoughts } from './trajectory.ts'

const embedded = new URL('../../../cli/models/prosqa/', import.meta.url).pathname
const prompts = [
  [40, 0, 1, 41, 1, 2, 41, 3, 4, 42, 2, 4, 43, 0],
  [40, 5, 1, 41, 1, 2, 42, 2, 4, 43, 5],
  [40, 0, 1, 41, 1, 2, 41, 2, 6, 41, 3, 4, 41, 4, 7, 42, 6, 7, 43, 3],
]
const base: RolloutOptions = { latents: 3, tokens: 3, endIds: [44], stopIds: [], answerLogits: true, record: true }

let backend: Backend
let models: Required<ThoughtModels>

beforeAll(async () => {
  backend = reference()
  const load = async (name: string): Promise<ThoughtModels['main']> =>
    loadModel(await openFolder(`${embedded}${name}`), backend)
  models = { main: await load('main'), good: await load('good'), bad: await load('bad') }
})

const run = async (
  options: Partial<RolloutOptions>,
  rows = prompts,
  over: ThoughtModels = models,
): Promise<RolloutRow[]> => [...(await rollout(over, rows, { ...base, ...options })).rows]
const withSearch = (search: SearchOptions, more: RefinementOptions = {}): Partial<RolloutOptions> => ({
  refinement: { ...more, search },
})

function distance(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  expect(a.length).toBe(b.length)
  return Math.max(...a.flatMap((vector, t) => Array.from(vector, (value, i) => Math.abs(value - b[t]![i]!))))
}

describe('plain rollouts', () => {
  it('α = 0 and s = 0 change no bit', async () => {
    const plain = await run({})
    for (const plan of ['stepped', 'trajectory'] as const) {
      const off = await run({ plan, refinement: { residual: { alpha: 0 }, search: { step: 0 } } })
      off.forEach((row, b) => {
        expect(row.thoughts).toEqual(plain[b]!.thoughts)
        expect(row.answerLogits).toEqual(plain[b]!.answerLogits)
        expect(row.tokens).toEqual(plain[b]!.tokens)
      })
    }
  })

  it('a thought is the last hidden state, fed back', async () => {
    const { main } = models
    const [row] = await run({ latents: 2 }, [prompts[0]!])
    const cache = main.createCache(1, 40)
    const ids = main.uploadIds([prompts[0]!], prompts[0]!.length)
    const read = async (buffer: Parameters<Backend['download']>[0]): Promise<Float32Array> =>
      (await backend.download(buffer)) as Float32Array
    const width = main.config.width
    const first = (await read((await main.forward(cache, ids)).lastHidden)).slice(-width)
    expect(distance([row!.thoughts[0]!], [first])).toBeLessThan(1e-5)
    const fed = backend.upload({ shape: [1, 1, width], dtype: 'f32', data: first })
    const second = await read((await main.forward(cache, fed)).lastHidden)
    expect(distance([row!.thoughts[1]!], [second])).toBeLessThan(1e-5)
  })

  it('ragged rows think what they think alone, whatever the padding', async () => {
    const together = await run({ promptLength: 32 })
    for (const [b, prompt] of prompts.entries()) {
      const [alone] = await run({}, [prompt])
      expect(distance(together[b]!.thoughts, alone!.thoughts)).toBeLessThan(1e-4)
      expect(together[b]!.tokens).toEqual(alone!.tokens)
    }
  })

  it('no thoughts: the end tokens follow the prompt', async () => {
    const ended = await run({ latents: 0, endIds: [] }, [[...prompts[0]!, 44]])
    expect((await run({ latents: 0 }, [prompts[0]!]))[0]!.answerLogits).toEqual(ended[0]!.answerLogits)
  })

  it('stops at a stop token, from the first one on, row by row', async () => {
    const free = await run({ tokens: 4 })
    const first = free[0]!.tokens[0]!
    for (const plan of ['stepped', 'trajectory'] as const) {
      const stopped = await run({ tokens: 4, stopIds: [first], plan })
      stopped.forEach((row, b) => {
        const at = free[b]!.tokens.indexOf(first)
        expect(row.tokens).toEqual(at < 0 ? free[b]!.tokens : free[b]!.tokens.slice(0, at + 1))
        expect(row.finish).toBe(at < 0 ? 'length' : 'eos')
      })
      expect(stopped[0]!.tokens).toEqual([first])
    }
  })
})

const refinements: [string, Partial<RolloutOptions>][] = [
  ['residual', { refinement: { residual: { alpha: 0.3 } } }],
  ['residual from the start embedding', { refinement: { residual: { alpha: 0.3, first: 'startEmbedding' } } }],
  ['search', withSearch({ step: 0.25 })],
  ['both, search first', withSearch({ step: 0.25 }, { residual: { alpha: 0.2 }, order: 'search-first' })],
  ['printed sign', withSearch({ eta: 8, sign: 'paper' })],
  ['same step', withSearch({ step: 0.25, refStep: 'same' })],
  ['probes committed', withSearch({ step: 0.25, refCommit: 'probe' })],
  ['without context', withSearch({ step: 0.25, refContext: 'none' })],
  ['main embeddings', withSearch({ step: 0.25, refEmbeddings: 'main' })],
  ['relative', withSearch({ lambda: 0.1, stepMode: 'relative' })],
  ['full gradient', withSearch({ step: 0.1, gradient: 'full' })],
  ['inner steps, references asked again', withSearch({ step: 0.1, innerSteps: 2, recomputeReferences: true })],
  ['some slots', withSearch({ step: 0.25 }, { residual: { alpha: 0.2 }, applyAt: [2] })],
  ['random direction', withSearch({ step: 0.25 }, { control: 'randomDirection' })],
  ['zeros', { replace: 'zero' }],
  ['noise', { replace: 'noise' }],
  ['first', { replace: 'first' }],
  ['pause', { replace: 'pause' }],
]

describe.each(refinements)('%s', (_name, options) => {
  it('is the same in one graph and step by step, and in a batch and alone', async () => {
    const stepped = await run({ ...options, streams: [7, 8, 9] })
    const trajectory = await run({ ...options, streams: [7, 8, 9], plan: 'trajectory' })
    const [alone] = await run({ ...options, streams: [8] }, [prompts[1]!])
    const plain = await run({})
    stepped.forEach((row, b) => {
      expect(distance(row.thoughts, trajectory[b]!.thoughts)).toBeLessThan(1e-4)
      expect(distance(row.candidates!, trajectory[b]!.candidates!)).toBeLessThan(1e-4)
      if (row.good) expect(distance(row.good, trajectory[b]!.good!)).toBeLessThan(1e-4)
      expect(row.tokens).toEqual(trajectory[b]!.tokens)
      expect(distance(row.thoughts, plain[b]!.thoughts)).toBeGreaterThan(1e-3)
    })
    expect(distance(stepped[1]!.thoughts, alone!.thoughts)).toBeLessThan(1e-4)
  })
})

it('pauses on the latent marker, or on the mean embedding where a model has none', async () => {
  const { main } = models
  const marked = new LanguageModel(main.id, main.config, main.parameters, main.backend, undefined, {
    ...main.latent!,
    latentId: 45,
  })
  const { width, vocabSize } = main.config
  const table = (await main.parameters.get('model.embed_tokens.weight')!.read()) as Float32Array
  const marker = table.subarray(45 * width, 46 * width)
  const mean = new Float32Array(width).map((_, i) => {
    let sum = 0
    for (let id = 0; id < vocabSize; id++) sum += table[id * width + i]!
    return sum / vocabSize
  })
  const [on] = await run({ replace: 'pause' }, [prompts[1]!], { main: marked })
  const [without] = await run({ replace: 'pause' }, [prompts[1]!])
  expect(distance(on!.thoughts, [marker, marker, marker])).toBe(0)
  expect(distance(without!.thoughts, [mean, mean, mean])).toBeLessThan(1e-6)
})

describe('refinement, exactly', () => {
  it('equal references do not move a thought', async () => {
    const same = { main: models.main, good: models.good, bad: models.good }
    const plain = await run({})
    for (const search of [{ step: 1 }, { lambda: 1, stepMode: 'relative' }] as const) {
      const rows = await run(withSearch(search), prompts, same)
      rows.forEach((row, b) => expect(distance(row.thoughts, plain[b]!.thoughts)).toBeLessThan(1e-5))
    }
  })

  it('the printed sign with good and bad is the code’s with bad and good; so is the swap control', async () => {
    const paper = await run(withSearch({ step: 0.25, sign: 'paper' }))
    const swapped = await run(withSearch({ step: 0.25 }), prompts, { ...models, good: models.bad, bad: models.good })
    const control = await run(withSearch({ step: 0.25 }, { control: 'swapReferences' }))
    paper.forEach((row, b) => {
      expect(distance(row.thoughts, swapped[b]!.thoughts)).toBeLessThan(1e-5)
      expect(distance(row.thoughts, control[b]!.thoughts)).toBeLessThan(1e-5)
    })
  })

  it('α = 1 repeats the first thought', async () => {
    for (const row of await run({ refinement: { residual: { alpha: 1 } } })) {
      for (const thought of row.thoughts) expect(distance([thought], [row.thoughts[0]!])).toBeLessThan(1e-6)
    }
  })

  it('η = D/2 gives h + g − b', async () => {
    for (const row of await run(withSearch({ eta: models.main.config.width / 2 }))) {
      const moved = row.candidates!.map((h, t) => h.map((value, i) => value + row.good![t]![i]! - row.bad![t]![i]!))
      expect(distance(row.thoughts, moved)).toBeLessThan(1e-5)
    }
  })

  it('K inner steps with fixed references are one step of K·η', async () => {
    const [inner, once] = [await run(withSearch({ eta: 4, innerSteps: 3 })), await run(withSearch({ eta: 12 }))]
    inner.forEach((row, b) => expect(distance(row.thoughts, once[b]!.thoughts)).toBeLessThan(1e-4))
  })

  it('a batch mean couples the rows: its step shrinks with the batch', async () => {
    const [coupled] = await run(withSearch({ eta: 30, reduction: 'batchMean' }))
    const [single] = await run(withSearch({ eta: 10 }))
    expect(distance(coupled!.thoughts, single!.thoughts)).toBeLessThan(1e-4)
  })

  it('a random direction has the length of the difference of the references', async () => {
    for (const row of await run(withSearch({ step: 0.5 }, { control: 'randomDirection' }))) {
      row.thoughts.forEach((thought, t) => {
        const norm = (f: (i: number) => number): number => Math.hypot(...Array.from(thought, (_, i) => f(i)))
        const moved = norm((i) => thought[i]! - row.candidates![t]![i]!)
        expect(moved).toBeCloseTo(0.5 * norm((i) => row.good![t]![i]! - row.bad![t]![i]!), 4)
      })
    }
  })
})

describe('sampling', () => {
  const sampling = { temperature: 1.5 }
  it('repeats with its seed and stream, in any batch', async () => {
    const options = { tokens: 6, sampling, seed: 3, streams: [4, 5, 6] }
    const [once, again] = [await run(options), await run(options)]
    expect(again.map((row) => row.tokens)).toEqual(once.map((row) => row.tokens))
    const [alone] = await run({ ...options, streams: [5] }, [prompts[1]!])
    expect(alone!.tokens).toEqual(once[1]!.tokens)
    const trajectory = await run({ ...options, plan: 'trajectory' })
    expect(trajectory.map((row) => row.tokens)).toEqual(once.map((row) => row.tokens))
    const other = await run({ ...options, seed: 4 })
    expect(other.map((row) => row.tokens)).not.toEqual(once.map((row) => row.tokens))
  })

  it('a temperature of 0 is greedy', async () => {
    const greedy = await run({})
    expect((await run({ sampling: { temperature: 0 } })).map((row) => row.tokens)).toEqual(
      greedy.map((row) => row.tokens),
    )
  })
})

describe('refusals', () => {
  it.each<[string, Partial<RolloutOptions>, new (message: string) => Error]>([
    ['fractional latents', { latents: 1.5 }, ArgumentError],
    ['no tokens', { tokens: 0 }, ArgumentError],
    ['an unknown end token', { endIds: [48] }, ArgumentError],
    ['padding below the prompt', { promptLength: 5 }, ArgumentError],
    ['alpha above 1', { refinement: { residual: { alpha: 2 } } }, ArgumentError],
    ['a step that is no number', withSearch({ step: Number.NaN }), ArgumentError],
    ['vectors of another size', { replace: new Float32Array(5) }, ArgumentError],
    ['more positions than there are', { tokens: 600 }, CapacityError],
    ['a step that blows up', withSearch({ step: 1e39 }), NumericError],
  ])('%s', async (_name, options, error) => {
    await expect(run(options)).rejects.toThrow(error)
  })

  it('an unknown token, an empty prompt, no prompt, a missing reference', async () => {
    await expect(run({}, [[48]])).rejects.toThrow(/0 … 47/)
    await expect(run({}, [[]])).rejects.toThrow(ArgumentError)
    await expect(run({}, [])).rejects.toThrow(ArgumentError)
    await expect(run(withSearch({ step: 1 }), prompts, { main: models.main })).rejects.toThrow(/good reference/)
  })

  it('stops between steps when asked to', async () => {
    const controller = new AbortController()
    const onStep = (): void => controller.abort()
    await expect(run({ signal: controller.signal, onStep })).rejects.toThrow(AbortedError)
  })

  it('weights that are NaN', async () => {
    const folder = await openFolder(`${embedded}main`)
    const { openSafetensors } = await import('../io/safetensors.ts')
    const { tensors } = await openSafetensors(await folder.open('model.safetensors'))
    const host = new Map<string, { shape: readonly number[]; dtype: 'f32'; data: Float32Array }>()
    for (const [name, { shape, read }] of tensors) {
      host.set(name, { shape, dtype: 'f32', data: (await read()) as Float32Array })
    }
    host.get('model.norm.weight')!.data = Float32Array.from({ length: 128 }, () => Number.NaN)
    const files = { 'config.json': await folder.text('config.json'), 'model.safetensors': writeSafetensors(host) }
    const damaged = await loadModel(memoryFolder('damaged', files), reference())
    await expect(run({}, prompts, { main: damaged })).rejects.toThrow(NumericError)
  })
})

const shared = new URL('../../../../../shared/models/prosqa/', import.meta.url)
describe.runIf(existsSync(shared))('a model that was trained in PyTorch', () => {
  it('thinks and answers as it did there', async () => {
    const recorded = JSON.parse(readFileSync(new URL('expected.json', shared), 'utf8')).thoughts[
      'test[0..3], main, plain'
    ]
    const main = await loadModel(await openFolder(new URL('main', shared).pathname), reference())
    const task = taskOf(main)
    expect(task.tokens).toBe(1)
    for (const item of recorded.slice(0, 2)) {
      const [row] = await run({ latents: 6, tokens: 1 }, [item.prompt], { main })
      const thoughts = await describeThoughts(main, item.prompt, row!)
      thoughts.forEach(({ norm, top }, t) => {
        expect(norm / item.norms[t] - 1).toBeLessThan(1e-3)
        expect(top.map(({ id }) => id)).toEqual(item.top_ids[t])
        top.forEach(({ logit }, i) => expect(logit).toBeCloseTo(item.top_logits[t][i], 3))
      })
      expect(row!.answerLogits![item.answer_logits_top5[0][0]]).toBeCloseTo(item.answer_logits_top5[0][1], 2)
      expect(row!.tokens).toEqual([item.answer_logits_top5[0][0]])
    }
  })
})
