/**
 * The evaluation report: every number of it is one row of one `afterthought eval`, run here over all seeds, models and
 * question sets and kept in report/results.jsonl, a line per command.
 *
 *     node --import tsx --conditions=@afterthought/source packages/bench/scripts/report.ts PROSQA_FOLDER [PART …]
 *
 * PROSQA_FOLDER holds the published files, which are other people's; report/data holds ours (make-sets.ts). Lines whose
 * command and models are unchanged are kept, so a run that was stopped goes on. Strengths are chosen on the validation file
 * alone (part `grids`, which the part `refinement` reads); no test file chooses anything.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { answerOf, digestOf, told } from './command.ts'
import { has, type ModelName, modelNames, modelOf, reportFolder, seeds } from './report-models.ts'

const results = join(reportFolder, 'results.jsonl')
const [folder, ...parts] = process.argv.slice(2)
if (folder === undefined) throw new Error('usage: report.ts PROSQA_FOLDER [PART …]')

const published = (name: string): string => join(resolve(folder), `prosqa_${name}.json`)
const ours = (name: string): string => join(reportFolder, 'data', `${name}.json`)
const sets: Readonly<Record<string, string>> = {
  test: published('test'),
  paired: published('paired_realgraphs'),
  'root-swap': published('test_rootswap'),
  'held-out': ours('held-out'),
  'held-out-paired': ours('held-out-paired'),
  '7-hops-paired': ours('7-hops-paired'),
  '8-hops': ours('8-hops'),
}

interface Line {
  readonly part: string
  readonly seed: string
  readonly model: ModelName
  readonly set: string
  /** How thoughts are refined, where they are. */
  readonly way?: string
  readonly command: string
  /** Of the weights that took part, in the order of the command. */
  readonly sha256: readonly string[]
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

const known = new Map<string, Line>()
if (existsSync(results)) {
  for (const text of readFileSync(results, 'utf8').trim().split('\n').filter(Boolean)) {
    const line = JSON.parse(text) as Line
    known.set(line.command, line)
  }
}

const seen = new Set<string>()

/** What a command is about. */
type Subject = Omit<Line, 'command' | 'sha256' | 'rows'>

/** One command, unless it is known. */
function run(subject: Subject, words: readonly string[]): Line {
  const folders = words.filter((_, i) => ['--model', '--good', '--bad'].includes(words[i - 1] ?? ''))
  const command = told(words)
  const sha256 = folders.map(digestOf)
  seen.add(command)
  const old = known.get(command)
  if (old && JSON.stringify(old.sha256) === JSON.stringify(sha256)) return old
  console.log(`${subject.part}: ${command}`)
  const { rows, grid } = answerOf(words) as { rows?: Record<string, unknown>[]; grid?: Record<string, unknown>[] }
  const kept = (rows ?? grid)!.map(({ settings, twoWay, ...row }) => row)
  const line = { ...subject, command, sha256, rows: kept }
  known.set(command, line)
  save()
  return line
}

function save(): void {
  writeFileSync(results, `${[...known.values()].map((line) => JSON.stringify(line)).join('\n')}\n`)
}

/** What the slots hold, and how many there are. */
const thoughtControls =
  'no-thoughts,zero,noise,first,other-question,permute,pause,latents-1,latents-2,latents-3,latents-4,latents-5,latents-7,latents-8'
const few = 'no-thoughts,zero,other-question,latents-7,latents-8'

function thoughts(): void {
  for (const seed of seeds.filter((name) => has(name, 'main'))) {
    for (const [set, file] of Object.entries(sets)) {
      const controls = set === 'test' || set === 'paired' ? thoughtControls : few
      const words = ['eval', file, '--model', modelOf(seed, 'main'), '--settings', 'plain', '--controls', controls]
      run({ part: 'thoughts', seed, model: 'main', set }, words)
    }
  }
}

const slotsOf = (model: ModelName): string[] => (model === 'pause' ? ['--replace', 'pause'] : ['--settings', 'plain'])

/** Models that had the same steps and did not think. */
function controls(): void {
  for (const seed of seeds) {
    for (const model of modelNames.filter((name) => name !== 'main' && has(seed, name))) {
      for (const [set, file] of Object.entries(sets)) {
        const words = ['eval', file, '--model', modelOf(seed, model), ...slotsOf(model)]
        run({ part: 'controls', seed, model, set }, words)
      }
    }
  }
}

/** What a question costs, one at a time, which no seed changes: to be run on a machine that does nothing else. */
function cost(): void {
  const seed = seeds[0]!
  for (const model of modelNames.filter((name) => has(seed, name))) {
    const words = ['eval', sets.test!, '--model', modelOf(seed, model), ...slotsOf(model), '--batch', '1']
    run({ part: 'cost', seed, model, set: 'test' }, [...words, '--limit', '100', '--threads', '2'])
  }
}

