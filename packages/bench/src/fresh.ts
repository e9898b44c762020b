/** Measures start and memory in processes of their own: nothing is warm there but the file system's cache. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Workload } from './contender.ts'
import type { FreshStart } from './fresh-process.ts'

const run = promisify(execFile)

/** One process from start to end. */
export async function freshStart(folder: string, threads: number, workload: Workload): Promise<FreshStart> {
  const { stdout } = await run(process.execPath, [...program(), folder, `${threads}`, JSON.stringify(workload)])
  return JSON.parse(stdout) as FreshStart
}

/** The built program's own entry; in a checkout the source. */
function program(): string[] {
  if (!import.meta.url.endsWith('.ts')) return [fileURLToPath(new URL('./fresh-process.js', import.meta.url))]
  const source = fileURLToPath(new URL('./fresh-process.ts', import.meta.url))
  return ['--import', import.meta.resolve('tsx'), '--conditions=@afterthought/source', source]
}
