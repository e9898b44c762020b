/**
 * Runs every code block of the written pages, at the root of the repository, as a reader would: a `ts` block is a program
 * (Node; with the marks `deno` and `bun` also there), the lines of a `sh` block are commands. A line that ends in
 * `// → text` must print a line that holds the text. Whatever cannot run here says why: `no-run=reason`.
 *
 *     node --import tsx scripts/run-blocks.ts [PAGE …]
 */

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CodeBlock, codeBlocks, writtenPages } from './pages.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const scratch = fileURLToPath(new URL('../.vitepress/cache/blocks/', import.meta.url))
const bin = join(root, 'node_modules', '.bin')
const MOST_MS = 120_000

interface Ended {
  readonly status: number | null
  readonly output: string
}

interface Run {
  readonly name: string
  readonly block: CodeBlock
  readonly work: () => Promise<Ended>
}

const condition = '--conditions=@afterthought/source'
const runtimes: Readonly<Record<string, readonly string[]>> = {
  node: [process.execPath, '--import', 'tsx', condition],
  deno: [join(bin, 'deno'), 'run', '-A', '--no-check', condition],
  bun: [bunProgram(), 'run', condition],
}

/** npm runs no install scripts here, so Bun's launcher does not find its program, which comes as a package all the same. */
function bunProgram(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const cpu = process.arch === 'arm64' ? 'aarch64' : process.arch
  return join(root, 'node_modules', '@oven', `bun-${system}-${cpu}`, 'bin', 'bun')
}

function execute([command, ...operands]: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const environment = { ...process.env, PATH: `${bin}:${process.env.PATH}`, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' }
    const child = spawn(command!, operands, { cwd: root, env: environment, timeout: MOST_MS })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
    child.on('error', (error) => resolve({ status: 1, output: error.message }))
    child.on('close', (status) => resolve({ status, output }))
  })
}

function runsOf(block: CodeBlock, index: number): Run[] {
  if (block.marks.some((mark) => mark.startsWith('no-run='))) return []
  if (block.language === 'sh') {
    return [{ name: 'sh', block, work: () => execute(['bash', '-euo', 'pipefail', '-c', block.code]) }]
  }
  if (block.language !== 'ts') return []
  const file = join(scratch, `${index}-${block.where.replace(/\W+/g, '-')}.ts`)
  writeFileSync(file, block.code.replace(/^\/\/ ---cut.*---$/gm, ''))
  return ['node', ...block.marks.filter((mark) => mark in runtimes)].map((runtime) => ({
    name: runtime,
    block,
    work: () => execute([...runtimes[runtime]!, file]),
  }))
}

/** What the block promises to print and did not, in its order. */
function missing(code: string, output: string): string | undefined {
  const lines = output.split('\n')
  let at = 0
  for (const [, expected = ''] of code.matchAll(/\/\/ → (.+)$/gm)) {
    const found = lines.findIndex((line, i) => i >= at && line.includes(expected.trim()))
    if (found < 0) return expected
    at = found + 1
  }
  return undefined
}

rmSync(scratch, { recursive: true, force: true })
mkdirSync(scratch, { recursive: true })
const wanted = process.argv.slice(2)
const blocks = writtenPages()
  .filter((page) => wanted.length === 0 || wanted.includes(page))
  .flatMap(codeBlocks)
const runs = blocks.flatMap(runsOf)
let failed = 0
// Two at a time: most of a block's time is starting up.
const queue = [...runs]
await Promise.all(
  [0, 1].map(async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      const started = performance.now()
      const { status, output } = await run.work()
      const lacks = status === 0 ? missing(run.block.code, output) : undefined
      const ok = status === 0 && lacks === undefined
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      console.log(`${ok ? 'ok  ' : 'FAIL'} ${run.block.where} ${run.name} ${seconds} s`)
      if (ok) continue
      failed += 1
      console.log(lacks === undefined ? output : `did not print "${lacks}":\n${output}`)
    }
  }),
)
const excused = blocks.filter(({ marks }) => marks.some((mark) => mark.startsWith('no-run=')))
for (const { where, marks } of excused)
  console.log(`not run ${where} (${marks.find((mark) => mark.startsWith('no-run='))})`)
console.log(`${runs.length - failed} of ${runs.length} runs of ${blocks.length} blocks ended well`)
if (existsSync(scratch)) rmSync(scratch, { recursive: true })
process.exitCode = failed === 0 && runs.length > 0 ? 0 : 1
