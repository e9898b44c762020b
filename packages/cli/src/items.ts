/**
 * The items file of an evaluation: one JSON line per question and row, appended batch by batch, so that a run that was
 * killed goes on where it stopped when the same command is given again. Every line carries the fingerprint of what it
 * was computed from; lines of another run are refused, never mixed. A finished file is sorted.
 */

import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { FileError, FormatError } from '@afterthought/core'
import type { EvaluationSettings, ItemRecord, RowInput } from '@afterthought/core/evaluation'
import { writeFileAtomically } from '@afterthought/core/files'
import { UsageError } from './usage-error.ts'

type ItemLine = ItemRecord & { readonly run: string }

/** A hash of everything that an answer depends on. */
export function fingerprint(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16)
}

export class ItemsFile {
  private readonly path: string
  /** Row names to the fingerprints of this run. */
  private readonly runs: ReadonlyMap<string, string>
  private readonly items: readonly ItemRecord[]

  /**
   * Opens or begins a file.
   *
   * @throws UsageError if it holds another run; FormatError if it is no items file; FileError
   */
  constructor(path: string, runs: ReadonlyMap<string, string>) {
    this.path = path
    this.runs = runs
    const content = readIfThere(path)
    // What a kill or a full disk left of a line is computed again.
    const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1)
    const lines = whole.toString('utf8').split('\n').slice(0, -1)
    this.items = lines.map((line, i) => this.parse(line, i + 1))
    attempt(path, () => {
      if (whole.length < content.length) truncateSync(path, whole.length)
      appendFileSync(path, '') // an unwritable place shows now, not after the first batch
    })
  }

  /** Answers of an earlier run. */
  known(row: string): readonly ItemRecord[] {
    return this.items.filter((item) => item.row === row)
  }

  append(items: readonly ItemRecord[]): void {
    attempt(this.path, () => appendFileSync(this.path, this.format(items)))
  }

  /** Rewrites the file at once: rows in their order, questions in theirs. */
  async finish(rows: readonly RowInput[]): Promise<void> {
    await writeFileAtomically(this.path, this.format(rows.flatMap((row) => row.items)))
  }

  private format(items: readonly ItemRecord[]): string {
    return items.map((item) => `${JSON.stringify({ ...item, run: this.runs.get(item.row) })}\n`).join('')
  }

  private parse(line: string, number: number): ItemRecord {
    const { run, ...item } = parseLine(line, `${this.path}, line ${number}`)
    if (this.runs.get(item.row) === run) return item
    const sameRow = this.runs.has(item.row)
    throw new UsageError('the file holds answers of another command', {
      where: `--items ${this.path}`,
      expected: sameRow ? 'the same data, settings, models and seed' : `rows ${[...this.runs.keys()].join(', ')}`,
      actual: sameRow ? `others in line ${number}` : `row ${JSON.stringify(item.row)} in line ${number}`,
      hint: 'Name another file, or repeat the command that began this one to go on with it',
    })
  }
}

function parseLine(line: string, where: string): ItemLine {
  let item: Partial<ItemLine>
  try {
    item = JSON.parse(line) as Partial<ItemLine>
  } catch (cause) {
    throw new FormatError('not an items file', { where, actual: JSON.stringify(line.slice(0, 60)), cause })
  }
  const { run, row, index, gold, answer, answerIds, correct, latents, tokens, ms } = item ?? {}
  const complete =
    [run, row, gold, answer].every((text) => typeof text === 'string') &&
    [index, latents, tokens, ms].every(Number.isFinite) &&
    Array.isArray(answerIds) &&
    typeof correct === 'boolean'
  if (!complete) throw new FormatError('not an items file', { where, actual: JSON.stringify(line.slice(0, 60)) })
  return item as ItemLine
}

function readIfThere(path: string): Buffer {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return Buffer.alloc(0)
  // A device would be read without end.
  if (!status.isFile()) throw new FileError('not a regular file', { where: path })
  return attempt(path, () => readFileSync(path))
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw new FileError((cause as Error).message, { where: path, cause })
  }
}

/** Whether an answer depends on its batch, so that a resumed run would answer otherwise. */
export function dependsOnBatch({ refinement }: EvaluationSettings): boolean {
  return refinement?.search?.reduction === 'batchMean'
}
