/** One program with several settings, of which the fastest counts: found out on the first piece of work. */

import type { Contender, Run, Workload } from './contender.ts'

/** Runs per setting that decide, after a warm-up. */
const TRIALS = 3

/** Runs the first piece of work with all settings, and keeps the fastest one for good. */
export function fastest(settings: readonly Contender[]): Contender {
  return new Fastest(settings)
}

class Fastest implements Contender {
  private candidates: readonly Contender[]

  constructor(settings: readonly Contender[]) {
    this.candidates = settings
  }

  get versions(): Readonly<Record<string, string>> {
    return this.candidates[0]!.versions
  }

  async run(workload: Workload): Promise<Run> {
    if (this.candidates.length > 1) await this.choose(workload)
    return this.candidates[0]!.run(workload)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const candidate of this.candidates) await candidate[Symbol.asyncDispose]()
  }

  private async choose(workload: Workload): Promise<void> {
    const best = new Map<Contender, number>()
    for (const candidate of this.candidates) await candidate.run(workload)
    for (let trial = 0; trial < TRIALS; trial++) {
      for (const candidate of this.candidates) {
        const { ms } = await candidate.run(workload)
        best.set(candidate, Math.min(ms, best.get(candidate) ?? Number.POSITIVE_INFINITY))
      }
    }
    const [winner, ...others] = [...this.candidates].sort((a, b) => best.get(a)! - best.get(b)!)
    this.candidates = [winner!]
    for (const other of others) await other[Symbol.asyncDispose]()
  }
}
