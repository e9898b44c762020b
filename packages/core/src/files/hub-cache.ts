/**
 * The cache that Hugging Face's tools share on one machine, so that Python and JavaScript download a model once:
 *
 *     <root>/models--org--name/refs/main                      the commit that `main` names
 *     <root>/models--org--name/snapshots/<commit>/<file>      links into
 *     <root>/models--org--name/blobs/<etag>                   the bytes
 */

import { readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isPlainFileName } from '../io/parameters.ts'

/** The cache's root, from the same environment variables as in Hugging Face's own tools. */
export function hubCacheRoot(environment: NodeJS.ProcessEnv = process.env): string {
  const direct = environment.HF_HUB_CACHE || environment.HUGGINGFACE_HUB_CACHE
  if (direct) return direct
  const home = environment.HF_HOME || join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface')
  return join(home, 'hub')
}

/** Whether `text` has the form of a hub name, `organisation/model`. */
export function isHubId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(text) && !text.includes('--') && !text.includes('..')
}

/** The folder of a model inside the cache. */
export function repositoryFolder(root: string, id: string): string {
  return join(root, `models--${id.replace('/', '--')}`)
}

/** The snapshot that `main` names, else any other, if it holds a configuration and all of its weights. */
export async function cachedSnapshot(root: string, id: string): Promise<string | undefined> {
  const repository = repositoryFolder(root, id)
  const main = await readFile(join(repository, 'refs', 'main'), 'utf8').catch(() => '')
  const commits = await list(join(repository, 'snapshots'))
  const preferred = commits.filter((commit) => commit === main.trim())
  for (const commit of [...preferred, ...commits]) {
    const folder = join(repository, 'snapshots', commit)
    if (await isComplete(folder)) return folder
  }
  return undefined
}

/** A model in the cache, ready to run without a network. */
export interface CachedModel {
  /** `organisation/model` */
  readonly id: string
  readonly folder: string
  /** Of all files of the snapshot. */
  readonly bytes: number
}

/** Every complete model of the cache, by name. */
export async function listCached(root: string = hubCacheRoot()): Promise<CachedModel[]> {
  const models: CachedModel[] = []
  for (const entry of await list(root)) {
    const match = /^models--(.+?)--(.+)$/.exec(entry)
    if (match === null) continue
    const id = `${match[1]}/${match[2]}`
    const folder = await cachedSnapshot(root, id)
    if (folder !== undefined) models.push({ id, folder, bytes: await bytesOf(folder) })
  }
  return models
}

async function isComplete(folder: string): Promise<boolean> {
  const files = new Set(await list(folder))
  if (!files.has('config.json')) return false
  if (files.has('model.safetensors')) return exists(join(folder, 'model.safetensors'))
  const index = await readFile(join(folder, 'model.safetensors.index.json'), 'utf8').catch(() => undefined)
  const shards = index === undefined ? [] : shardsOf(index)
  const present = await Promise.all(shards.map((shard) => exists(join(folder, shard))))
  return shards.length > 0 && present.every(Boolean)
}

/** File names in the `weight_map` of an index; empty if it has none. */
export function shardsOf(index: string): string[] {
  try {
    const { weight_map: map } = JSON.parse(index) as { weight_map: Record<string, unknown> }
    return [...new Set(Object.values(map))].filter(isPlainFileName)
  } catch {
    return []
  }
}

async function bytesOf(folder: string): Promise<number> {
  const sizes = (await list(folder)).map((name) =>
    stat(join(folder, name)).then(
      (status) => (status.isFile() ? status.size : 0),
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/** Follows links: a link to a blob that was deleted does not count. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function list(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort()
}
