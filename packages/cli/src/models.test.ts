/** The embedded models: where they come from, and that what is told of them is theirs. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { asset } from './assets.ts'
import { published } from './commands/demo.ts'
import { embeddedFolder } from './models.ts'

describe('the embedded models', () => {
  it.each([
    ['prosqa', 'main'],
    ['prosqa-early', 'early'],
    ['prosqa-good', 'good'],
    ['prosqa-bad', 'bad'],
  ] as const)('%s is what the report has as %s of the recipes’ seed', (name, reported) => {
    const { seed } = JSON.parse(readFileSync(asset('recipes/prosqa.json'), 'utf8')) as { seed: number }
    const report = new URL(`../../bench/report/models/seed-${seed}/${reported}/`, import.meta.url)
    const file = 'model.safetensors'
    expect(readFileSync(`${embeddedFolder(name)}/${file}`).equals(readFileSync(new URL(file, report)))).toBe(true)
  })
})

test('what the demo says of the published file was recorded with the embedded model', () => {
  const model = readFileSync(`${embeddedFolder('prosqa')}/model.safetensors`)
  const rows = ['test-weak', 'test-small', 'test-refined'].map((name) => {
    const record = readFileSync(new URL(`../../../apps/docs/recorded/${name}.json`, import.meta.url), 'utf8')
    const { sha256, rows } = JSON.parse(record) as { sha256: string; rows: { name: string; correct: number }[] }
    expect(sha256, name).toBe(createHash('sha256').update(model).digest('hex'))
    return rows
  })
  const correct = (wanted: string): (number | undefined)[] =>
    rows.map((record) => record.find(({ name }) => name === wanted)?.correct)
  expect(correct('residual')).toEqual(published.residual)
  expect(correct('plain')).toEqual(rows.map(() => published.plain))
})
