/**
 * Storage of a plan: which values share memory, which outputs take over an input's, and what lies where.
 *
 * Two rules. A value may take over another's storage if nothing reads the old contents once the new ones are being written
 * (caches, optimizer state). Scratch values whose lives do not overlap share blocks; a block is one buffer, as WebGPU allows
 * no two bindings of one buffer where one is written.
 */

import { elementwise } from '../kernels/elementwise.ts'
import type { Kernel } from '../kernels/kernel.ts'
import { load } from './expression.ts'
import type { Plan } from './plan.ts'
import { coversSlot, type Slot, type View, wholeView } from './views.ts'

export interface PlannedKernel {
  readonly kernel: Kernel
  /** Its output has taken over the storage of a value it reads. */
  readonly inPlace: boolean
}

export interface Allocation {
  readonly kernels: readonly PlannedKernel[]
  /** Whose storage a slot uses. */
  storageOf(slot: Slot): Slot
  /** Output name → the slot it is computed in; that of an aliased one has taken over its input's storage, or is copied. */
  readonly outputs: ReadonlyMap<string, Slot>
  /** Scratch slot → block; blocks have no two values at a time. */
  readonly blocks: ReadonlyMap<Slot, number>
  /** Elements per block. */
  readonly blockSizes: readonly number[]
}

export function allocateStorage(plan: Plan): Allocation {
  const taken = new Map<Slot, Slot>()
  const storageOf = (slot: Slot): Slot => {
    const next = taken.get(slot)
    return next ? storageOf(next) : slot
  }
  const outputs = placeOutputs(plan)
  const removed = new Set<Kernel>()
  for (const { name, alias } of plan.graph.outputs) {
    if (alias !== undefined) takeOverInput(plan, outputs.get(name)!, plan.inputs.get(alias)!, taken, removed)
  }
  takeOverScratch(plan, taken, removed, new Set(outputs.values()))
  // What an alias could not take over is copied at the very end.
  const copies = plan.graph.outputs.flatMap(({ name, alias, value }) => {
    const source = outputs.get(name)!
    const target = alias === undefined ? source : plan.inputs.get(alias)!
    if (storageOf(source) === storageOf(target)) return []
    const dense = (slot: Slot): View => wholeView(slot, value.shape, value.dtype)
    return [elementwise(load(dense(source)), dense(target))]
  })
  const kernels = [...plan.kernels.filter((kernel) => !removed.has(kernel)), ...copies].map((kernel) => ({
    kernel,
    inPlace: kernel.inPlaceWith !== undefined && storageOf(kernel.inPlaceWith) === storageOf(kernel.bindings[0]!.slot),
  }))
  const results = plan.graph.outputs.flatMap(({ name, alias }) => (alias === undefined ? [outputs.get(name)!] : []))
  return { kernels, storageOf, outputs, ...assignBlocks(kernels, storageOf, new Set(results)) }
}

/** Gives every output a scratch slot of its own: views of inputs, weights, constants or one another are copied. */
function placeOutputs(plan: Plan): Map<string, Slot> {
  const outputs = new Map<string, Slot>()
  const claimed = new Set<Slot>()
  for (const { name, value, alias } of plan.graph.outputs) {
    const view = plan.view(value)
    const input = alias === undefined ? undefined : plan.inputs.get(alias)!
    const own = coversSlot(view) && (view.slot.kind === 'scratch' ? !claimed.has(view.slot) : view.slot === input)
    if (own) {
      claimed.add(view.slot)
      outputs.set(name, view.slot)
      continue
    }
    const copy = plan.allocate(value.shape, value.dtype, name)
    plan.push(elementwise(load(view), copy))
    claimed.add(copy.slot)
    outputs.set(name, copy.slot)
  }
  return outputs
}

const reads = (kernel: Kernel, slot: Slot): boolean =>
  kernel.bindings.some((binding) => binding.access === 'read' && binding.slot === slot)
const writes = (kernel: Kernel, slot: Slot): boolean =>
  kernel.bindings.some((binding) => binding.access === 'write' && binding.slot === slot)

