/**
 * The executable cache: a program is traced and compiled once per backend and signature, then replayed.
 *
 * Keys are spelled by the caller (model identity, shapes, options) because two traces that mean the same thing can only be
 * told apart by whoever wrote them. Concurrent requests for one key share one compilation; a failed one is forgotten.
 */

import type { Backend, Executable, Parameter } from '../backend.ts'
import type { Graph } from '../tensor/graph.ts'

export class ExecutableCache {
  private readonly entries = new Map<string, Promise<Executable>>()
  private readonly backend: Backend

  constructor(backend: Backend) {
    this.backend = backend
  }

  /** `trace` and `parameters` are asked only if there is no such program yet: steps come here once per token. */
  get(key: string, trace: () => Graph, parameters: () => ReadonlyMap<string, Parameter>): Promise<Executable> {
    const known = this.entries.get(key)
    if (known) return known
    const compiling: Promise<Executable> = Promise.resolve()
      .then(() => this.backend.compile(trace(), parameters()))
      .catch((cause: unknown) => {
        if (this.entries.get(key) === compiling) this.entries.delete(key)
        throw cause
      })
    this.entries.set(key, compiling)
    return compiling
  }

  async dispose(): Promise<void> {
    const compiled = await Promise.allSettled(this.entries.values())
    this.entries.clear()
    for (const result of compiled) if (result.status === 'fulfilled') result.value.dispose()
  }
}
