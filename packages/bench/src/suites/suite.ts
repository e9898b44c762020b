/** What a suite is, and the steps that suites share. */

import { agreementOf, type Contender, type Peer, type Run, type Workload } from '../contender.ts'
import { compare, type Repetition, type Sample, spreadOf } from '../measure.ts'
import { comparisonFields, type Row } from '../report.ts'

export interface SuiteContext {
  readonly threads: number
  readonly seed: number
  /** `full`: the shapes that the numbers are about. `quick`: tiny ones, to see that everything works. */
  readonly profile: 'full' | 'quick'
  /** Folder of a model, where the suite takes one. */
  readonly model: string | undefined
  readonly peers: ReadonlyMap<string, Peer>
  readonly repetition: Repetition
  readonly tell: (line: string) => void
  /** Collects what took part. */
  readonly versions: Map<string, string>
}

export interface Suite {
  readonly summary: string
  /** Peers that it can compare with. */
  readonly peers: readonly string[]
  /** Rows in the order in which they are measured. */
  run(context: SuiteContext): AsyncIterable<Row>
}

/** What of a run is compared. */
export interface Measure {
  readonly unit: string
  value(run: Run): number
}

export const wallTime: Measure = { unit: 'ms', value: ({ ms }) => ms }

/** Time per token behind the first one. */
export const tokenTime: Measure = {
  unit: 'ms/token',
  value: ({ decodeMs, tokens }) => (decodeMs ?? Number.NaN) / (tokens.length - 1),
}

/** One row: two contenders with the same work, warmed up and held against each other. */
export async function duel(
  name: string,
  ours: Contender,
  theirs: Contender,
  workload: Workload,
  measure: Measure,
  context: SuiteContext,
): Promise<Row> {
  context.tell(name)
  await theirs.run(workload)
  await ours.run(workload)
  const agreement = agreementOf(await ours.run(workload), await theirs.run(workload))
  const sampler =
    (contender: Contender): (() => Promise<Sample>) =>
    async () => {
      const run = await contender.run(workload)
      return { value: measure.value(run), foreignCpuMs: run.foreignCpuMs ?? 0 }
    }
  const comparison = await compare(sampler(ours), sampler(theirs), context.repetition)
  return { name, ...comparisonFields(comparison, measure.unit), agreement }
}

/** The rows against one peer, or what installs it. */
export async function* duelsWithPeer(
  peer: string,
  ours: Contender,
  folder: string,
  workloads: ReadonlyMap<string, Workload>,
  measure: Measure,
  context: SuiteContext,
): AsyncGenerator<Row> {
  const { missing, open } = context.peers.get(peer)!
  const install = missing()
  if (install !== undefined) {
    for (const [name, workload] of workloads) {
      yield { name: `${name}/${peer}`, peer, ours: await alone(ours, workload, measure, context), skipped: install }
    }
    return
  }
  context.tell(`${peer}: loading`)
  await using theirs = await open(folder, context.threads)
  for (const [library, version] of Object.entries(theirs.versions)) context.versions.set(library, version)
  for (const [name, workload] of workloads) {
    yield { ...(await duel(`${name}/${peer}`, ours, theirs, workload, measure, context)), peer }
  }
}

async function alone(
  ours: Contender,
  workload: Workload,
  { unit, value }: Measure,
  { repetition }: SuiteContext,
): Promise<Row['ours']> {
  await ours.run(workload)
  const values: number[] = []
  while (values.length < repetition.pairs) values.push(value(await ours.run(workload)))
  return { ...spreadOf(values), unit }
}
