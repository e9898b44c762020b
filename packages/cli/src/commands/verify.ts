/** `afterthought verify`: a fixture folder of expected values, replayed on a backend of this machine. */

import { existsSync } from 'node:fs'
import type { FixtureCheck, FixtureReport } from '@afterthought/bench/fixture'
import { type Command, defineCommand } from '../command.ts'
import { backendOptions } from '../options.ts'
import type { Colors } from '../output.ts'
import { formatTable } from '../table.ts'

export const command: Command = defineCommand({
  description:
    'Replays a fixture folder (a tiny model, two references, and what an independent implementation computed with\n' +
    'them) and compares every tensor: hidden states, logits, KV cache, padded batches, continuous thoughts and their\n' +
    'refinement with gradients. Exit status 1 if a check does not hold.',
  examples: [
    ['verify ./FOLDER', 'model, references and expected.safetensors lie in it'],
    ['verify ./FOLDER --backend onnx:cpu --json', 'one backend; every check as JSON'],
  ],
  operand: { name: 'FOLDER', description: 'the fixture folder', required: true },
  options: backendOptions,
  async run({ values, operand, output }) {
    const [{ FileError }, { openBackend }, { openFolder }, { verifyFixture }] = await Promise.all([
      import('@afterthought/core'),
      import('../backend.ts'),
      import('@afterthought/core/files'),
      import('@afterthought/bench/fixture'),
    ])
    if (!existsSync(operand!)) throw new FileError('no such folder', { where: operand! })
    const folder = await openFolder(operand!)
    const backend = await openBackend(values, (line) => output.note(line))
    try {
      const report = await verifyFixture(folder, backend)
      output.result(report, () => formatReport(report, output.colors))
      return report.ok ? 0 : 1
    } finally {
      await backend.dispose()
    }
  },
})

export function formatReport({ folder, backend, checks }: FixtureReport, colors: Colors): string {
  const columns = [
    { title: 'check' },
    { title: 'error', align: 'right' },
    { title: 'allowed', align: 'right' },
  ] as const
  const rows = checks.map(({ name, maxError, tolerance, ok }) => {
    const mark = ok ? colors.green('✓') : colors.red('✗')
    return [
      `${mark} ${ok ? name : colors.red(name)}`,
      formatError(maxError),
      tolerance === 0 ? 'equal' : tolerance.toExponential(0),
    ]
  })
  const failed = checks.filter(({ ok }) => !ok).length
  const summary = failed === 0 ? `all ${checks.length} checks hold` : `${failed} of ${checks.length} checks do not hold`
  const verdict = failed === 0 ? colors.green(summary) : colors.red(summary)
  return [formatTable(columns, rows, colors.dim), '', `${folder} on ${backend}: ${colors.bold(verdict)}`].join('\n')
}

function formatError(error: FixtureCheck['maxError']): string {
  if (error === Number.MAX_VALUE) return 'NaN or ∞'
  return error === 0 ? '0' : error.toExponential(1)
}
