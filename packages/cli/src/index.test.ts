/** The command as a process of its own: streams, signals, kills, completion. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/afterthought.js', import.meta.url))
const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, ...clean } = process.env

function start(words: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const env = { ...clean, AFTERTHOUGHT_SOURCE: '1', ...environment }
  // Without the test runner's own Node options: they are not a user's.
  return spawn(process.execPath, [bin, ...words], { env: { ...env, NODE_OPTIONS: '' } })
}

async function run(words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = start(words, environment)
  child.stdin!.end()
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  return { stdout, stderr, status: status as number }
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'afterthought-index-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('colours on demand, and never with NO_COLOR', async () => {
  expect((await run(['--help'])).stdout).not.toContain('\u001B')
  expect((await run(['--help'], { FORCE_COLOR: '1' })).stdout).toContain('\u001B')
  expect((await run(['--help'], { FORCE_COLOR: '1', NO_COLOR: '1' })).stdout).not.toContain('\u001B')
})

const { VK_DRIVER_FILES: driver } = process.env

test.runIf(driver?.includes('lvp_icd'))('doctor finds the software adapter that a checkout computes with', async () => {
  const { stdout } = await run(['doctor', '--json'], { VK_DRIVER_FILES: undefined, VK_ICD_FILENAMES: undefined })
  const { backends } = JSON.parse(stdout) as { backends: { name: string }[] }
  const found = backends.find(({ name }) => name === 'webgpu')
  expect(found).toMatchObject({ available: true, software: true })
})

test('an error is a line, and a stack only on demand', async () => {
  const plain = await run(['solve', 'What?', '--backend', 'reference'])
  expect(plain.status).toBe(1)
  expect(plain.stdout).toBe('')
  expect(plain.stderr.trimEnd().split('\n')).toHaveLength(1)
  const debug = await run(['solve', 'What?', '--backend', 'reference'], { AFTERTHOUGHT_DEBUG: '1' })
  expect(debug.stderr).toMatch(/\n {4}at /)
})

test('completion lists commands, options and their values, and prints scripts', async () => {
  const commands = (await run(['complete', '--', ''])).stdout
  for (const name of ['solve', 'eval', 'trace', 'verify', 'bench'])
    expect(commands).toMatch(new RegExp(`^${name}\\t`, 'm'))
  expect((await run(['complete', '--', 'solve', '--ref'])).stdout).toMatch(/^--ref-context\t/m)
  expect((await run(['complete', '--', 'eval', '--backend', ''])).stdout).toMatch(/^onnx:cpu/m)
  expect((await run(['complete', 'bash'])).stdout).toContain('afterthought')
})

test('a reader that goes away is no error', async () => {
  const child = start(['generate', '--ids', '1', '--max-tokens', '200', '--no-eos', '--backend', 'reference'])
  child.stdout!.once('data', () => child.stdout!.destroy())
  const [stderr, [status]] = await Promise.all([text(child.stderr!), once(child, 'close')])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

test.runIf(existsSync('/dev/full'))('a full disk is a clear error', async () => {
  const child = spawn('sh', ['-c', `exec "${process.execPath}" "${bin}" models > /dev/full`], {
    env: { ...clean, AFTERTHOUGHT_SOURCE: '1', NODE_OPTIONS: '' },
  })
  const [stderr, [status]] = await Promise.all([text(child.stderr!), once(child, 'close')])
  expect(status).toBe(1)
  expect(stderr).toMatch(/cannot write the result: ENOSPC/)
})

describe('an evaluation that is stopped', () => {
  const words = ['eval', '--limit', '8', '--batch', '2', '--controls', 'noise']
  const command = (items: string) => [...words, '--items', items, '--backend', 'reference', '--json']

  /** Everything that was computed; times differ from run to run. */
  const withoutTimes = (document: { rows: { msPerQuestion: number }[] }) =>
    JSON.stringify(document, (key, value) => (key === 'ms' || key === 'msPerQuestion' ? undefined : value))
  const linesOf = (path: string): Record<string, unknown>[] =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .map(({ ms: _, ...line }) => line)

  async function stop(items: string, signal: NodeJS.Signals) {
    const child = start(command(items))
    const closed = once(child, 'close')
    while (child.exitCode === null && (!existsSync(items) || linesSoFar(items) < 4)) await setTimeout(20)
    child.kill(signal)
    return (await closed) as [number | null, NodeJS.Signals | null]
  }
  const linesSoFar = (path: string): number => readFileSync(path, 'utf8').split('\n').length - 1

  test('goes on after kill -9 and after Ctrl-C, and ends as if it had not been stopped', async () => {
    const [whole, killed] = [join(folder, 'whole.jsonl'), join(folder, 'killed.jsonl')]
    const expected = JSON.parse((await run(command(whole))).stdout)
    expect(await stop(killed, 'SIGKILL')).toEqual([null, 'SIGKILL'])
    expect(linesSoFar(killed)).toBeLessThan(16)
    const interrupted = join(folder, 'interrupted.jsonl')
    expect(await stop(interrupted, 'SIGINT')).toEqual([130, null])
    expect(linesSoFar(interrupted)).toBeLessThan(16)

    for (const items of [killed, interrupted]) {
      const resumed = await run(command(items))
      expect(resumed.status).toBe(0)
      expect(resumed.stderr).toMatch(/answers are known/)
      expect(withoutTimes(JSON.parse(resumed.stdout))).toBe(withoutTimes(expected))
      expect(linesOf(items)).toEqual(linesOf(whole))
    }

    const other = await run([...command(killed), '--seed', '1'])
    expect(other.status).toBe(2)
    expect(JSON.parse(other.stdout).error).toMatchObject({ code: 'USAGE', hint: expect.stringMatching(/another file/) })
  })
})
