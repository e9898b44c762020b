/** Writing files so that a reader sees the old contents or the new, never half of either. */

import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { rethrow } from './open.ts'

/**
 * Replaces `path` at once: a temporary file beside it is written, flushed to the disk and renamed. Missing folders are
 * made.
 *
 * @throws FileError if the disk refuses; the old file is then untouched
 */
export async function writeFileAtomically(path: string, data: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await mkdir(dirname(path), { recursive: true })
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
