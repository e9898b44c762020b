/** The command itself, asked for records: its answer, how it is told without anybody's paths, and whose weights took part. */

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, isAbsolute, join } from 'node:path'
import { root } from './report-models.ts'

/** What the command prints with `--json`. */
export function answerOf(words: readonly string[]): Readonly<Record<string, unknown>> {
  const output = execFileSync(join(root, 'node_modules/.bin/afterthought'), [...words, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 27,
  })
  return JSON.parse(output) as Readonly<Record<string, unknown>>
}

/** As anybody could type it: paths inside the repository are relative, of others the name is left. */
export function told(words: readonly string[]): string {
  const free = words.map((word) => {
    if (word.startsWith(root)) return word.slice(root.length + 1)
    return isAbsolute(word) ? basename(word) : word
  })
  return `afterthought ${free.join(' ')}`
}

/** SHA-256 of a model folder's weights: a later model is not given an earlier one's numbers. */
export const digestOf = (model: string): string =>
  createHash('sha256')
    .update(readFileSync(join(model, 'model.safetensors')))
    .digest('hex')
