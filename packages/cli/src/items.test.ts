/** The items file: what is known after a kill, what is refused, and how it ends. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ItemRecord } from '@afterthought/core/evaluation'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fingerprint, ItemsFile } from './items.ts'

const item = (row: string, index: number): ItemRecord => ({
  ...{ row, index, gold: 'a', answer: 'a', answerIds: [1], correct: true, latents: 6, tokens: 1, ms: 1.5 },
})

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'afterthought-items-'))
  path = join(folder, 'items.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const runs = new Map([
  ['plain', fingerprint('a')],
  ['zero', fingerprint('b')],
])
const lines = (): unknown[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('what was appended is known to the next run, and the finished file is sorted', async () => {
  const first = new ItemsFile(path, runs)
  first.append([item('plain', 2), item('plain', 0)])
  first.append([item('zero', 1)])
  const second = new ItemsFile(path, runs)
  expect(second.known('plain')).toEqual([item('plain', 2), item('plain', 0)])
  expect(second.known('zero')).toEqual([item('zero', 1)])
  const row = (name: string, items: ItemRecord[]) => ({ name, settings: {}, items, ms: 0 })
  await second.finish([row('plain', [item('plain', 0), item('plain', 2)]), row('zero', [item('zero', 1)])])
  expect(lines()).toEqual([
    { ...item('plain', 0), run: runs.get('plain') },
    { ...item('plain', 2), run: runs.get('plain') },
    { ...item('zero', 1), run: runs.get('zero') },
  ])
})

test.each(['', '{"row":"pl', '{"row":"plain","index":3}'])('a line that a kill cut off is forgotten: %j', (rest) => {
  new ItemsFile(path, runs).append([item('plain', 0)])
  writeFileSync(path, readFileSync(path, 'utf8') + rest)
  const file = new ItemsFile(path, runs)
  expect(file.known('plain')).toEqual([item('plain', 0)])
  file.append([item('plain', 1)])
  expect(lines()).toHaveLength(2)
})

test('another run is refused with a hint, and its file left as it is', () => {
  new ItemsFile(path, runs).append([item('plain', 0)])
  const before = readFileSync(path, 'utf8')
  expect(() => new ItemsFile(path, new Map([['plain', fingerprint('other')]]))).toThrow(
    /expected the same data, settings.*line 1\. Name another file/,
  )
  expect(() => new ItemsFile(path, new Map([['zero', runs.get('zero')!]]))).toThrow(
    /answers of another command; expected rows zero, got row "[a-z]+" in line 1\./,
  )
  expect(readFileSync(path, 'utf8')).toBe(before)
})

test('what is no items file is refused, and left as it is', () => {
  writeFileSync(path, 'precious\n')
  expect(() => new ItemsFile(path, runs)).toThrow(/line 1: not an items file/)
  writeFileSync(path, '{"row":"plain"}\n')
  expect(() => new ItemsFile(path, runs)).toThrow(/not an items file/)
  expect(readFileSync(path, 'utf8')).toBe('{"row":"plain"}\n')
  expect(() => new ItemsFile(folder, runs)).toThrow(/not a regular file/)
  expect(() => new ItemsFile(join(folder, 'nowhere', 'items.jsonl'), runs)).toThrow(/no such file/)
})
