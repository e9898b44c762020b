#!/usr/bin/env node
/**
 * The `afterthought` command: starts the built program, or in a checkout that is not built the sources.
 *
 * Published packages have only the built program. In the repository both can exist, and a build that is older than the
 * sources would silently run yesterday's code; so there the build is used only while no source file or folder is newer
 * than it. `AFTERTHOUGHT_SOURCE=1` asks for the sources in any case. Reading the times of all files takes a few
 * milliseconds; starting from the sources takes a good half second more than starting the build.
 */

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const here = (path) => new URL(path, import.meta.url)
const program = here('../dist/index.js')
const inRepository = existsSync(here('../../../turbo.json'))

/** The newest change among the files and folders below `folder`, in milliseconds. */
function newestChange(folder) {
  let newest = statSync(folder).mtimeMs
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = new URL(entry.isDirectory() ? `${entry.name}/` : entry.name, folder)
    newest = Math.max(newest, entry.isDirectory() ? newestChange(path) : statSync(path).mtimeMs)
  }
  return newest
}

function buildIsCurrent() {
  return ['core', 'backend-onnx', 'bench', 'cli'].every((name) => {
    const built = here(`../../${name}/dist/index.js`)
    return existsSync(built) && statSync(built).mtimeMs >= newestChange(here(`../../${name}/src/`))
  })
}

function runSources() {
  const child = spawn(
    process.execPath,
    [
      '--import',
      import.meta.resolve('tsx'),
      '--conditions=@afterthought/source',
      fileURLToPath(here('../src/index.ts')),
      ...process.argv.slice(2),
    ],
    { stdio: 'inherit' },
  )
  // A terminal sends its signals to both processes: this one waits for what the program makes of them.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal]
  })
}

if (inRepository && (process.env.AFTERTHOUGHT_SOURCE === '1' || !buildIsCurrent())) runSources()
else await import(program.href)
