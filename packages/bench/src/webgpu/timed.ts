/** A piece of work of one process as a run, in wall-clock time and in processor time of all its threads. */

import type { Run } from '../contender.ts'

/** @param work gives what it computed */
export async function timed(work: () => Promise<Float32Array>): Promise<Run> {
  const [processor, started] = [process.cpuUsage(), performance.now()]
  const values = await work()
  const { user, system } = process.cpuUsage(processor)
  return { ms: performance.now() - started, cpuMs: (user + system) / 1000, tokens: [], thoughts: [values] }
}
