/**
 * Checks what would be published: every public package is packed and read by publint and by "are the types wrong", and
 * the packed command line starts, with nothing of the repository's sources around it. Build first.
 *
 *     node scripts/pack-check.mjs
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { packageNames, root } from './sources.mjs'

// Below node_modules, so that the packed packages find their dependencies in the folder above.
const place = join(root, 'node_modules', '.cache', 'pack-check')
rmSync(place, { recursive: true, force: true })
mkdirSync(place, { recursive: true })

// On Windows npm and its tools are command files, which need a shell.
const shell = process.platform === 'win32'

let failed = false
function step(name, command, args) {
  try {
    const output = execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe', cwd: place, shell })
    console.log(`ok   ${name}`)
    return output
  } catch (error) {
    console.log(`FAIL ${name}\n${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout === undefined ? error : ''}`)
    failed = true
  }
}

const tool = (name) => join(root, 'node_modules', '.bin', name)
for (const name of packageNames) {
  const folder = join(root, 'packages', name)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (manifest.private) continue
  const packed = step(`${name}: pack`, 'npm', ['pack', folder, '--json', '--silent'])
  if (packed === undefined) continue
  const tarball = join(place, JSON.parse(packed)[0].filename)
  step(`${name}: publint`, tool('publint'), [tarball, '--strict'])
  // The command line is not for importing, so it has no types to be wrong.
  if (manifest.exports['.']) step(`${name}: types`, tool('attw'), [tarball, '--profile', 'esm-only', '--no-emoji'])
  const installed = join(place, 'node_modules', manifest.name)
  mkdirSync(installed, { recursive: true })
  step(`${name}: unpack`, 'tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
}

const command = join(place, 'node_modules', '@afterthought', 'cli', 'bin', 'afterthought.js')
step('cli: the packed command starts', process.execPath, [command, '--version'])
if (failed) process.exitCode = 1
