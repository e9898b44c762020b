/**
 * Builds every package, neighbours first: `npm run build`.
 *
 * Turbo restores what it built before with the files' old times, while the `afterthought` command takes a build that is
 * older than the sources for outdated. So every build that succeeds is dated to the moment it was started: a source
 * saved since then is still newer.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { packageNames, root } from './sources.mjs'

const started = new Date()
const turbo = join(root, 'node_modules', '.bin', 'turbo')
const { status } = spawnSync(turbo, ['run', 'build', '--ui=stream', '--output-logs=errors-only'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // On Windows the tools of npm are command files, which need a shell.
  shell: process.platform === 'win32',
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
})
if (status === 0) {
  const built = packageNames.map((name) => join(root, 'packages', name, 'dist', 'index.js'))
  for (const file of built.filter(existsSync)) utimesSync(file, started, started)
}
process.exitCode = status ?? 1
