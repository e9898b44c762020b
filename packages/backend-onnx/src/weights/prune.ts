/**
 * Keeping the cache of converted weights within bounds.
 *
 * Rule: what was not used for 90 days goes; of the rest, what was used last stays as far as it fits. What was used within
 * the last hour stays in any case: a process that was told of a file maps it soon, and from then on the file may be removed
 * under it, for its pages stay until they are unmapped. (Windows refuses to remove it, and it is kept.)
 */

import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

const HOUR = 3600e3
const MAX_AGE = 90 * 24 * HOUR

/** Weights, notes, and what a process that died left half written. Anything else is not ours. */
const OURS = /^[0-9a-f]{40}\.(bin|note)(\.[0-9a-f-]+\.tmp)?$/

/** @returns the bytes that stayed in `folder`: at most `maxBytes`, or what was used within the last hour */
export async function prune(folder: string, maxBytes: number): Promise<number> {
  const now = Date.now()
  const files = (await filesOf(folder)).sort((a, b) => b.usedAt - a.usedAt)
  let kept = 0
  for (const { path, size, usedAt } of files) {
    const age = now - usedAt
    const stays = age < HOUR || (age < MAX_AGE && kept + size <= maxBytes)
    if (stays || !(await remove(path))) kept += size
  }
  return kept
}

interface CachedFile {
  readonly path: string
  readonly size: number
  /** Milliseconds since 1970. */
  readonly usedAt: number
}

async function filesOf(folder: string): Promise<CachedFile[]> {
  const files: CachedFile[] = []
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    // Another process may prune at the same time.
    const status = OURS.test(name) ? await stat(path).catch(() => undefined) : undefined
    if (status?.isFile()) files.push({ path, size: status.size, usedAt: status.mtimeMs })
  }
  return files
}

async function remove(path: string): Promise<boolean> {
  return rm(path, { force: true }).then(
    () => true,
    () => false,
  )
}
