/**
 * ONNX Runtime itself, loaded when first needed.
 *
 * It is a peer dependency: a process can hold one version of its library only, so the application decides which.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { BackendUnavailableError } from '@afterthought/core'
import type * as common from 'onnxruntime-common'
import { LocalEngine } from './engine.ts'
import type { Engine } from './protocol.ts'

export type Runtime = typeof common

const PACKAGE = 'onnxruntime-node'

/** An engine in this thread. @throws BackendUnavailableError if ONNX Runtime is not there */
export async function createEngine(): Promise<Engine> {
  return new LocalEngine(await loadRuntime())
}

/** @throws BackendUnavailableError if onnxruntime-node is missing, cannot be loaded here or would end the process */
export async function loadRuntime(): Promise<Runtime> {
  requireShortCommandLine()
  const runtime = await import(PACKAGE).catch((cause: unknown) => {
    const missing = (cause as { code?: string }).code === 'ERR_MODULE_NOT_FOUND'
    throw new BackendUnavailableError(missing ? `${PACKAGE} is not installed` : `${PACKAGE} cannot be loaded`, {
      where: 'onnx',
      actual: missing ? undefined : (cause as Error).message,
      hint: missing
        ? `npm install ${PACKAGE}`
        : 'One process can load one version of ONNX Runtime only, and not every platform has one',
      cause,
    })
  })
  // Providers that fail to start say so in an exception; the library's own lines on stderr would only repeat it.
  runtime.env.logLevel = 'fatal'
  return runtime as Runtime
}

/**
 * ONNX Runtime reports its use to Microsoft since 1.29 (microsoft/onnxruntime#27379). What people compute here is theirs:
 * it is turned off unless the environment says otherwise. Only the main thread can set what native code reads, so this
 * comes before any worker starts.
 */
export function disableTelemetry(): void {
  if (isMainThread) process.env.ORT_DISABLE_TELEMETRY ??= '1'
}

/**
 * With telemetry, ONNX Runtime 1.30 searches /proc/self/cmdline with a recursive regular expression when it is first used.
 * A long command line, such as one with a prompt as an argument, overflows the stack, which no exception handler sees:
 * from 16 kB on in a worker thread, 30 kB in the main thread of Node.
 */
const LONGEST_COMMAND_LINE = 8192

function requireShortCommandLine(): void {
  const length = commandLineLength()
  if (length <= LONGEST_COMMAND_LINE || process.env.ORT_DISABLE_TELEMETRY === '1') return
  throw new BackendUnavailableError('ONNX Runtime crashes on a command line so long', {
    where: 'onnx',
    expected: `at most ${LONGEST_COMMAND_LINE} bytes`,
    actual: `${length}`,
    hint: 'Give long texts on standard input or in a file, or set ORT_DISABLE_TELEMETRY=1',
  })
}

/** In bytes, as ONNX Runtime reads it, options of the JavaScript runtime included; 0 where it does not. */
function commandLineLength(): number {
  try {
    return process.platform === 'linux' ? readFileSync('/proc/self/cmdline').length : 0
  } catch {
    return 0 // no /proc here: it cannot be read by ONNX Runtime either
  }
}

/** The folder of the library and of its optional providers, or undefined if the package is not there. */
export function libraryFolder(): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)
    return join(dirname(entry), 'bin', 'napi-v6', process.platform, process.arch)
  } catch {
    return undefined
  }
}