/** Whether `later` can be written over `earlier`: nothing needs the old contents from its first write on. */
function canTakeOver(plan: Plan, later: Slot, earlier: Slot, removed: ReadonlySet<Kernel>): boolean {
  const kernels = plan.kernels.filter((kernel) => !removed.has(kernel))
  const first = kernels.findIndex((kernel) => writes(kernel, later))
  if (first < 0) return false
  const writers = kernels.filter((kernel) => writes(kernel, later))
  return kernels.slice(first).every((kernel, i) => {
    if (writes(kernel, earlier)) return false
    if (!reads(kernel, earlier)) return true
    if (i > 0) return false
    return kernel.copyOf === earlier || (kernel.inPlaceWith === earlier && writers.length === 1)
  })
}

/** The copy in front of a value that is written piece by piece, if there is one. */
const copyInto = (plan: Plan, slot: Slot): Kernel | undefined =>
  plan.kernels.find((kernel) => kernel.copyOf !== undefined && kernel.bindings[0]!.slot === slot)

/** An aliased output and, through copies, the values it grew from are written straight into the input. */
function takeOverInput(plan: Plan, output: Slot, input: Slot, taken: Map<Slot, Slot>, removed: Set<Kernel>): void {
  const chain: Slot[] = []
  for (let slot = output; slot !== input; ) {
    chain.unshift(slot)
    const source = copyInto(plan, slot)?.copyOf
    if (!source || source.kind === 'weight' || source.kind === 'constant') break
    slot = source
  }
  const isWhole = chain.length > 0 && copyInto(plan, chain[0]!)?.copyOf === input
  const links = isWhole ? chain : chain.slice(-1)
  const fits = links.every((slot, i) => canTakeOver(plan, slot, i === 0 ? input : links[i - 1]!, removed))
  if (!fits) return
  for (const slot of links) {
    taken.set(slot, input)
    const copy = isWhole ? copyInto(plan, slot) : undefined
    if (copy) removed.add(copy)
  }
}

/** Scratch that is copied and dead afterwards is written to directly. */
function takeOverScratch(plan: Plan, taken: Map<Slot, Slot>, removed: Set<Kernel>, outputs: ReadonlySet<Slot>): void {
  for (const kernel of plan.kernels) {
    const source = kernel.copyOf
    const target = kernel.bindings[0]!.slot
    if (source?.kind !== 'scratch' || removed.has(kernel) || outputs.has(source)) continue
    if (taken.has(target) || taken.has(source) || !canTakeOver(plan, target, source, removed)) continue
    // The later value's slot stands for both: it may be an output.
    taken.set(source, target)
    removed.add(kernel)
  }
}

/** Lives of scratch values as intervals of kernels; a block is free again after the last use. */
function assignBlocks(
  kernels: readonly PlannedKernel[],
  storageOf: (slot: Slot) => Slot,
  outputs: ReadonlySet<Slot>,
): Pick<Allocation, 'blocks' | 'blockSizes'> {
  const last = new Map<Slot, number>()
  kernels.forEach(({ kernel }, i) => {
    for (const { slot } of kernel.bindings) last.set(storageOf(slot), i)
  })
  const blocks = new Map<Slot, number>()
  const blockSizes: number[] = []
  const free = new Set<number>()
  kernels.forEach(({ kernel }, i) => {
    const used = [...new Set(kernel.bindings.map(({ slot }) => storageOf(slot)))].filter(
      (slot) => slot.kind === 'scratch' && !outputs.has(slot),
    )
    for (const slot of used) {
      if (blocks.has(slot)) continue
      const block = bestBlock(slot.size, blockSizes, free)
      free.delete(block)
      blockSizes[block] = Math.max(blockSizes[block] ?? 0, slot.size)
      blocks.set(slot, block)
    }
    for (const slot of used) if (last.get(slot) === i) free.add(blocks.get(slot)!)
  })
  return { blocks, blockSizes }
}

/** The smallest free block that fits, else the largest to grow, else a new one. */
function bestBlock(size: number, sizes: readonly number[], free: ReadonlySet<number>): number {
  const bySize = [...free].sort((a, b) => sizes[a]! - sizes[b]!)
  return bySize.find((block) => sizes[block]! >= size) ?? bySize.at(-1) ?? sizes.length
}
