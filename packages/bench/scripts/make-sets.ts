/**
 * Writes the ProsQA questions that are ours, the command's samples and the report's sets: drawn from the calibrated
 * generator, so anyone can draw them again and get the same bytes. Training draws graphs of the same kind anew at every step
 * and has seen none of these.
 *
 *     node --import tsx --conditions=@afterthought/source packages/bench/scripts/make-sets.ts
 */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GeneratorOptions, generateProsqa, longGraphs } from '@afterthought/core/data'
import { reportFolder, root } from './report-models.ts'

type Sets = Readonly<Record<string, GeneratorOptions>>

/** What the command has inside. Pairs: items 2i and 2i + 1 differ only in the person asked about. */
const samples: Sets = {
  'prosqa-sample': { count: 60, seed: 2506, hops: [3, 5], pairs: true },
  /** For choosing settings. */
  'prosqa-validation': { count: 60, seed: 8552, hops: [3, 5], pairs: true },
}

const reported: Sets = {
  /** Like the published test file; the depth shortcut solves most of it. */
  'held-out': { count: 500, seed: 6001 },
  /** Both families of a graph are asked: no rule that ignores the person gets a pair. */
  'held-out-paired': { count: 340, seed: 6002, pairs: true },
  /** One fact more than the models were given thoughts for. */
  '7-hops-paired': { count: 200, seed: 6003, pairs: true, hops: [7, 7], graphs: longGraphs },
  /** Pairs of eight are too rare to be drawn: the shortcut solves these too. */
  '8-hops': { count: 200, seed: 6004, hops: [8, 8], graphs: longGraphs },
}

function write(folder: string, sets: Sets): void {
  for (const [name, options] of Object.entries(sets)) {
    const items = generateProsqa(options)
    // One item per line: a difference stays readable.
    writeFileSync(join(folder, `${name}.json`), `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]\n`)
    process.stderr.write(`${name}: ${items.length} items, seed ${options.seed}\n`)
  }
}

write(join(root, 'packages/cli/data'), samples)
write(join(reportFolder, 'data'), reported)
