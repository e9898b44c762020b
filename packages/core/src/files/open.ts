/**
 * Local files and folders through `node:fs`, which Node, Bun and Deno all have. With its neighbours the only chapter of
 * core that touches a runtime.
 */

import { type FileHandle, open, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { FileError } from '../errors.ts'
import { checkRange, type FileSource } from '../io/file-source.ts'
import { type ModelFolder, missingFile, textOf } from '../io/model-folder.ts'

/** One `read` call takes less than 2 GiB on every platform. */
const MAX_READ = 2 ** 30

/**
 * A regular file as a source. The file is opened for each read, and must not change between them: a model's weights are
 * read once or twice, and nothing is left to close.
 *
 * @throws FileError if there is no such regular file
 */
export async function openFile(path: string): Promise<FileSource> {
  const { resolved, size, stamp } = await examine(path)
  return {
    name: path,
    path: resolved,
    identity: `${resolved}:${stamp}`,
    size,
    read: async (offset, length) => {
      checkRange(path, size, offset, length)
      const handle = await open(resolved).catch(rethrow(path))
      try {
        return await readFully(handle, path, stamp, offset, length)
      } finally {
        await handle.close()
      }
    },
  }
}

async function examine(path: string): Promise<{ resolved: string; size: number; stamp: string }> {
  const resolved = await realpath(path).catch(rethrow(path))
  const status = await stat(resolved).catch(rethrow(path))
  if (!status.isFile()) throw new FileError('not a regular file', { where: path })
  return { resolved, size: status.size, stamp: stampOf(status) }
}

function stampOf(status: { readonly size: number; readonly mtimeMs: number }): string {
  return `${status.size}:${status.mtimeMs}`
}

async function readFully(
  handle: FileHandle,
  path: string,
  stamp: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  if (stampOf(await handle.stat()) !== stamp) {
    throw new FileError('the file changed since it was opened', { where: path, hint: 'Load the model again' })
  }
  const bytes = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const wanted = Math.min(length - done, MAX_READ)
    const { bytesRead } = await handle.read(bytes, done, wanted, offset + done).catch(rethrow(path))
    if (bytesRead === 0) throw new FileError('the file ended early', { where: path })
    done += bytesRead
  }
  return bytes
}

/** The system's own words, but not the temporary names that they may end with. */
export function systemWords(cause: unknown): string {
  return (cause as Error).message.replace(/, \w+ '.*/s, '')
}

/** Turns a system error into ours. */
export function rethrow(where: string): (cause: unknown) => never {
  return (cause) => {
    const { code = '' } = cause as NodeJS.ErrnoException
    const known: Record<string, string> = { ENOENT: 'no such file or folder', EACCES: 'permission denied' }
    throw new FileError(known[code] ?? systemWords(cause), { where, cause })
  }
}

/** A folder on this machine; names cannot lead out of it. @throws FileError if there is no such folder */
export async function openLocalFolder(path: string, id: string = path): Promise<ModelFolder> {
  const status = await stat(path).catch(rethrow(id))
  if (!status.isDirectory()) {
    throw new FileError('not a folder', { where: id, hint: 'Give the folder that holds config.json' })
  }
  const locate = (name: string): string => {
    const location = join(resolve(path), name)
    const way = relative(resolve(path), location)
    if (name === '' || isAbsolute(name) || isAbsolute(way) || way === '..' || way.startsWith(`..${sep}`)) {
      throw new FileError('a file name leads out of the folder', { where: id, actual: JSON.stringify(name) })
    }
    return location
  }
  const has = async (name: string): Promise<boolean> =>
    stat(locate(name)).then(
      (found) => found.isFile(),
      () => false,
    )
  const openNamed = async (name: string): Promise<FileSource> => {
    if (!(await has(name))) throw missingFile(id, name)
    return openFile(locate(name))
  }
  return { id, has, open: openNamed, text: async (name) => textOf(await openNamed(name)) }
}
