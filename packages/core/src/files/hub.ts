/**
 * Models by hub name: from the shared cache if they are there, else downloaded into it through `@huggingface/hub`.
 *
 * A complete snapshot in the cache is used as it is, without asking the network whether a newer one exists: a run is
 * repeatable, and works on a train. Weights come last, so that a snapshot with weights is a complete one.
 */

import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { copyFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import type { ListFileEntry } from '@huggingface/hub'
import { AfterthoughtError, FileError } from '../errors.ts'
import type { ModelFolder } from '../io/model-folder.ts'
import { cachedSnapshot, hubCacheRoot, isHubId, repositoryFolder, shardsOf } from './hub-cache.ts'
import { openLocalFolder } from './open.ts'
import { makeFolder, writeFileAtomically } from './write.ts'

export interface OpenFolderOptions {
  /** Never use the network. Default: whether the environment sets HF_HUB_OFFLINE. */
  readonly offline?: boolean
  /** Told before each file is downloaded. */
  readonly onDownload?: (file: { readonly name: string; readonly bytes: number }) => void
}

const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'latent_config.json',
  'latent.safetensors',
]
const WEIGHTS = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

/**
 * A model folder: a local one if `pathOrId` names one, else the hub's model of that name (`organisation/model`).
 *
 * Reads HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME (where the cache lies), HF_HUB_OFFLINE, HF_ENDPOINT
 * and HF_TOKEN.
 *
 * @throws FileError if there is no such folder or model, or the hub cannot be reached
 */
export async function openFolder(pathOrId: string, options: OpenFolderOptions = {}): Promise<ModelFolder> {
  const local = await stat(pathOrId).catch(() => undefined)
  if (local !== undefined) return openLocalFolder(pathOrId)
  if (!isHubId(pathOrId)) {
    throw new FileError('no such folder', {
      where: pathOrId,
      hint: 'Give a folder with config.json, or a hub name of the form organisation/model',
    })
  }
  const root = hubCacheRoot()
  const cached = await cachedSnapshot(root, pathOrId)
  if (cached !== undefined) return openLocalFolder(cached, pathOrId)
  if (options.offline ?? isSet(process.env.HF_HUB_OFFLINE)) {
    throw new FileError('no such folder, and no complete copy in the hub cache', {
      where: pathOrId,
      actual: `offline, cache ${root}`,
      hint: 'Unset HF_HUB_OFFLINE to download the model',
    })
  }
  return openLocalFolder(await download(root, pathOrId, options), pathOrId)
}

function isSet(flag: string | undefined): boolean {
  return flag !== undefined && !['', '0', 'false', 'no', 'off'].includes(flag.toLowerCase())
}

/** What every call to the hub carries. */
interface Repository {
  readonly hub: typeof import('@huggingface/hub')
  readonly id: string
  readonly folder: string
  readonly revision: string
  readonly files: ReadonlyMap<string, ListFileEntry>
  readonly access: { hubUrl?: string; accessToken?: string }
}

async function download(root: string, id: string, options: OpenFolderOptions): Promise<string> {
  try {
    const repository = await describeRepository(root, id)
    const snapshot = join(repository.folder, 'snapshots', repository.revision)
    const fetchAll = async (names: readonly string[]): Promise<void> => {
      for (const name of names) await fetchFile(repository, name, join(snapshot, name), options)
    }
    await fetchAll(SMALL_FILES.filter((name) => repository.files.has(name)))
    await fetchAll(await weightNames(repository, snapshot, options))
    await writeFileAtomically(join(repository.folder, 'refs', 'main'), repository.revision)
    return snapshot
  } catch (cause) {
    throw cause instanceof AfterthoughtError ? cause : hubError(id, cause)
  }
}

