import { mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { F, type HostArray, NumericError, type Parameter, parameter, ShapeError, trace } from '@afterthought/core'
import { openFile, openFolder } from '@afterthought/core/files'
import {
  expectedParameters,
  loadParameters,
  openSafetensors,
  parseConfig,
  writeSafetensors,
} from '@afterthought/core/io'
import { parameterOf, RandomTensors, tensorOf } from '@afterthought/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OnnxBackend } from '../backend.ts'
import { createEngine } from '../engine/runtime.ts'
import { cacheFolder, WeightCache } from './cache.ts'
import { FiniteCheck } from './finite.ts'
import { WeightStore } from './store.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'afterthought-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const bytes =
  (length: number, value = 1): (() => Promise<Uint8Array>) =>
  async () =>
    new Uint8Array(length).fill(value)

describe('cache', () => {
  const identity = '/models/a.safetensors:1:2#w'
  const never = (): Promise<Uint8Array> => Promise.reject(new Error('made again'))

  it('makes a file once, for this process and later ones', async () => {
    const path = await new WeightCache(join(folder, 'deep', 'cache')).file(identity, 'f32', 5, bytes(5))
    expect(await new WeightCache(join(folder, 'deep', 'cache')).file(identity, 'f32', 5, never)).toBe(path)
    expect((await stat(path)).size).toBe(5)
  })

  it('tells identities and forms apart', async () => {
    const cache = new WeightCache(folder)
    const paths = [
      await cache.file(identity, 'f32', 5, bytes(5)),
      await cache.file(identity, 'int4', 5, bytes(5)),
      await cache.file(`${identity}2`, 'f32', 5, bytes(5)),
    ]
    expect(new Set(paths).size).toBe(3)
  })

  it('replaces a file of another size', async () => {
    const cache = new WeightCache(folder)
    const path = await cache.file(identity, 'f32', 5, bytes(5))
    await truncate(path, 3)
    expect(await cache.file(identity, 'f32', 5, bytes(5, 9))).toBe(path)
    expect((await stat(path)).size).toBe(5)
    expect((await readdir(folder)).length).toBe(1)
  })

  it('puts weights without a lasting identity into a temporary folder, which ends with it', async () => {
    const cache = new WeightCache(folder)
    const path = await cache.file('memory:1#w', 'f32', 5, bytes(5))
    expect(path.startsWith(folder)).toBe(false)
    expect(await readdir(folder)).toEqual([])
    await cache.dispose()
    await expect(stat(path)).rejects.toThrow()
  })

  it('falls back to a temporary folder where it cannot write', async () => {
    await writeFile(join(folder, 'file'), '')
    const cache = new WeightCache(join(folder, 'file', 'cache'))
    const path = await cache.file(identity, 'f32', 5, bytes(5))
    expect((await stat(path)).size).toBe(5)
    await cache.note('anything')
    expect(await cache.isNoted('anything')).toBe(false)
    await cache.dispose()
  })

  /** Hours that `path` was not used. */
  const unused = async (path: string, hours: number): Promise<void> => {
    const at = Date.now() / 1000 - hours * 3600
    await utimes(path, at, at)
  }

  it('removes what was not used for longest when it is full, and never what was used within the hour', async () => {
    const make = async (name: string, length: number, hours: number): Promise<string> => {
      const path = await new WeightCache(folder, 100).file(`/m.safetensors#${name}`, 'f32', length, bytes(length))
      await unused(path, hours)
      return path
    }
    const [longest, long, short] = [await make('a', 40, 4), await make('b', 40, 3), await make('c', 20, 2)]
    const used = await new WeightCache(folder, 100).file('/m.safetensors#b', 'f32', 40, never)
    await unused(used, 1.5)
    const added = await make('d', 30, 0)
    expect(used).toBe(long)
    expect((await readdir(folder)).map((name) => join(folder, name)).sort()).toEqual([long, short, added].sort())
    // Too large for the cache, and needed all the same.
    const large = await make('e', 150, 0)
    expect((await readdir(folder)).map((name) => join(folder, name)).sort()).toEqual([added, large].sort())
    await expect(stat(longest)).rejects.toThrow()
  })

  it('looks through the folder again when one process fills it', async () => {
    const cache = new WeightCache(folder, 100)
    for (let i = 0; i < 9; i++) await unused(await cache.file(`/m#${i}`, 'f32', 30, bytes(30)), 20 - i)
    expect(await readdir(folder)).toHaveLength(3)
  })

  it('removes what was not used for a quarter of a year, leftovers of killed processes too, and no foreign file', async () => {
    const cache = new WeightCache(folder)
    const path = await cache.file(identity, 'f32', 5, bytes(5))
    await cache.note('looked through')
    const leftover = join(folder, `${'0a'.repeat(20)}.bin.5f0c2b8e-1111-4222-8333-444455556666.tmp`)
    for (const name of [leftover, join(folder, 'mine.bin')]) await writeFile(name, 'x')
    for (const name of await readdir(folder)) await unused(join(folder, name), 24 * 91)
    expect(await cache.isNoted('looked through')).toBe(true) // which is a use
    await new WeightCache(folder).file(`${identity}2`, 'f32', 5, bytes(5))
    const left = await readdir(folder)
    expect(left.filter((name) => name.endsWith('.note'))).toHaveLength(1)
    expect(left.filter((name) => name.endsWith('.bin'))).toHaveLength(2)
    expect(left).toContain('mine.bin')
    expect(left).toHaveLength(3)
    await expect(stat(path)).rejects.toThrow()
  })

  it.runIf(process.platform === 'linux')('may lose a file while a session maps it', async () => {
    const values = new Array(64 * 128).fill(0.5)
    const [w, x] = [tensorOf(values, [64, 128]), tensorOf(new Array(64).fill(1), [1, 64])]
    const product = trace('product', { x }, (inputs) => ({
      outputs: { y: F.matmul(inputs.x!, parameter('w', [64, 128])) },
    }))
    const weights = new Map([['w', { ...parameterOf(w), identity: '/m.safetensors#w' }]])
    const engine = await createEngine()
    const settings = { provider: 'cpu', threads: 1, prepack: false } as const
    const backend = new OnnxBackend(engine, settings, new WeightStore(undefined, new WeightCache(folder)))
    const executable = await backend.compile(product, weights)
    expect(await readdir(folder)).toHaveLength(1)
    for (const name of await readdir(folder)) await rm(join(folder, name))
    const { y } = await executable.run({ x: backend.upload(x) })
    expect((await backend.download(y!)).every((value) => value === 32)).toBe(true)
    await backend.dispose()
  })

  it('lies where the system says', () => {
    expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe(join('/x', 'afterthought', 'onnx'))
  })
})

async function saved(values: readonly number[], name = 'model.safetensors'): Promise<Parameter & { path: string }> {
  const path = join(folder, name)
  await writeFile(path, writeSafetensors(new Map([['w', tensorOf(values)]])))
  const tensor = (await openSafetensors(await openFile(path))).tensors.get('w')!
  const { offset, byteLength, shape, source } = tensor
  return {
    identity: `${source.identity}#w`,
    shape,
    dtype: 'f32',
    read: () => tensor.read(),
    location: { path: source.path!, offset, byteLength },
    path,
  }
}

const graph = trace('sum', { x: tensorOf([0, 0, 0]) }, ({ x }) => ({ outputs: { y: F.add(x!, parameter('w', [3])) } }))

describe('finite check', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'finds %d at the end of a mapped weight',
    async (value) => {
      const weights = { w: await saved([1, 2, value]) }
      const store = new WeightStore(undefined, new WeightCache(join(folder, 'cache')))
      await expect(store.bind(graph, new Map(Object.entries(weights)))).rejects.toThrow(NumericError)
      // It is not forgotten.
      await expect(store.bind(graph, new Map(Object.entries(weights)))).rejects.toThrow('element 2')
    },
  )

  it('names the tensor as its file does', async () => {
    const config = { n_embd: 4, n_layer: 1, n_head: 1, n_positions: 8, vocab_size: 3, eos_token_id: 2 }
    const json = { model_type: 'gpt2', activation_function: 'gelu_new', layer_norm_epsilon: 1e-5, ...config }
    const shapes = [...expectedParameters(parseConfig(json, 'config.json'))]
    const tensors = new Map(shapes.map(([name, shape]) => [name, new RandomTensors(1).normal(shape)]))
    tensors.set('ln_f.bias', tensorOf([0, 0, Number.NaN, 0]))
    await writeFile(join(folder, 'config.json'), JSON.stringify(json))
    await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensors))
    const parameters = await loadParameters(await openFolder(folder), parseConfig(json, 'config.json'))

    const prefixed = new Map([['main/w', parameters.get('ln_f.bias')!]])
    const graph = trace('sum', {}, () => ({ outputs: { y: F.neg(parameter('main/w', [4])) } }))
    const store = new WeightStore(undefined, new WeightCache(join(folder, 'cache')))
    const binding = store.bind(graph, prefixed)
    await expect(binding).rejects.toThrow(/model\.safetensors: tensor "ln_f\.bias": .* NaN at element 2/)
    await expect(binding).rejects.toBeInstanceOf(NumericError)
  })

  it('passes the largest finite values', async () => {
    const w = await saved([3.4028234663852886e38, -3.4028234663852886e38, 1e-45])
    const store = new WeightStore(undefined, new WeightCache(join(folder, 'cache')))
    await expect(store.bind(graph, new Map([['w', w]]))).resolves.toBeDefined()
  })

  it('is remembered for the file as it is, and only then', async () => {
    const cache = new WeightCache(join(folder, 'cache'))
    const first = await saved([1, 2, 3])
    await new FiniteCheck(cache).check([first as never])
    // Another process would not read the file again: damage that leaves size and time as they are goes unseen.
    const { mtime } = await stat(first.path)
    await saved([1, Number.NaN, 3])
    await utimes(first.path, mtime, mtime)
    await expect(new FiniteCheck(cache).check([first as never])).resolves.toBeUndefined()
    await utimes(first.path, 1, 1)
    const read = (): Promise<HostArray> => Promise.resolve(Float32Array.of(1, Number.NaN, 3))
    const changed = { ...first, identity: `${(await openFile(first.path)).identity}#w`, read }
    await expect(new FiniteCheck(cache).check([changed as never])).rejects.toThrow(NumericError)
  })
})

