import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileError } from '../errors.ts'
import { openFolder } from './hub.ts'
import { hubCacheRoot, isHubId, listCached } from './hub-cache.ts'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const VARIABLES = [
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_HOME',
  'XDG_CACHE_HOME',
  'HF_HUB_OFFLINE',
  'HF_ENDPOINT',
]

let root: string
let saved: Record<string, string | undefined>
beforeEach(async () => {
  saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  for (const name of VARIABLES) delete process.env[name]
  root = await mkdtemp(join(tmpdir(), 'afterthought-hub-'))
  process.env.HF_HUB_CACHE = root
})
afterEach(async () => {
  for (const [name, value] of Object.entries(saved)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  await rm(root, { recursive: true, force: true })
})

async function putSnapshot(id: string, commit: string, files: Record<string, string>): Promise<string> {
  const folder = join(root, `models--${id.replace('/', '--')}`, 'snapshots', commit)
  await mkdir(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

const complete = { 'config.json': '{}', 'model.safetensors': 'weights' }

describe('the cache', () => {
  it('lies where the environment says', () => {
    expect(hubCacheRoot({ HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' })).toBe('/a')
    expect(hubCacheRoot({ HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c' })).toBe('/b')
    expect(hubCacheRoot({ HF_HOME: '/c', XDG_CACHE_HOME: '/d' })).toBe(join('/c', 'hub'))
    expect(hubCacheRoot({ XDG_CACHE_HOME: '/d' })).toBe(join('/d', 'huggingface', 'hub'))
    expect(hubCacheRoot({})).toMatch(/\.cache.huggingface.hub$/)
  })

  it('serves complete snapshots without a network, the one of main first', async () => {
    process.env.HF_ENDPOINT = 'http://127.0.0.1:1'
    await putSnapshot('org/model', 'a'.repeat(40), { ...complete, 'config.json': 'a' })
    await putSnapshot('org/model', 'b'.repeat(40), { ...complete, 'config.json': 'b' })
    expect(await (await openFolder('org/model')).text('config.json')).toBe('a')
    await mkdir(join(root, 'models--org--model', 'refs'))
    await writeFile(join(root, 'models--org--model', 'refs', 'main'), 'b'.repeat(40))
    const folder = await openFolder('org/model')
    expect(folder.id).toBe('org/model')
    expect(await folder.text('config.json')).toBe('b')
  })

  it('lists complete models only', async () => {
    expect(await listCached(join(root, 'nowhere'))).toEqual([])
    const folder = await putSnapshot('org/model', 'a'.repeat(40), complete)
    await putSnapshot('org/no-weights', 'a'.repeat(40), { 'config.json': '{}' })
    const index = JSON.stringify({ weight_map: { x: 'a.safetensors', y: 'b.safetensors' } })
    const shards = { 'config.json': '{}', 'model.safetensors.index.json': index, 'a.safetensors': '' }
    await putSnapshot('org/one-shard', 'a'.repeat(40), shards)
    await putSnapshot('org/two-shards', 'a'.repeat(40), { ...shards, 'b.safetensors': '' })
    await putSnapshot('org/bad-index', 'a'.repeat(40), { ...shards, 'model.safetensors.index.json': '{' })
    const models = await listCached()
    expect(models.map(({ id }) => id)).toEqual(['org/model', 'org/two-shards'])
    expect(models[0]).toEqual({ id: 'org/model', folder, bytes: 9 })
  })
})

describe('names', () => {
  it('of hub models have two parts', () => {
    expect(['org/model', 'a/b-c.d_e'].every(isHubId)).toBe(true)
    expect(['model', '/a/b', './a', '../a', 'a/b/c', 'a/..', 'a--b/c', 'a/', ''].some(isHubId)).toBe(false)
  })

  it('of missing folders are refused without a network', async () => {
    process.env.HF_ENDPOINT = 'http://127.0.0.1:1'
    for (const name of [join(root, 'nowhere'), './nowhere', 'nowhere', 'a/b/c']) {
      await expect(openFolder(name)).rejects.toThrow(FileError)
      await expect(openFolder(name)).rejects.toThrow('no such folder')
    }
  })

  it('say so when offline or unreachable', async () => {
    await expect(openFolder('org/model', { offline: true })).rejects.toThrow('offline')
    process.env.HF_HUB_OFFLINE = '1'
    await expect(openFolder('org/model')).rejects.toThrow(FileError)
    process.env.HF_HUB_OFFLINE = '0'
    process.env.HF_ENDPOINT = 'http://127.0.0.1:1'
    await expect(openFolder('org/model')).rejects.toThrow('the hub cannot be reached')
  })

  it('prefer a local folder', async () => {
    await writeFile(join(root, 'config.json'), 'local')
    expect(await (await openFolder(root)).text('config.json')).toBe('local')
  })
})

describe('downloading', () => {
  let server: Server
  let requests: string[]
  let files: Record<string, Buffer>
  let damage: string | undefined

  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  const treeEntry = ([path, bytes]: [string, Buffer]): object => ({
    type: 'file',
    path,
    size: bytes.length,
    oid: createHash('sha1').update(bytes).digest('hex'),
    ...(path.endsWith('.safetensors') && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
  })

  beforeEach(async () => {
    requests = []
    damage = undefined
    files = {
      'config.json': Buffer.from('{"model_type":"llama"}'),
      'tokenizer.json': Buffer.from('{}'),
      'README.md': Buffer.from('not wanted'),
      'pytorch_model.bin': Buffer.from('not wanted'),
      'model.safetensors': Buffer.alloc(2_000_000, 7),
    }
    server = createServer((request, response) => {
      const url = request.url ?? ''
      requests.push(url)
      const json = (value: unknown, status = 200): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
      }
      const name = url.split(`/resolve/${COMMIT}/`)[1]
      if (url.startsWith('/api/models/org/model/revision/'))
        return json({ id: 'org/model', modelId: 'org/model', sha: COMMIT })
      if (url.startsWith(`/api/models/org/model/tree/${COMMIT}`)) return json(Object.entries(files).map(treeEntry))
      if (name === undefined || !(name in files)) return json({ error: 'Repository not found' }, 404)
      const bytes = name === damage ? Buffer.alloc(files[name]!.length) : files[name]!
      const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')
      const [begin, end] = range === null ? [0, bytes.length] : [Number(range[1]), Number(range[2]) + 1]
      const headers = { etag: '"e"', 'content-range': `bytes ${begin}-${end - 1}/${bytes.length}` }
      response.writeHead(range === null ? 200 : 206, headers).end(bytes.subarray(begin, end))
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    process.env.HF_ENDPOINT = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(() => new Promise((done) => server.close(done)))

  const repository = (): string => join(root, 'models--org--model')

  it('fills the shared layout with what a model needs, once', async () => {
    const told: string[] = []
    const folder = await openFolder('org/model', { onDownload: ({ name, bytes }) => told.push(`${name} ${bytes}`) })
    expect(told).toEqual(['config.json 22', 'tokenizer.json 2', 'model.safetensors 2000000'])
    expect(await folder.text('config.json')).toBe('{"model_type":"llama"}')
    const weights = await folder.open('model.safetensors')
    expect(Buffer.from(await weights.read(0, weights.size)).equals(files['model.safetensors']!)).toBe(true)
    expect(await readFile(join(repository(), 'refs', 'main'), 'utf8')).toBe(COMMIT)
    const link = join(repository(), 'snapshots', COMMIT, 'model.safetensors')
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await readlink(link)).toBe(join('..', '..', 'blobs', sha256(files['model.safetensors']!)))
    expect(await readdir(join(repository(), 'blobs'))).toHaveLength(3)
    const before = requests.length
    await openFolder('org/model')
    expect(requests.length).toBe(before)
  })

  it('fetches shards', async () => {
    delete files['model.safetensors']
    files['model.safetensors.index.json'] = Buffer.from('{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}')
    files['a.safetensors'] = Buffer.from('a')
    files['b.safetensors'] = Buffer.from('b')
    const folder = await openFolder('org/model')
    expect(await folder.text('b.safetensors')).toBe('b')
  })

  it('refuses damaged weights and keeps nothing of them', async () => {
    damage = 'model.safetensors'
    await expect(openFolder('org/model')).rejects.toThrow('damaged')
    expect(existsSync(join(repository(), 'refs', 'main'))).toBe(false)
    expect(await readdir(join(repository(), 'blobs'))).toHaveLength(2)
    damage = undefined
    expect(await (await openFolder('org/model')).has('model.safetensors')).toBe(true)
  })

  it('says what the hub lacks', async () => {
    await expect(openFolder('org/nothing')).rejects.toThrow('no such model on the hub')
    delete files['model.safetensors']
    await expect(openFolder('org/model')).rejects.toThrow('no safetensors weights')
  })
})
