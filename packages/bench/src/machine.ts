/** What the numbers were measured on. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, cpus, platform, totalmem } from 'node:os'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  /** Threads that every contender computes with. */
  readonly threads: number
  /** Programs and libraries that took part, with their versions. */
  readonly versions: Readonly<Record<string, string>>
}

/** @param versions of the peers, as they report them */
export function describeMachine(threads: number, versions: Readonly<Record<string, string>>): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()}`,
    threads,
    versions: { node: process.version.slice(1), 'onnxruntime-node': onnxRuntimeVersion(), ...versions },
  }
}

export function onnxRuntimeVersion(): string {
  const path = createRequire(import.meta.url).resolve('onnxruntime-node/package.json')
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}
