import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ArgumentError, BackendError, F, loadModel, trace } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import { maxError, RandomTensors, randomFamilies, randomModel, tensorOf } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { onnx } from './onnx.ts'

const fixtures = new URL('../../../../shared/fixtures/', import.meta.url)

it('adds up what falls on one row in the same order in every run, with any number of threads', async () => {
  const [count, width, rows] = [20_480, 128, 48]
  const specs = { indices: { shape: [count], dtype: 'i32' }, updates: { shape: [count, width], dtype: 'f32' } } as const
  const graph = trace('sums', specs, ({ indices, updates }) => ({
    outputs: { sums: F.scatterAdd(indices!, updates!, rows) },
  }))
  const indices = Int32Array.from({ length: count }, (_, i) => (i * 7919) % rows)
  const updates = new RandomTensors(3).normal(specs.updates.shape)
  const runs: unknown[] = []
  for (const threads of [1, 2, 4]) {
    const backend = await onnx({ provider: 'cpu', threads })
    const executable = await backend.compile(graph, new Map())
    const inputs = { indices: backend.upload({ ...specs.indices, data: indices }), updates: backend.upload(updates) }
    for (let i = 0; i < 6; i++) runs.push(await backend.download((await executable.run(inputs)).sums!))
    await backend.dispose()
  }
  for (const run of runs) expect(run).toEqual(runs[0])
})

describe('weights of few bits', () => {
  // Random weights without any structure are the worst case; trained ones lose less.
  it.each([
    ['int8', 0.08],
    ['int4', 0.6],
  ] as const)('%s: hidden states stay near those of f32', async (dtype, bound) => {
    const [exact, rounded] = [
      await onnx({ provider: 'cpu', threads: 1 }),
      await onnx({ provider: 'cpu', threads: 1, dtype }),
    ]
    for (const family of randomFamilies) {
      const states = await Promise.all(
        [exact, rounded].map(async (backend) => {
          const model = randomModel(family, backend)
          const cache = model.createCache(1, 8)
          const { lastHidden } = await model.forward(cache, model.uploadIds([[3, 14, 15, 9, 26]], 5))
          return backend.download(lastHidden)
        }),
      )
      const [a, b] = states as [Float32Array, Float32Array]
      const norm = Math.sqrt(a.reduce((sum, x) => sum + x * x, 0))
      const difference = Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0))
      expect(difference / norm).toBeGreaterThan(0)
      expect(difference / norm).toBeLessThan(bound)
    }
    await exact.dispose()
    await rounded.dispose()
  })
})

describe('engine', () => {
  it('in this thread gives the same numbers as in another', async () => {
    const results = []
    for (const worker of [true, false]) {
      const backend = await onnx({ provider: 'cpu', threads: 1, worker })
      const model = randomModel('qwen3', backend)
      const cache = model.createCache(2, 9, Int32Array.of(0, 2))
      const first = await model.forward(
        cache,
        model.uploadIds(
          [
            [1, 2, 3, 4],
            [5, 6],
          ],
          4,
        ),
      )
      const second = await model.forward(cache, model.uploadIds([[7], [8]], 1), { logits: 'all' })
      results.push([first.lastHidden, second.logits!].map((buffer) => backend.download(buffer)))
      results.push(await Promise.all(results.pop()!))
      await backend.dispose()
    }
    const [there, here] = results as unknown as [Float32Array[], Float32Array[]]
    for (const [i, values] of there.entries()) expect(maxError(values, here[i]!)).toBe(0)
  })

  it('appends to a cache in place, wherever the start comes from, and refuses rows that do not fit', async () => {
    const backend = await onnx({ provider: 'cpu', threads: 1, worker: false })
    const cache = tensorOf([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [2, 5, 1])
    const append = trace(
      'append',
      { cache, rows: tensorOf([1, 2, 3, 4], [2, 2, 1]), start: tensorOf([0], [], 'i32') },
      ({ cache, rows, start }) => {
        const once = F.updateSlice(cache!, rows!, start!, 1)
        return {
          outputs: { cache: F.updateSlice(once, F.mul(rows!, 10), F.add(start!, 2), 1) },
          aliases: { cache: 'cache' },
        }
      },
    )
    const executable = await backend.compile(append, new Map())
    const storage = backend.upload(cache)
    const rows = backend.upload(tensorOf([1, 2, 3, 4], [2, 2, 1]))
    const run = (start: number) =>
      executable.run({ cache: storage, rows, start: backend.upload(tensorOf([start], [], 'i32')) })
    const outputs = await run(1)
    expect(outputs.cache).toBe(storage)
    expect([...(await backend.download(storage))]).toEqual([0, 1, 2, 10, 20, 0, 3, 4, 30, 40])
    await expect(run(2)).rejects.toThrow(ArgumentError)
    await expect(run(-1)).rejects.toThrow(ArgumentError)
    await backend.dispose()
  })

  it('writes no rows without a copy, and without being asked to write in place', async () => {
    const backend = await onnx({ provider: 'cpu', threads: 1 })
    const cache = tensorOf([1, 2, 3], [1, 3])
    const append = trace('nothing', { cache, at: tensorOf([1], [], 'i32') }, ({ cache, at }) => {
      const same = F.updateSlice(cache!, F.narrow(cache!, 1, 0, 0), at!, 1)
      return { outputs: { cache: same, copy: same }, aliases: { cache: 'cache' } }
    })
    const executable = await backend.compile(append, new Map())
    const storage = backend.upload(cache)
    const outputs = await executable.run({ cache: storage, at: backend.upload(tensorOf([1], [], 'i32')) })
    expect(outputs.cache).toBe(storage)
    for (const buffer of [storage, outputs.copy!]) expect([...(await backend.download(buffer))]).toEqual([1, 2, 3])
    await backend.dispose()
  })

  it('reports what ONNX Runtime refuses, and goes on', async () => {
    const backend = await onnx({ provider: 'cpu', threads: 1 })
    const table = tensorOf([1, 2, 3])
    const lookUp = await backend.compile(
      trace('look up', { table, at: tensorOf([0], [1], 'i32') }, ({ table, at }) => ({
        outputs: { y: F.gather(table!, at!) },
      })),
      new Map(),
    )
    const run = (at: number) =>
      lookUp.run({ table: backend.upload(table), at: backend.upload(tensorOf([at], [1], 'i32')) })
    await expect(run(3)).rejects.toThrow(BackendError)
    await expect(run(3)).rejects.toThrow('look up')
    expect([...(await backend.download((await run(2)).y!))]).toEqual([3])
    await backend.dispose()
  })
})

describe.runIf(existsSync(fixtures))('loading', () => {
  it('takes weights in 16 bits, converted once', async () => {
    const folder = await openFolder(fileURLToPath(new URL('qwen2-tiny', fixtures)))
    for (const file of ['model_good.safetensors', 'model_bad.safetensors']) {
      const backend = await onnx({ provider: 'cpu', threads: 1 })
      const model = await loadModel(folder, backend, { file })
      const { lastHidden } = await model.forward(model.createCache(1, 4), model.uploadIds([[1, 2]], 2))
      expect((await backend.download(lastHidden)).every(Number.isFinite)).toBe(true)
      await backend.dispose()
    }
  })
})
