/**
 * The conformance suite: what a backend must do, as a list of cases that any test runner can loop over, and that a page
 * without a test runner can loop over too.
 *
 *     testBackend('webgpu', () => webgpu(), { test })                        // vitest, bun test, node:test
 *     testBackend('webgpu', () => webgpu(), { test: (name, run) => Deno.test(name, run) })
 *     for (const { name, run } of conformanceCases()) await run(backend)     // anywhere
 *
 * Expected values are the reference backend's, at extents 1, odd and prime, across the 65,535 workgroups of a GPU's
 * dispatch, in every way of broadcasting; and written-out numbers where NaN, infinities and ties are concerned. Nothing is
 * skipped: a backend that cannot meet a case says so with a reason, and the case must then fail.
 */

import type { Backend } from '../src/backend.ts'
import { ArgumentError } from '../src/errors.ts'
import { attentionCases } from './cases/attention.ts'
import type { Case } from './cases/case.ts'
import { compositeCases } from './cases/composites.ts'
import { elementwiseCases } from './cases/elementwise.ts'
import { errorCases } from './cases/errors.ts'
import { indexingCases } from './cases/indexing.ts'
import { layoutCases } from './cases/layout.ts'
import { linearCases } from './cases/linear.ts'
import { modelCases } from './cases/models.ts'
import { programCases } from './cases/programs.ts'
import { reductionCases } from './cases/reductions.ts'
import { specialValueCases } from './cases/special-values.ts'
import { trainingCases } from './cases/training.ts'
import type { Tolerance } from './compare.ts'
import { ConformanceError } from './compare.ts'
import type { Precision } from './trial.ts'
import { f32Tolerances, Trial } from './trial.ts'

export interface ConformanceOptions {
  /** Looser bounds for backends that compute or store in fewer bits. Default: `f32Tolerances`. */
  readonly tolerances?: Partial<Readonly<Record<Precision, Tolerance>>>
  /** Case name → why this backend does not meet it. Such a case must fail; one that passes needs no excuse. */
  readonly excused?: Readonly<Record<string, string>>
}

export interface ConformanceCase {
  /** `matmul: batches broadcast`; unique. */
  readonly name: string
  /** The backend stays usable, except after the last case, which disposes of it. @throws ConformanceError */
  run(backend: Backend): Promise<void>
}

const cases: readonly Case[] = [
  ...elementwiseCases,
  ...reductionCases,
  ...linearCases,
  ...layoutCases,
  ...indexingCases,
  ...compositeCases,
  ...attentionCases,
  ...specialValueCases,
  ...programCases,
  ...trainingCases,
  ...modelCases,
  ...errorCases,
]

/** @throws ArgumentError if an excuse names no case */
export function conformanceCases(options: ConformanceOptions = {}): ConformanceCase[] {
  const { excused = {} } = options
  const unknown = Object.keys(excused).find((name) => !cases.some((entry) => entry.name === name))
  if (unknown !== undefined) throw new ArgumentError('an excuse for no case', { where: 'testBackend', actual: unknown })
  const tolerances = { ...f32Tolerances, ...options.tolerances }
  return cases.map((entry) => {
    const attempt = (backend: Backend): Promise<void> => runCase(entry, new Trial(backend, tolerances))
    const reason = excused[entry.name]
    if (reason === undefined) return { name: entry.name, run: attempt }
    return { name: `${entry.name} (excused: ${reason})`, run: (backend) => expectFailure(entry.name, attempt(backend)) }
  })
}

async function runCase(entry: Case, trial: Trial): Promise<void> {
  try {
    await entry.run(trial)
  } finally {
    trial.dispose()
  }
}

async function expectFailure(name: string, attempt: Promise<void>): Promise<void> {
  const failed = await attempt.then(
    () => false,
    () => true,
  )
  if (!failed) throw new ConformanceError('excused, but it passes', { where: name, hint: 'Take the excuse out' })
}

export interface TestRunner {
  /** Registers one test: `test` of vitest, `bun:test` or `node:test`. */
  readonly test: (name: string, run: () => Promise<void>) => unknown
}

/** Registers every case with a test runner. One backend serves all of them and is disposed of by the last. */
export function testBackend(
  name: string,
  create: () => Backend | Promise<Backend>,
  { test, ...options }: TestRunner & ConformanceOptions,
): void {
  let backend: Promise<Backend> | undefined
  for (const entry of conformanceCases(options)) {
    test(`${name} › ${entry.name}`, async () => {
      backend ??= Promise.resolve(create())
      await entry.run(await backend)
    })
  }
}
