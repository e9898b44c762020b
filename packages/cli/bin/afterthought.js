#!/usr/bin/env node
/**
 * The `afterthought` command: starts the built program, or in a checkout that is not built the sources.
 *
 * Published packages have only the built program. In the repository both can exist, and a build that is older than the
 * sources would silently run yesterday's code; so there the build is used only while no source file or folder is newer
 * than it. `AFTERTHOUGHT_SOURCE=1` asks for the sources in any case. Reading the times of all files takes a few
 * milliseconds; starting from the sources takes a few hundred more than starting the build.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'

const here = (path) => new URL(path, import.meta.url)
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
  const folders = [
    'core/src/',
    'core/testing/',
    'train/src/',
    'backend-onnx/src/',
    'backend-webgpu/src/',
    'bench/src/',
    'cli/src/',
  ]
  return folders.every((folder) => {
    const built = here(`../../${folder.split('/')[0]}/dist/index.js`)
    return existsSync(built) && statSync(built).mtimeMs >= newestChange(here(`../../${folder}`))
  })
}

const condition = '--conditions=@afterthought/source'

/** What `node --import tsx --conditions=@afterthought/source` does, without a second process to pass signals to. */
async function readSources() {
  const resolveSources = `export const resolve = (specifier, context, next) =>
    next(specifier, { ...context, conditions: ['@afterthought/source', ...context.conditions] })`
  register(`data:text/javascript,${encodeURIComponent(resolveSources)}`)
  const typescript = await import('tsx/esm/api')
  typescript.register()
}

/** Bun and Deno read TypeScript by themselves, but hear of the condition only when they start. */
function startAgain() {
  const flags = process.versions.bun ? [condition] : ['run', '-A', '--quiet', condition]
  const words = [...flags, fileURLToPath(here('../src/index.ts')), ...process.argv.slice(2)]
  process.exitCode = spawnSync(process.execPath, words, { stdio: 'inherit' }).status ?? 1
}

/**
 * WebGPU asked for by name on a machine without a GPU, or all backends asked after: a checkout has the software adapter of
 * its tests.
 */
async function provideAdapter() {
  const words = process.argv.slice(2)
  const asked = words[0] === 'doctor' || words.some((word) => /^(.*[=:])?webgpu$|^--profile$/.test(word))
  if (!asked || ['/dev/dri', '/dev/nvidia0', '/dev/dxg'].some((device) => existsSync(device))) return
  const { gpuEnvironment } = await import(here('../../../scripts/gpu-setup.mjs').href)
  Object.assign(process.env, gpuEnvironment(false))
}

if (inRepository) await provideAdapter()
if (inRepository && (process.env.AFTERTHOUGHT_SOURCE === '1' || !buildIsCurrent())) {
  if (process.versions.bun || process.versions.deno) startAgain()
  else {
    await readSources()
    await import(here('../src/index.ts').href)
  }
} else {
  await import(here('../dist/index.js').href)
}
