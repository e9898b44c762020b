/**
 * Measures what the pages report, with the command line, and keeps it in recorded/: minutes of work, done when a model or
 * a method changes, not at every build.
 *
 *     npm run record --workspace @afterthought/docs -- [FOLDER with prosqa_test.json and prosqa_paired_realgraphs.json] [NAME …]
 *
 * The published files are other people's and not in the repository; without a folder their records stay as they are.
 */

import { writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { answerOf, digestOf, told } from '../../../packages/bench/scripts/command.ts'
import { root } from '../../../packages/bench/scripts/report-models.ts'

const recorded = fileURLToPath(new URL('../recorded/', import.meta.url))
const [folder, ...wanted] = process.argv.slice(2)
const data = folder && resolve(folder)

const embedded = join(root, 'packages/cli/models/prosqa')

/** The folder of the model that a command is about. */
const modelFolder = (command: readonly string[]): string =>
  join(embedded, command.includes('prosqa-early') ? 'main-early' : 'main')

/** Strengths are those of the pages' pictures, of their programs, and one weaker still; not the best of anything. */
const strengths = {
  refined: ['--alpha', '0.3', '--step', '0.25'],
  small: ['--alpha', '0.1', '--step', '0.0625'],
  weak: ['--alpha', '0.01', '--step', '0.015625'],
}
const slotControls = 'no-thoughts,zero,noise,pause,first,other-question,permute,alpha-1,latents-3,latents-4,latents-8'
const searchControls = 'opposite-sign,random-direction,swapped-references'

/** What stands in the slots, and the refinements. */
function evaluations(name: string, file: string): Record<string, readonly string[]> {
  return {
    [name]: ['eval', file, '--settings', 'plain', '--controls', slotControls],
    [`${name}-refined`]: refinements(file, strengths.refined),
  }
}

/** Controls go with the last of the settings. */
function refinements(file: string, strength: readonly string[]): readonly string[] {
  return [
    ...['eval', file, '--settings', 'plain', 'residual', 'both', 'contrastive'],
    ...[...strength, '--controls', searchControls],
  ]
}

/** From weak to strong on one file, also with the model that was stopped early. */
function strengthEvaluations(file: string): Record<string, readonly string[]> {
  const early = ['--model', 'prosqa-early']
  return {
    'test-weak': refinements(file, strengths.weak),
    'test-small': refinements(file, strengths.small),
    'early-weak': [...refinements(file, strengths.weak), ...early],
    'early-small': [...refinements(file, strengths.small), ...early],
  }
}

const sweep = ['sweep', 'validation', '--alphas']
const runs: Readonly<Record<string, readonly string[]>> = {
  ...evaluations('sample', 'sample'),
  grid: [...sweep, '0', '0.1', '0.3', '0.5', '1', '--steps', '0', '0.015625', '0.0625', '0.25', '1'],
  latents: [...sweep, '0', '--steps', '0', '--latents', '0', '1', '2', '3', '4', '5', '6', '7', '8'],
  ...(data && evaluations('test', join(data, 'prosqa_test.json'))),
  ...(data && strengthEvaluations(join(data, 'prosqa_test.json'))),
  ...(data && evaluations('paired', join(data, 'prosqa_paired_realgraphs.json'))),
}

for (const [name, command] of Object.entries(runs)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const asked = told(command)
  console.log(`${name}: ${asked}`)
  const record = { command: asked, sha256: digestOf(modelFolder(command)), ...answerOf(command) }
  // The place of a file is nobody's business, and times belong to one machine.
  const kept = JSON.stringify(record, impersonal, 1)
  writeFileSync(join(recorded, `${name}.json`), `${kept}\n`)
}

/** Without times, and with names in place of paths. */
function impersonal(key: string, value: unknown): unknown {
  if (key === 'msPerQuestion') return undefined
  return (key === 'data' || key === 'model') && typeof value === 'string' ? basename(value) : value
}