async function describeRepository(root: string, id: string): Promise<Repository> {
  const hub = await import('@huggingface/hub')
  const hubUrl = process.env.HF_ENDPOINT
  const accessToken = process.env.HF_TOKEN
  const access = { ...(hubUrl && { hubUrl }), ...(accessToken && { accessToken }) }
  const { sha: revision } = await hub.modelInfo({ name: id, additionalFields: ['sha'], ...access })
  if (!/^[0-9a-f]{40,64}$/.test(revision)) throw new FileError('the hub names no commit', { where: id })
  const files = new Map<string, ListFileEntry>()
  for await (const entry of hub.listFiles({ repo: { type: 'model', name: id }, revision, ...access })) {
    files.set(entry.path, entry)
  }
  return { hub, id, folder: repositoryFolder(root, id), revision, files, access }
}

async function weightNames(repository: Repository, snapshot: string, options: OpenFolderOptions): Promise<string[]> {
  const { files, id } = repository
  if (files.has(WEIGHTS)) return [WEIGHTS]
  if (!files.has(INDEX)) throw new FileError('the hub has no safetensors weights for this model', { where: id })
  await fetchFile(repository, INDEX, join(snapshot, INDEX), options)
  const folder = await openLocalFolder(snapshot, id)
  return shardsOf(await folder.text(INDEX))
}

/** Downloads one file into `blobs` and links `target` to it. */
async function fetchFile(
  repository: Repository,
  name: string,
  target: string,
  options: OpenFolderOptions,
): Promise<void> {
  const entry = repository.files.get(name)
  const etag = entry?.lfs?.oid ?? entry?.xetHash ?? entry?.oid
  if (entry === undefined || etag === undefined || !/^[0-9a-f]+$/.test(etag)) {
    throw new FileError('the hub has no such file', { where: `${repository.id}/${name}` })
  }
  const blob = join(repository.folder, 'blobs', etag)
  if ((await stat(blob).catch(() => undefined)) === undefined) {
    options.onDownload?.({ name, bytes: entry.size })
    await fetchBlob(repository, entry, blob)
  }
  await link(blob, target)
}

async function fetchBlob(repository: Repository, entry: ListFileEntry, path: string): Promise<void> {
  const where = `${repository.id}/${entry.path}`
  const content = await repository.hub.downloadFile({
    repo: { type: 'model', name: repository.id },
    path: entry.path,
    revision: repository.revision,
    ...repository.access,
  })
  if (content === null) throw new FileError('the hub has no such file', { where })
  await makeFolder(dirname(path))
  const incomplete = `${path}.${randomUUID()}.incomplete`
  try {
    const { bytes, sha256 } = await save(content.stream() as ReadableStream<Uint8Array>, incomplete)
    const damaged = bytes !== entry.size || (entry.lfs !== undefined && entry.lfs.oid !== sha256)
    if (damaged) {
      const expected = `${entry.size} bytes${entry.lfs ? ` with SHA-256 ${entry.lfs.oid}` : ''}`
      throw new FileError('the download is damaged', { where, expected, actual: `${bytes} bytes, ${sha256}` })
    }
    await rename(incomplete, path)
  } finally {
    await rm(incomplete, { force: true })
  }
}

async function save(stream: ReadableStream<Uint8Array>, path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  const counter = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      bytes += chunk.byteLength
      hash.update(chunk)
      done(null, chunk)
    },
  })
  await pipeline(Readable.fromWeb(stream), counter, createWriteStream(path))
  return { bytes, sha256: hash.digest('hex') }
}

/** Relative, so that the cache can move; a copy where the system forbids links. */
async function link(blob: string, target: string): Promise<void> {
  await makeFolder(dirname(target))
  await rm(target, { force: true })
  await symlink(relative(dirname(target), blob), target).catch(() => copyFile(blob, target))
}

function hubError(id: string, cause: unknown): FileError {
  const status = (cause as { statusCode?: number }).statusCode
  if (status === 401 || status === 403 || status === 404) {
    return new FileError('no such folder here, and no such model on the hub', {
      where: id,
      actual: `HTTP ${status}`,
      hint: 'Check the spelling; for a private or gated model set HF_TOKEN',
      cause,
    })
  }
  const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message
  return new FileError('no such folder here, and the hub cannot be reached', {
    where: id,
    actual: reason,
    hint: 'Check the network, or give a local folder',
    cause,
  })
}
