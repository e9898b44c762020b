/**
 * Ratios that hold on a shared machine.
 *
 * Two contenders take turns, and each pair of neighbouring runs gives one ratio: what slows the machine down for a while
 * slows both. That is not enough where other programs take the processor, because libraries suffer unequally from it (a
 * barrier waits for the slowest thread; a queue of small tasks does not). So the share of the processor that went to
 * others is measured with each pair, pairs are repeated while it is high, and the quietest ones count. The choice looks at
 * that share alone, never at the times.
 */

import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '@afterthought/core'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Measurement extends Spread {
  readonly unit: string
}

export interface Sample {
  readonly value: number
  /** Milliseconds of processor time that the work took outside this process. */
  readonly foreignCpuMs?: number
}

export interface Repetition {
  /** Pairs that count. */
  readonly pairs: number
  /** Seconds to spend on waiting and repeating, beyond those pairs, until enough of them were undisturbed. */
  readonly patience: number
  readonly signal?: AbortSignal
}

export interface Comparison {
  readonly ours: Spread
  readonly theirs: Spread
  /** ours / theirs, pair by pair. */
  readonly ratio: Spread
  /** Share of the processor that other programs took during the pairs that count, their median: 0 … 1. */
  readonly disturbance: number
}

interface Pair {
  readonly ours: number
  readonly theirs: number
  readonly disturbance: number
}

/** Share of the processor from which on a pair counts as disturbed. */
const DISTURBED = 0.05
/** Thread pools spin for a while after their work; the next contender shall not meet them. */
const PAUSE_MS = 30

/** Lets `ours` and `theirs` take turns: ours, theirs, ours, theirs, … Both must be warm. */
export async function compare(
  ours: () => Promise<Sample>,
  theirs: () => Promise<Sample>,
  { pairs, patience, signal }: Repetition,
): Promise<Comparison> {
  const taken: Pair[] = []
  const quiet = (): number => taken.filter(({ disturbance }) => disturbance < DISTURBED).length
  let left = patience * 1000
  while (taken.length < pairs || (quiet() < pairs && left > 0)) {
    throwIfAborted(signal)
    const started = performance.now()
    await quietMoment(left)
    left -= performance.now() - started
    taken.push(await takePair(ours, theirs))
    if (taken.length > pairs) left -= performance.now() - started
  }
  const kept = taken.sort((a, b) => a.disturbance - b.disturbance).slice(0, pairs)
  return {
    ours: spreadOf(kept.map((pair) => pair.ours)),
    theirs: spreadOf(kept.map((pair) => pair.theirs)),
    ratio: spreadOf(kept.map((pair) => pair.ours / pair.theirs)),
    disturbance: spreadOf(kept.map((pair) => pair.disturbance)).median,
  }
}

async function takePair(ours: () => Promise<Sample>, theirs: () => Promise<Sample>): Promise<Pair> {
  const watch = new ProcessorWatch()
  const first = await ours()
  await sleep(PAUSE_MS)
  const second = await theirs()
  await sleep(PAUSE_MS)
  const foreign = (first.foreignCpuMs ?? 0) + (second.foreignCpuMs ?? 0)
  return { ours: first.value, theirs: second.value, disturbance: watch.takenByOthers(foreign) }
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** Waits until other programs leave the processor alone, at most `limit` milliseconds. */
async function quietMoment(limit: number): Promise<void> {
  const end = performance.now() + limit
  while (performance.now() < end) {
    const watch = new ProcessorWatch()
    await sleep(200)
    if (watch.takenByOthers(0) < DISTURBED) return
  }
}

/** Measures from its creation on how much of all processors others than this process took. */
class ProcessorWatch {
  private readonly before = processorTimes()
  private readonly own = process.cpuUsage()

  /** @param foreignCpuMs processor time of other processes that are ours */
  takenByOthers(foreignCpuMs: number): number {
    const { busy, all } = processorTimes()
    const { user, system } = process.cpuUsage(this.own)
    const others = busy - this.before.busy - (user + system) / 1000 - foreignCpuMs
    return Math.max(0, others / Math.max(1, all - this.before.all))
  }
}

/** Milliseconds of all processors together since the machine started. */
function processorTimes(): { readonly busy: number; readonly all: number } {
  let [busy, all] = [0, 0]
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq
    all += times.user + times.nice + times.sys + times.irq + times.idle
  }
  return { busy, all }
}