const alphas = ['0', '0.01', '0.03', '0.1', '0.3', '0.5', '1']
const steps = ['0', '0.015625', '0.0625', '0.25', '1']
const references = (seed: string): string[] => ['--good', modelOf(seed, 'good'), '--bad', modelOf(seed, 'bad')]
/** Checkpoints of the run itself as references: the finished model as good, the early one as bad. */
const own = (seed: string): string[] => [
  ...['--good', modelOf(seed, 'main'), '--bad', modelOf(seed, 'early'), '--ref-step', 'same'],
]
/** Seeds with a finished and an early model to refine. */
const refinable = seeds.filter((name) => has(name, 'main') && has(name, 'early'))
/** Whether the references that write have been trained with this seed. */
const hasReferences = (seed: string): boolean => has(seed, 'good') && has(seed, 'bad')
/** Ways to refine whose strength is chosen on the validation file, with the words that the strength replaces. */
const ways = (seed: string): Readonly<Record<string, readonly string[]>> => ({
  ...(hasReferences(seed) && {
    code: references(seed),
    paper: [...references(seed), '--sign', 'paper'],
    same: [...references(seed), '--ref-step', 'same'],
  }),
  own: own(seed),
})

function grids(): void {
  const file = published('valid')
  for (const seed of refinable) {
    for (const model of ['main', 'early'] as const) {
      const asked = ['sweep', file, '--model', modelOf(seed, model)]
      const sweep = (way: string, strengths: readonly string[]): Line =>
        run({ part: 'grids', seed, model, set: 'valid', way }, [...asked, ...strengths])
      sweep('residual', ['--alphas', ...alphas, '--steps', '0'])
      for (const [way, words] of Object.entries(ways(seed))) {
        sweep(way, ['--alphas', '0', '--steps', ...steps.slice(1), ...words])
      }
      if (!hasReferences(seed)) continue
      sweep('both', ['--alphas', '0.01', '0.1', '--steps', ...steps.slice(1, 3), ...references(seed)])
    }
  }
}

interface Cell {
  readonly alpha: number
  readonly step: number
  readonly correct: number
}

/** The best strength of a grid; of equal ones the weakest, which is nearest to doing nothing. */
function chosen(seed: string, model: ModelName, way: string): Cell {
  const line = [...known.values()].find(
    (one) => one.part === 'grids' && one.seed === seed && one.model === model && one.way === way,
  )
  const cells = (line!.rows as unknown as Cell[]).filter(({ alpha, step }) => alpha > 0 || step > 0)
  return cells.reduce((best, cell) => (cell.correct > best.correct ? cell : best))
}

function refinement(): void {
  for (const seed of refinable) {
    for (const model of ['main', 'early'] as const) {
      for (const set of ['test', 'paired']) {
        const ask = (way: string, words: readonly string[]): Line =>
          run({ part: 'refinement', seed, model, set, way }, [
            ...['eval', sets[set]!, '--model', modelOf(seed, model), '--settings', 'plain', ...words],
          ])
        const residual = chosen(seed, model, 'residual')
        ask('residual', ['residual', '--alpha', `${residual.alpha}`, '--controls', 'alpha-1'])
        for (const [way, words] of Object.entries(ways(seed))) {
          const { step } = chosen(seed, model, way)
          const controls = way === 'code' ? ['--controls', 'random-direction,swapped-references'] : []
          ask(way, ['contrastive', '--step', `${step}`, ...words, ...controls])
        }
        if (!hasReferences(seed)) continue
        const { alpha, step } = chosen(seed, model, 'both')
        ask('both', ['both', '--alpha', `${alpha}`, '--step', `${step}`, ...references(seed)])
      }
      if (!hasReferences(seed)) continue
      // Single positions, at the middle strength of the grid: one thought is moved, the others are left.
      for (const slot of ['1', '2', '3', '4', '5', '6']) {
        run({ part: 'positions', seed, model, set: 'test', way: `thought ${slot}` }, [
          ...['eval', sets.test!, '--model', modelOf(seed, model), '--settings', 'plain', 'contrastive'],
          ...['--step', '0.0625', '--apply-at', slot, ...references(seed)],
        ])
      }
    }
  }
}

const all: Readonly<Record<string, () => void>> = { thoughts, controls, cost, grids, refinement }
for (const [part, work] of Object.entries(all)) if (parts.length === 0 || parts.includes(part)) work()
// What no model or command gives any more goes, once everything was asked for.
if (parts.length === 0) for (const command of known.keys()) if (!seen.has(command)) known.delete(command)
save()
