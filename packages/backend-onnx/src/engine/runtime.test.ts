/** ONNX Runtime 1.30 ends processes with long command lines where its telemetry is on: the tests start some. */

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

/** Opens the backend in a process with an argument of `length` bytes, and prints what came of it. */
function open(
  worker: boolean,
  length: number,
  environment: NodeJS.ProcessEnv = {},
): { readonly status: number | null; readonly stdout: string } {
  // One line: the expression stops at its end.
  const program = [
    `import { onnx } from '${new URL('../onnx.ts', import.meta.url)}'`,
    `const backend = await onnx({ provider: 'cpu', worker: ${worker} }).catch((error) => error)`,
    "process.stdout.write(backend.name + ': ' + backend.message)",
    'await backend.dispose?.()',
  ].join('; ')
  const options = ['--import', 'tsx', '--conditions=@afterthought/source', '--input-type=module', '-e', program]
  const env = { ...process.env, ORT_DISABLE_TELEMETRY: undefined, ...environment }
  return spawnSync(process.execPath, [...options, 'x'.repeat(length)], { encoding: 'utf8', env })
}

describe.runIf(process.platform === 'linux')('a command line', () => {
  it.each([true, false])('of 60 kB with telemetry is refused before it ends the process; worker %s', (worker) => {
    const { status, stdout } = open(worker, 60_000, { ORT_DISABLE_TELEMETRY: '0' })
    expect(stdout).toMatch(/^BackendUnavailableError: .*command line.* expected at most 8192 bytes, got 60\d{3}\. /)
    expect(status).toBe(0)
  })

  it.each([true, false])('of 7 kB with telemetry is not; worker %s', (worker) => {
    expect(open(worker, 7000, { ORT_DISABLE_TELEMETRY: '0' })).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^onnx:cpu/),
    })
  })

  it.each([true, false])('of 60 kB is harmless, because telemetry is turned off; worker %s', (worker) => {
    expect(open(worker, 60_000)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^onnx:cpu/) })
  })
})
