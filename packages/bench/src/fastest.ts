/** One program with several settings, of which the fastest counts: found out on the first piece of work. */

import type { Contender, Run, Workload } from './contender.ts'

/** Runs per setting that decide, after a warm-up. */
const TRIALS = 3

/**
 * Runs the first piece of work with all settings, and keeps the fastest one for good.
 *
 * @param cost of a run; default the time that passes
 */
export function fastest(settings: readonly Contender[], cost: (run: Run) => number = ({ ms }) => ms): Contender {
  return new Fastest(settings, cost)
}

class Fastest implements Contender {
  private candidates: readonly Contender[]
  private readonly cost: (run: Run) => number

  constructor(settings: readonly Contender[], cost: (run: Run) => number) {
    this.candidates = settings
    this.cost = cost
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
        const cost = this.cost(await candidate.run(workload))
        best.set(candidate, Math.min(cost, best.get(candidate) ?? Number.POSITIVE_INFINITY))
      }
    }
    const [winner, ...others] = [...this.candidates].sort((a, b) => best.get(a)! - best.get(b)!)
    this.candidates = [winner!]
    for (const other of others) await other[Symbol.asyncDispose]()
  }
}
