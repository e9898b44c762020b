/** `afterthought bench`: speed against peers, measured by @afterthought/bench. */

import type { BenchReport, Measurement, Row } from '@afterthought/bench'
import { type Command, defineCommand } from '../command.ts'
import { backendOptions } from '../options.ts'
import type { Colors } from '../output.ts'
import { formatTable } from '../table.ts'
import { suggestion, UsageError } from '../usage-error.ts'

export const command: Command = defineCommand({
  description:
    'Measures speed: ours and a peer take turns in one run on this machine, and what counts is their ratio (below 1 is\n' +
    'faster). Ends with one line of JSON. A peer that is not installed is named with the command that installs it.',
  examples: [
    ['bench --list', 'suites and peers'],
    ['bench trajectory', ''],
    ['bench trajectory --peer hf --peer floor --threads 2', 'these peers only'],
    ['bench --profile --model FOLDER --dtype int8', 'time, bytes, FLOP and share of the roofline, kernel by kernel'],
  ],
  operand: { name: 'SUITE', description: 'what to measure, see --list', required: false },
  options: {
    list: { type: 'flag', description: 'List suites and peers' },
    peer: { type: 'names', description: 'Measure against these peers only' },
    quick: { type: 'flag', description: 'Tiny shapes and few repetitions, to see that everything works' },
    profile: { type: 'flag', description: 'Instead of a suite: the time of every WebGPU kernel of a model' },
    dtype: { ...backendOptions.dtype, description: 'With --profile: how weights are stored; default f32' },
    model: { type: 'text', value: 'FOLDER', description: 'A model folder, for suites that take one' },
    threads: { ...backendOptions.threads, description: 'Threads of every contender; default 2' },
    seed: { type: 'integer', value: 'N', description: 'Of random weights and prompts; default 0' },
  },
  async run({ values, operand, output, signal }) {
    const { formatProfile, peers, profileModel, runBench, suites } = await import('@afterthought/bench')
    if (values.list) {
      const listed = {
        suites: Object.entries(suites).map(([name, suite]) => ({
          name,
          description: suite.summary,
          peers: suite.peers,
        })),
        peers: Object.entries(peers).map(([name, peer]) => ({ name, description: peer.summary })),
      }
      output.result(listed, () => formatList(listed, output.colors))
      return 0
    }
    const { peer, threads, seed, quick, profile, dtype, model } = values
    if (profile) {
      const chosen = {
        ...(model !== undefined && { model }),
        ...(dtype && { dtype }),
        ...(seed !== undefined && { seed }),
      }
      const profiled = await profileModel(chosen)
      for (const program of profiled.programs) output.write(`${program.name}\n${formatProfile(program)}\n\n`)
      output.jsonLine({ profile: profiled })
      return 0
    }
    const report = await runBench(requireKnown(operand, Object.keys(suites)), {
      ...(peer && { peers: peer }),
      ...(threads !== undefined && { threads }),
      ...(seed !== undefined && { seed }),
      ...(quick && { profile: 'quick' }),
      ...(model !== undefined && { model }),
      signal,
      onProgress: (line) => output.note(line),
      onRow: (row) =>
        output.note(`${row.name}: ${row.ratio ? `${row.ratio.median.toFixed(2)} of theirs` : 'measured'}`),
    })
    output.write(`${formatCard(report, output.colors)}\n\n`)
    if (quick)
      output.write('Tiny shapes, few repetitions: this shows that everything runs; the figures mean nothing.\n\n')
    output.jsonLine(report)
    return 0
  },
})

function requireKnown(suite: string | undefined, known: readonly string[]): string {
  if (suite !== undefined && known.includes(suite)) return suite
  const hint = suite === undefined ? undefined : suggestion(suite, known)
  throw new UsageError(suite === undefined ? 'SUITE is missing' : `unknown suite ${JSON.stringify(suite)}`, {
    where: 'bench',
    expected: known.join(', '),
    ...(hint !== undefined && { hint }),
  })
}

interface Listed {
  readonly suites: readonly { readonly name: string; readonly description: string; readonly peers: readonly string[] }[]
  readonly peers: readonly { readonly name: string; readonly description: string }[]
}

function formatList({ suites, peers }: Listed, colors: Colors): string {
  const suiteRows = suites.map(({ name, description, peers }) => [colors.cyan(name), description, peers.join(', ')])
  const peerRows = peers.map(({ name, description }) => [colors.cyan(name), description])
  return [
    formatTable([{ title: 'suite' }, { title: '' }, { title: 'peers' }], suiteRows, colors.dim),
    '',
    formatTable([{ title: 'peer' }, { title: '' }], peerRows, colors.dim),
  ].join('\n')
}

/** The card for people: medians, and the ratio with its extremes. */
function formatCard({ suite, machine, rows }: BenchReport, colors: Colors): string {
  const { cpu, cores, memoryGiB, system, threads, versions } = machine
  const columns = [
    { title: '' },
    { title: 'ours', align: 'right' },
    { title: 'theirs', align: 'right' },
    { title: 'ours / theirs', align: 'right' },
    { title: '' },
  ] as const
  return [
    `${colors.bold(suite)}: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; ${threads} threads`,
    colors.dim(
      Object.entries(versions)
        .map((entry) => entry.join(' '))
        .join(', '),
    ),
    '',
    formatTable(
      columns,
      rows.map((row) => cells(row, colors)),
      colors.dim,
    ),
  ].join('\n')
}

function cells({ name, ours, theirs, ratio, skipped, disturbance = 0 }: Row, colors: Colors): string[] {
  const remarks = [
    ...(skipped === undefined ? [] : [`not installed: ${skipped}`]),
    ...(disturbance >= 0.05 ? [`other programs took ${(100 * disturbance).toFixed(0)} % of the processor`] : []),
  ]
  return [
    name,
    measured(ours),
    theirs ? measured(theirs) : '',
    ratio ? `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} … ${ratio.max.toFixed(2)})` : '',
    colors.dim(remarks.join('; ')),
  ]
}

function measured({ median, unit }: Measurement): string {
  return `${median >= 100 ? median.toFixed(0) : median.toPrecision(3)} ${unit}`
}
