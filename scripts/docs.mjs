/**
 * The documentation site: written, built, checked.
 *
 *     node scripts/docs.mjs dev | build | types | links | blocks | browser | check
 *
 * `check` is the last four over a finished build. `browser` needs Chromium: Debian's is installed where that is allowed;
 * without one it says so, and fails only in continuous integration (CI=true). It leaves screenshots, light and dark, wide
 * and narrow, in apps/docs/.vitepress/screenshots.
 */

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { gpuEnvironment } from './gpu-setup.mjs'
import { root } from './sources.mjs'

const site = join(root, 'apps', 'docs')
// On Windows the tools of npm are command files, which need a shell.
const shell = process.platform === 'win32'

const tool = (name, ...operands) => [join(root, 'node_modules', '.bin', name), ...operands]
const script = (name, ...operands) => [
  process.execPath,
  ...['--import', 'tsx', '--conditions=@afterthought/source'],
  ...[join('scripts', `${name}.ts`), ...operands],
]

/** Pages and pictures that are made, not written. */
const made = [tool('typedoc'), script('draw')]

const tasks = {
  dev: [...made, tool('vitepress', 'dev', '.')],
  build: [...made, tool('vitepress', 'build', '.')],
  types: [tool('vue-tsc', '--noEmit', '--project', '.')],
  links: [script('check-links')],
  blocks: [script('run-blocks')],
  browser: [script('check-browser', '--screenshots', join('.vitepress', 'screenshots'))],
}

const [name, ...operands] = process.argv.slice(2)
const chosen = name === 'check' ? ['types', 'links', 'blocks', 'browser'] : [name]
if (!chosen.every((task) => task in tasks)) {
  console.error(`docs.mjs ${Object.keys(tasks).join(' | ')} | check`)
  process.exit(2)
}
process.exitCode = chosen.every(perform) ? 0 : 1

function perform(task) {
  if (task === 'browser' && !hasChromium()) {
    console.log('not checked in a browser: Chromium is missing (apt-get install chromium, or CHROMIUM=/path/of/it)')
    return process.env.CI !== 'true'
  }
  // Its programs find an adapter for WebGPU also where there is no GPU.
  if (task === 'blocks') Object.assign(process.env, gpuEnvironment(true))
  return tasks[task].every(([command, ...args]) => start(command, [...args, ...operands], site))
}

function hasChromium() {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium'
  if (existsSync(path)) return true
  if (process.env.CHROMIUM || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return false
  start('apt-get', ['update', '-qq'], root)
  start('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'chromium'], root)
  return existsSync(path)
}

/** Whether the program ended well. */
function start(command, args, cwd) {
  return spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], shell }).status === 0
}
