/**
 * What is measured: the same piece of work, done by different programs. Every run returns what was computed with its
 * time, so that a peer which computes something else is found out.
 */

/** Prompt → T thoughts → N greedy tokens, one row. */
export interface Workload {
  readonly prompt: readonly number[]
  /** T */
  readonly latents: number
  /** N */
  readonly tokens: number
}

export interface Run {
  /** Wall-clock milliseconds of the work, taken by the program that did it. */
  readonly ms: number
  /** Of these, milliseconds after the first token; not known where all is one graph. */
  readonly decodeMs?: number
  /** Milliseconds of processor time outside this process. */
  readonly foreignCpuMs?: number
  /** Milliseconds of processor time in this process, all threads together, where that is measured. */
  readonly cpuMs?: number
  /** N token ids. */
  readonly tokens: readonly number[]
  /** T vectors [D], as fed. */
  readonly thoughts: readonly ArrayLike<number>[]
}

/** A program that is loaded and ready to do pieces of work again and again; disposing of it twice does no harm. */
export interface Contender extends AsyncDisposable {
  /** Name → version of what computes. */
  readonly versions: Readonly<Record<string, string>>
  run(workload: Workload): Promise<Run>
}

/** A program to compare with. */
export interface Peer {
  readonly summary: string
  /** The command that installs what is missing on this machine; undefined if nothing is. */
  missing(): string | undefined
  /**
   * Loads a model.
   *
   * @param folder of Hugging Face's layout, or the name of a piece of work that needs none
   */
  open(folder: string, threads: number): Promise<Contender>
}

/** How far two runs of the same work agree. */
export interface Agreement {
  /** Tokens that are equal before the first that differs, of N. */
  readonly tokens: number
  /** Largest difference between elements of the thoughts. */
  readonly thoughts: number
}

export function agreementOf(a: Run, b: Run): Agreement {
  const differs = a.tokens.findIndex((id, i) => id !== b.tokens[i])
  let largest = 0
  a.thoughts.forEach((thought, t) => {
    for (let i = 0; i < thought.length; i++) {
      const gap = Math.abs(thought[i]! - b.thoughts[t]![i]!)
      // A comparison with NaN is false, and a peer that computes NaN must not pass.
      if (!(gap <= largest)) largest = gap
    }
  })
  return { tokens: differs < 0 ? a.tokens.length : differs, thoughts: largest }
}
