/** Questions from a file of any known format, or the samples that come with the package. */

import { basename } from 'node:path'
import { type QuestionRecord, readRecords } from '@afterthought/core/data'
import { asset } from './assets.ts'
import { readText } from './files.ts'

const embedded: Readonly<Record<string, string>> = {
  sample: 'data/prosqa-sample.json',
  validation: 'data/prosqa-validation.json',
}

const HINT = 'Give a data file, or sample or validation; members of a list before it can be joined by commas'

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
  const { records } = readRecords(await readText(path, HINT), path)
  return { name: basename(path), records: records.slice(0, limit) }
}
