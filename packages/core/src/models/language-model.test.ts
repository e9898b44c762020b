import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { allclose, maxError, RandomTensors, randomFamilies, randomModel } from '../../testing/index.ts'
import type { Buffer } from '../backend.ts'
import { ArgumentError, CapacityError, DisposedError, ShapeError } from '../errors.ts'
import { openLocalFolder } from '../files/open.ts'
import { reference } from '../reference/backend.ts'
import type { KvCache } from './kv-cache.ts'
import { type LanguageModel, loadModel } from './language-model.ts'

const ids = [5, 9, 2, 31, 7, 11, 36, 0]
const T = ids.length

const read = async (model: LanguageModel, buffer: Buffer): Promise<Float32Array> =>
  (await model.backend.download(buffer)) as Float32Array

/** All hidden states after the final norm [T, D] of one row of tokens, fed in parts. */
async function feed(model: LanguageModel, cache: KvCache, parts: readonly (readonly number[])[]): Promise<number[]> {
  const states: number[] = []
  for (const part of parts) {
    const { lastHidden } = await model.forward(cache, model.uploadIds([part], part.length))
    states.push(...(await read(model, lastHidden)))
  }
  return states
}

async function cacheOf(model: LanguageModel, cache: KvCache): Promise<number[]> {
  const values: number[] = []
  for (let layer = 0; layer < model.config.layers; layer++) {
    values.push(...(await cache.read('k', layer)), ...(await cache.read('v', layer)))
  }
  return values
}

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
  expect(maxError(actual, expected)).toBeLessThan(5e-6)
}

for (const family of randomFamilies) {
  describe(family, () => {
    const model = randomModel(family, reference())
    const { width } = model.config

    it('prefill of all = prefill of some, then the rest, in any parts, and with any capacity', async () => {
      const whole = model.createCache(1, T)
      const states = await feed(model, whole, [ids])
      expect(states).toHaveLength(T * width)
      for (const [parts, capacity] of [
        [ids.map((id) => [id]), T],
        [[ids.slice(0, 3), ids.slice(3, 4), ids.slice(4)], 31],
        [[ids.slice(0, 1), ids.slice(1)], 13],
      ] as const) {
        const cache = model.createCache(1, capacity)
        near(await feed(model, cache, parts), states)
        near(await cacheOf(model, cache), await cacheOf(model, whole))
        expect(cache.length).toBe(T)
      }
    })

    it('embeddings in = ids in', async () => {
      const states = await feed(model, model.createCache(1, T), [ids])
      const embeds = await model.embed(model.uploadIds([ids], T))
      expect(embeds.shape).toEqual([1, T, width])
      const { lastHidden } = await model.forward(model.createCache(1, T), embeds)
      expect([...(await read(model, lastHidden))]).toEqual(states)
    })

    it('logits: all, the last, and the unembedding alone agree', async () => {
      const run = async (logits: 'last' | 'all'): Promise<{ data: Float32Array; hidden: Buffer }> => {
        const out = await model.forward(model.createCache(1, T), model.uploadIds([ids], T), { logits })
        return { data: await read(model, out.logits!), hidden: out.lastHidden }
      }
      const [all, last] = [await run('all'), await run('last')]
      const vocabulary = model.config.vocabSize
      expect(all.data).toHaveLength(T * vocabulary)
      near(last.data, all.data.subarray((T - 1) * vocabulary))
      near(await read(model, await model.logits(all.hidden)), all.data)
    })

    it('hidden states: layer inputs first, the final norm last', async () => {
      const embeds = await model.embed(model.uploadIds([ids], T))
      const out = await model.forward(model.createCache(1, T), embeds, { hiddenStates: true })
      expect(out.hiddenStates).toHaveLength(model.config.layers + 1)
      expect(await read(model, out.hiddenStates!.at(-1)!)).toEqual(await read(model, out.lastHidden))
      // GPT-2 adds positions on the way; the others start from the embeddings themselves.
      const first = await read(model, out.hiddenStates![0]!)
      expect(allclose(first, await read(model, embeds))).toBe(family !== 'gpt2')
    })

    it('a left-padded row gives what it gives alone, step after step', async () => {
      const prompts = [ids.slice(0, 5), ids.slice(0, 2), ids.slice(2, 3)]
      const starts = Int32Array.from(prompts, (prompt) => 5 - prompt.length)
      const cache = model.createCache(3, 8, starts)
      const batched: Buffer[] = [(await model.forward(cache, model.uploadIds(prompts, 5))).lastHidden]
      batched.push((await model.forward(cache, model.uploadIds([[3], [4], [6]], 1))).lastHidden)
      batched.push((await model.forward(cache, batched[1]!)).lastHidden)
      for (const [b, prompt] of prompts.entries()) {
        const alone = model.createCache(1, 8)
        const first = (await model.forward(alone, model.uploadIds([prompt], prompt.length))).lastHidden
        const second = (await model.forward(alone, model.uploadIds([[[3, 4, 6][b]!]], 1))).lastHidden
        const third = (await model.forward(alone, second)).lastHidden
        for (const [step, state] of [first, second, third].entries()) {
          const expected = (await read(model, state)).slice(-width)
          const all = await read(model, batched[step]!)
          const rows = all.length / 3
          near(all.slice((b + 1) * rows - width, (b + 1) * rows), expected)
        }
      }
    })

    it('truncate forgets, fork goes its own way', async () => {
      const cache = model.createCache(1, 13)
      await feed(model, cache, [ids.slice(0, 4)])
      const fork = await cache.fork()
      const [main, other] = [[ids.slice(4)], [[1], [2, 3]]]
      const states = await feed(model, cache, main)
      const forked = await feed(model, fork, other)
      expect([cache.length, fork.length]).toEqual([8, 7])
      cache.truncate(4)
      expect(cache.length).toBe(4)
      expect(await feed(model, cache, other)).toEqual(forked)
      fork.truncate(4)
      cache.dispose()
      expect(await feed(model, fork, main)).toEqual(states)
    })

    it('rows of a batch do not see each other', async () => {
      const rows = [ids.slice(0, 3), ids.slice(3, 6)]
      const both = await read(
        model,
        (await model.forward(model.createCache(2, 3), model.uploadIds(rows, 3))).lastHidden,
      )
      for (const [b, row] of rows.entries()) {
        near(both.slice(b * 3 * width, (b + 1) * 3 * width), await feed(model, model.createCache(1, 3), [row]))
      }
    })

    it('later tokens do not change earlier states', async () => {
      const states = await feed(model, model.createCache(1, T), [ids])
      const changed = await feed(model, model.createCache(1, T), [[...ids.slice(0, 5), 1, 2, 3]])
      near(changed.slice(0, 5 * width), states.slice(0, 5 * width))
      expect(maxError(changed.slice(5 * width), states.slice(5 * width))).toBeGreaterThan(1e-3)
    })
  })
}

