/**
 * Everything that must hold, in one command: `npm test`. Formatting and lint, types, line budgets, unit and conformance
 * tests, the build, the packed packages, and the main job once from the build. Ends with the line `N passed, N failed`,
 * in which every single test and every other step counts as one.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './sources.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'afterthought-test-'))
const unitReport = join(scratch, 'unit.json')
// On Windows npm and its tools are command files, which need a shell.
const shell = process.platform === 'win32'

let passed = 0
let failed = 0

/** Runs `npx --no-install …`; true if it ended well. What it printed is shown as it comes. */
function runTool(name, args) {
  console.log(`\n== ${name}`)
  const start = performance.now()
  const { status } = spawnSync('npx', ['--no-install', ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell,
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
  })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`== ${name}: ${status === 0 ? 'ok' : `FAILED (exit status ${status})`}, ${seconds} s`)
  return status === 0
}

function step(name, args) {
  if (runTool(name, args)) passed += 1
  else failed += 1
}

/** The unit tests count one by one. */
function unitTests() {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${unitReport}`]
  const ok = runTool('unit tests', ['vitest', 'run', ...reporters])
  let report
  try {
    report = JSON.parse(readFileSync(unitReport, 'utf8'))
  } catch {
    failed += 1
    return
  }
  passed += report.numPassedTests
  // A file that does not load or an error outside any test fails the run without failing a test.
  failed += ok ? 0 : Math.max(1, report.numFailedTests)
}

step('format and lint', ['biome', 'ci', '--error-on-warnings', '.'])
step('types', ['tsc', '--noEmit'])
step('types of the portable core', ['tsc', '-p', 'packages/core/tsconfig.portable.json'])
step('line budgets', ['node', 'scripts/budget.mjs'])
unitTests()
step('build', ['turbo', 'run', 'build', '--ui=stream', '--output-logs=errors-only'])
step('packed packages', ['node', 'scripts/pack-check.mjs'])
step('main job', ['afterthought', 'demo'])

rmSync(scratch, { recursive: true, force: true })
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
