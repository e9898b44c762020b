/** `afterthought doctor`: what this machine can compute with, found out by trying, and why. */

import { cpus, totalmem } from 'node:os'
import { type Command, defineCommand } from '../command.ts'
import type { Colors } from '../output.ts'
import { formatTable } from '../table.ts'

/** Variables that change what is found or where; a token is only said to be there. */
const variables = [
  'AFTERTHOUGHT_DEBUG',
  'AFTERTHOUGHT_SOURCE',
  'CUDA_VISIBLE_DEVICES',
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HF_HUB_OFFLINE',
  'HF_TOKEN',
  'HUGGINGFACE_HUB_CACHE',
  'LD_LIBRARY_PATH',
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'XDG_CACHE_HOME',
] as const

export const command: Command = defineCommand({
  description: 'Tries every backend for real and says which work here, which one is chosen, and why not the others.',
  examples: [
    ['doctor', ''],
    ['doctor --json', 'for a bug report'],
  ],
  options: {},
  async run({ output }) {
    const { chosenBackend, examineBackends } = await import('../backend.ts')
    const { hubCacheRoot } = await import('@afterthought/core/files')
    const { version } = await import('../help.ts')
    const processors = cpus()
    const cpu = processors[0]?.model.trim() || process.arch
    const environment = variables.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, name === 'HF_TOKEN' ? '(set)' : value] as const]
    })
    const document = {
      version: version(),
      runtime: runtime(),
      machine: { platform: process.platform, arch: process.arch, cpu, threads: processors.length, memory: totalmem() },
      backends: await examineBackends(cpu),
      chosen: await chosenBackend(),
      cache: { hub: hubCacheRoot() },
      environment: Object.fromEntries(environment),
    }
    output.result(document, () => formatReport(document, output.colors))
    return 0
  },
})

function runtime(): { name: string; version: string } {
  const { bun, deno, node } = process.versions as Record<string, string | undefined>
  if (bun) return { name: 'bun', version: bun }
  if (deno) return { name: 'deno', version: deno }
  return { name: 'node', version: node ?? process.version }
}

interface Report {
  readonly version: string
  readonly runtime: { readonly name: string; readonly version: string }
  readonly machine: { platform: string; arch: string; cpu: string; threads: number; memory: number }
  readonly backends: readonly {
    name: string
    available: boolean
    device?: string
    software?: boolean
    features?: readonly string[]
    reason?: string
    hint?: string
  }[]
  readonly chosen: string
  readonly cache: { readonly hub: string }
  readonly environment: Readonly<Record<string, string>>
}

function formatReport(report: Report, colors: Colors): string {
  const { machine, runtime } = report
  const rows = report.backends.map(({ name, available, device, software, features = [], reason, hint }) => {
    const mark = available ? colors.green('✓') : colors.red('✗')
    const found = [device ?? 'works', ...(software ? ['software on the CPU'] : []), ...features].join(', ')
    const what = available ? found : `${reason}${hint ? `. ${hint}` : ''}`
    return [
      `${mark} ${name === report.chosen ? colors.bold(name) : name}`,
      name === report.chosen ? 'chosen' : '',
      what,
    ]
  })
  const memory = `${Math.round(machine.memory / 2 ** 30)} GiB`
  const environment = Object.entries(report.environment).map(([name, value]) => `  ${name}=${value}`)
  return [
    `afterthought ${report.version} on ${runtime.name} ${runtime.version}, ${machine.platform} ${machine.arch}`,
    `${machine.cpu}, ${machine.threads} threads, ${memory}`,
    '',
    formatTable([{ title: 'backend' }, { title: '' }, { title: '' }], rows, colors.dim),
    '',
    `hub cache: ${report.cache.hub}`,
    ...(environment.length > 0 ? ['environment:', ...environment] : []),
  ].join('\n')
}
