/** Questions from a file of any known format, or the samples that come with the package. */

import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { FileError, FormatError } from '@afterthought/core'
import { type QuestionRecord, readRecords } from '@afterthought/core/data'
import { asset } from './assets.ts'

const embedded: Readonly<Record<string, string>> = {
  sample: 'data/prosqa-sample.json',
  validation: 'data/prosqa-validation.json',
}

export interface Questions {
  /** The file's name, as printed. */
  readonly name: string
  readonly records: readonly QuestionRecord[]
}

/**
 * @param source a path, or `sample` or `validation` for the embedded files
 * @param limit takes the first of them only
 * @throws FileError, FormatError
 */
export async function readQuestions(source: string, limit?: number): Promise<Questions> {
  const path = Object.hasOwn(embedded, source) ? asset(embedded[source]!) : source
  const { records } = readRecords(decode(await readData(path), path), path)
  return { name: basename(path), records: records.slice(0, limit) }
}

async function readData(path: string): Promise<Uint8Array> {
  try {
    // A device would be read without end; a pipe ends.
    if ((await stat(path)).isCharacterDevice()) throw new FileError('not a file', { where: path })
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof FileError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const hint = 'Give a data file, or sample or validation'
    throw new FileError(code === 'ENOENT' ? 'no such file' : message, { where: path, hint, cause })
  }
}

function decode(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new FormatError('not UTF-8 text', { where, cause })
  }
}