describe('refusals', () => {
  const model = randomModel('llama', reference())
  const one = (id: number): Buffer => model.uploadIds([[id]], 1)

  it('ids that are no tokens, by place and range', () => {
    expect(() => model.uploadIds([[1, 37]], 2)).toThrow(/token 1: .*expected 0 … 36, got 37/)
    expect(() => model.uploadIds([[-1]], 1)).toThrow(ArgumentError)
    expect(() => model.uploadIds([[0.5]], 1)).toThrow(ArgumentError)
    expect(() => model.uploadIds([[Number.NaN]], 1)).toThrow(ArgumentError)
  })

  it('more rows than the cache holds; the cache stays as it was', async () => {
    const cache = model.createCache(1, 3)
    await model.forward(cache, model.uploadIds([[1, 2]], 2))
    await expect(model.forward(cache, model.uploadIds([[1, 2]], 2))).rejects.toThrow(CapacityError)
    expect(cache.length).toBe(2)
    await model.forward(cache, one(3))
    await expect(model.forward(cache, one(3))).rejects.toThrow(/2|3 \+ 1 ≤ 3/)
  })

  it('more positions than the model has', async () => {
    const long = new Array(65).fill(1)
    await expect(model.forward(model.createCache(1, 80), model.uploadIds([long], 65))).rejects.toThrow(CapacityError)
  })

  it('a batch or a width other than the cache and the model have', async () => {
    const cache = model.createCache(2, 3)
    await expect(model.forward(cache, one(1))).rejects.toThrow(ShapeError)
    const narrow = model.backend.upload(new RandomTensors(1).normal([2, 1, 23]))
    await expect(model.forward(cache, narrow)).rejects.toThrow(ShapeError)
    expect(cache.length).toBe(0)
  })

  it('bad lengths of truncation, and use after disposal', async () => {
    const cache = model.createCache(1, 3)
    for (const length of [-1, 1, 0.5, Number.NaN]) expect(() => cache.truncate(length)).toThrow(ArgumentError)
    cache.dispose()
    await expect(model.forward(cache, one(1))).rejects.toThrow(DisposedError)
    await expect(cache.fork()).rejects.toThrow(DisposedError)
  })

  it('a cache of another model', async () => {
    const other = randomModel('gpt2', reference())
    await expect(model.forward(other.createCache(1, 3), one(1))).rejects.toThrow(ShapeError)
  })
})

const stories = new URL('../../../../../shared/models/stories260k/', import.meta.url)

describe.runIf(existsSync(stories))('a trained model', () => {
  it('writes its 256 stored greedy tokens, one at a time', async () => {
    const model = await loadModel(await openLocalFolder(fileURLToPath(stories)), reference())
    const { greedy_ids: expected } = JSON.parse(readFileSync(new URL('greedy.json', stories), 'utf8')) as {
      greedy_ids: number[]
    }
    const cache = model.createCache(1, expected.length)
    const written = [expected[0]!]
    while (written.length < expected.length) {
      const { logits } = await model.forward(cache, model.uploadIds([written.slice(-1)], 1), { logits: 'last' })
      const values = await read(model, logits!)
      written.push(values.indexOf(values.reduce((best, value) => Math.max(best, value))))
    }
    expect(written).toEqual(expected)
  })
})
