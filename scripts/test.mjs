/**
 * Everything that must hold, in one command: `npm test`. Formatting and lint, types, line budgets, unit and conformance
 * tests, the build, the packed packages, the main job once from the build, the smoke test in every runtime, and the site
 * with every code block of its pages, in a browser too. Ends with the line `N passed, N failed`, in which every single test
 * and every other step counts as one.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './sources.mjs'

const bin = join(root, 'node_modules', '.bin')
const scratch = mkdtempSync(join(tmpdir(), 'afterthought-test-'))
const unitReport = join(scratch, 'unit.json')
// On Windows npm and its tools are command files, which need a shell.
const shell = process.platform === 'win32'

let passed = 0
let failed = 0

/** Runs an installed tool, or a script of this folder; true if it ended well. What it prints is shown as it comes. */
function run(name, [tool, ...args]) {
  console.log(`\n== ${name}`)
  const start = performance.now()
  const command = tool.endsWith('.mjs') ? [process.execPath, join(root, 'scripts', tool)] : [join(bin, tool)]
  const { status } = spawnSync(command[0], [...command.slice(1), ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell,
  })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`== ${name}: ${status === 0 ? 'ok' : `FAILED (exit status ${status})`}, ${seconds} s`)
  return status === 0
}

function step(name, args) {
  if (run(name, args)) passed += 1
  else failed += 1
}

/** The unit tests count one by one. */
function unitTests() {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${unitReport}`]
  const ok = run('unit tests', ['vitest', 'run', ...reporters])
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
step('line budgets', ['budget.mjs'])
unitTests()
step('build', ['build.mjs'])
step('packed packages', ['pack-check.mjs'])
step('main job', ['afterthought', 'demo'])
step('runtimes', ['../runtime-tests/run.mjs'])
step('site: build', ['docs.mjs', 'build'])
step('site: types', ['docs.mjs', 'types'])
step('site: links', ['docs.mjs', 'links'])
step('site: code blocks', ['docs.mjs', 'blocks'])
step('site: in a browser', ['docs.mjs', 'browser'])

rmSync(scratch, { recursive: true, force: true })
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
