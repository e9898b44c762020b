/**
 * Writes the ProsQA samples that the command line ships for its demonstrations: made, not copied, so anyone can make
 * them again and get the same bytes.
 *
 *     node --import tsx packages/core/scripts/make-samples.ts [FOLDER]
 *
 * `prosqa-sample.json` (seed 2506) holds pairs: items 2i and 2i + 1 differ only in the person asked about, so a rule
 * that ignores the person gets half. `prosqa-validation.json` (seed 8552) holds pairs too, for choosing settings.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generateProsqa } from '../src/data/index.ts'

const samples = [
  { file: 'prosqa-sample.json', seed: 2506 },
  { file: 'prosqa-validation.json', seed: 8552 },
]

const folder = process.argv[2] ?? fileURLToPath(new URL('../../cli/data/', import.meta.url))
mkdirSync(folder, { recursive: true })
for (const { file, seed } of samples) {
  const items = generateProsqa({ count: 60, seed, hops: [3, 5], pairs: true })
  // One item per line: a difference stays readable.
  const text = `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`
  writeFileSync(join(folder, file), text)
  process.stderr.write(`${file}: ${items.length} items, seed ${seed}\n`)
}
