/** Files that a command line names: read with errors that name them, and refused early where nothing can be written. */

import { existsSync, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { FileError, FormatError } from '@afterthought/core'
import { UsageError } from './usage-error.ts'

/** @throws FileError if there is no such file; FormatError if it is no UTF-8 text */
export async function readText(path: string, hint?: string): Promise<string> {
  const bytes = await readBytes(path, hint)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new FormatError('not UTF-8 text', { where: path, cause })
  }
}

/** @throws FileError, FormatError */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new FormatError('not JSON', { where: path, actual: (cause as Error).message, cause })
  }
}

async function readBytes(path: string, hint?: string): Promise<Uint8Array> {
  try {
    // A device would be read without end; a pipe ends.
    if ((await stat(path)).isCharacterDevice()) throw new FileError('not a file', { where: path })
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof FileError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const known: Record<string, string> = { ENOENT: 'no such file', EISDIR: 'a folder, not a file' }
    throw new FileError(known[code ?? ''] ?? message, { where: path, cause, ...(hint !== undefined && { hint }) })
  }
}

/**
 * Before the work, not after it.
 *
 * @throws UsageError if an option names a folder where a file is to be written
 */
export function refuseFolders(files: Readonly<Record<string, string | undefined>>): void {
  for (const [option, path] of Object.entries(files)) {
    if (path === undefined || !existsSync(path) || !statSync(path).isDirectory()) continue
    throw new UsageError('a folder, not a file', { where: `--${option} ${path}`, expected: 'the name of a file' })
  }
}
