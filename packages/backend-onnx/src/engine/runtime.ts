/**
 * ONNX Runtime itself, loaded when first needed.
 *
 * It is a peer dependency: a process can hold one version of its library only, so the application decides which.
 */

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
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

/** @throws BackendUnavailableError if onnxruntime-node is missing or cannot be loaded here */
export async function loadRuntime(): Promise<Runtime> {
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

/** The folder of the library and of its optional providers, or undefined if the package is not there. */
export function libraryFolder(): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`)
    return join(dirname(entry), 'bin', 'napi-v6', process.platform, process.arch)
  } catch {
    return undefined
  }
}
