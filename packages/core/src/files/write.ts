/** Making folders, and writing files so that a reader sees the old contents or the new, never half of either. */

import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FileError } from '../errors.ts'
import { rethrow } from './open.ts'

/**
 * Replaces `path` at once: a temporary file beside it is written, flushed to the disk and renamed. Missing folders are
 * made.
 *
 * @throws FileError if the disk refuses; the old file is then untouched
 */
export async function writeFileAtomically(path: string, data: Uint8Array | string): Promise<void> {
  await makeFolder(dirname(path))
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const handle = await open(temporary, 'wx')
    try {
      await handle.writeFile(data)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true })
    rethrow(path)(cause)
  }
}

/**
 * Makes a folder and those above it that are missing. `mkdir` of Node 20 with `recursive` never ends where a folder that
 * exists takes none, as /proc: it goes back to the parent again and again.
 *
 * @throws FileError naming the folder that cannot be made
 */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return
  const parent = dirname(path)
  if (parent !== path) await makeFolder(parent)
  await mkdir(path).catch(async (cause: NodeJS.ErrnoException) => {
    if (await isFolder(path)) return // another process was faster
    if (cause.code === 'ENOENT') throw new FileError('no folder can be made here', { where: path, cause })
    rethrow(path)(cause)
  })
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
