/**
 * Scratch memory, shared by all programs of a backend: they run one after the other on one queue, and none keeps anything
 * in its scratch from run to run.
 */

import { BYTES_PER_ELEMENT, type Memory, type MemoryPool, roundedSize } from './buffers.ts'

export interface ScratchLease {
  /** One per block, all different. */
  readonly memories: readonly Memory[]
  release(): void
}

interface Shared {
  readonly memory: Memory
  holders: number
}

export class Scratch {
  private readonly pool: MemoryPool
  private readonly bySize = new Map<number, Shared[]>()

  constructor(pool: MemoryPool) {
    this.pool = pool
  }

  /** @param sizes elements of each block */
  lease(sizes: readonly number[], where: string): ScratchLease {
    const held = new Set<Shared>()
    const memories = sizes.map((elements) => {
      const size = roundedSize(elements * BYTES_PER_ELEMENT)
      const known = this.bySize.get(size) ?? []
      this.bySize.set(size, known)
      let shared = known.find((each) => !held.has(each))
      if (!shared) {
        shared = { memory: this.pool.create(size, `${where}: scratch`), holders: 0 }
        known.push(shared)
      }
      shared.holders += 1
      held.add(shared)
      return shared.memory
    })
    return { memories, release: () => this.release(held) }
  }

  dispose(): void {
    for (const shared of this.bySize.values()) for (const { memory } of shared) this.pool.destroy(memory)
    this.bySize.clear()
  }

  private release(held: ReadonlySet<Shared>): void {
    for (const shared of held) {
      shared.holders -= 1
      const known = this.bySize.get(shared.memory.size)
      if (shared.holders > 0 || !known?.includes(shared)) continue
      known.splice(known.indexOf(shared), 1)
      this.pool.destroy(shared.memory)
    }
  }
}