describe('binding', () => {
  it('maps a 32-bit weight from the file it lies in, through links', async () => {
    const w = await saved([1, 2, 3])
    const cache = new WeightCache(join(folder, 'cache'))
    const { weight, root } = await new WeightStore(undefined, cache).bind(graph, new Map([['w', w]]))
    const form = weight('w', { kind: 'values' })
    if (form.form !== 'plain') throw new Error(form.form)
    expect(join(root, form.data.location)).toBe(w.location!.path)
    expect(form.data).toMatchObject({ offset: w.location!.offset, byteLength: 12 })
  })

  it('copies small weights that cannot be mapped into the model', async () => {
    const store = new WeightStore(undefined, new WeightCache(folder))
    const { weight } = await store.bind(graph, new Map([['w', parameterOf(tensorOf([1, 2, 3]))]]))
    expect(weight('w', { kind: 'values' })).toEqual({
      form: 'inline',
      bytes: new Uint8Array(Float32Array.of(1, 2, 3).buffer),
    })
    expect(await readdir(folder)).toEqual([])
  })

  it('names a weight that is missing or has another shape', async () => {
    const store = new WeightStore()
    await expect(store.bind(graph, new Map())).rejects.toThrow(ShapeError)
    await expect(store.bind(graph, new Map([['w', parameterOf(tensorOf([1]))]]))).rejects.toThrow("parameter 'w'")
  })
})
