/**
 * A compiled graph: pipelines, bind groups and one arena of parameters, all made beforehand. A run encodes one compute pass
 * and submits once; it allocates nothing but its results, which come from a pool.
 */

import {
  ArgumentError,
  type Buffer,
  DisposedError,
  type Executable,
  formatSpec,
  type Graph,
  ShapeError,
} from '@afterthought/core'
import { BYTES_PER_ELEMENT, DeviceBuffer, deviceBytes, type Memory, type MemoryPool, write } from './device/buffers.ts'
import type { DeviceGuard } from './device/guard.ts'
import type { Pipeline } from './device/pipelines.ts'
import { type Binding, declaredBindings, encodeParameters, grid, type Kernel } from './kernels/kernel.ts'
import type { Allocation, PlannedKernel } from './plan/allocate.ts'
import type { Plan } from './plan/plan.ts'
import type { Slot } from './plan/views.ts'

/** What an executable is made of. */
export interface Prepared {
  readonly guard: DeviceGuard
  readonly pool: MemoryPool
  readonly plan: Plan
  readonly allocation: Allocation
  readonly pipelines: readonly Pipeline[]
  readonly weights: ReadonlyMap<Slot, Memory>
}

/** Bind groups of one kernel that are kept for the buffers that come and go. */
const KEPT_GROUPS = 64

interface Step {
  readonly kernel: Kernel
  readonly pipeline: Pipeline
  readonly grid: readonly [number, number]
  readonly bindings: readonly Binding[]
  readonly parameters: GPUBufferBinding
  /** Inputs and results that it touches: their bind groups depend on the run. */
  readonly varying: readonly Slot[]
  readonly groups: Map<string, GPUBindGroup>
  readonly fixed: GPUBindGroup | undefined
}

export class WebGpuExecutable implements Executable, Disposable {
  readonly graph: Graph
  readonly steps: readonly Step[]
  private readonly prepared: Prepared
  /** Scratch and constants. */
  private readonly held: Memory[] = []
  private readonly arena: Memory
  private readonly fixed = new Map<Slot, { readonly memory: Memory; readonly offset: number }>()
  private disposed = false

  constructor(prepared: Prepared) {
    const { plan, allocation, pipelines, pool } = prepared
    this.prepared = prepared
    this.graph = plan.graph
    for (const [slot, memory] of prepared.weights) this.fixed.set(slot, { memory, offset: 0 })
    const where = `${this.graph.name}: scratch`
    const blocks = allocation.blockSizes.map((size) => this.hold(pool.take(size * BYTES_PER_ELEMENT, where)))
    for (const [slot, block] of allocation.blocks) this.fixed.set(slot, { memory: blocks[block]!, offset: 0 })
    this.placeConstants()
    const { arena, parameters } = this.placeParameters(allocation.kernels)
    this.arena = arena
    this.steps = allocation.kernels.map((planned, i) => this.step(planned, pipelines[i]!, parameters[i]!))
  }

  /** Enqueues one run. */
  async run(inputs: Readonly<Record<string, Buffer>>): Promise<Record<string, Buffer>> {
    const { device } = this.prepared.guard
    const { results, groups } = this.bind(inputs)
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    this.steps.forEach((step, i) => {
      if (i === 0 || step.pipeline.gpu !== this.steps[i - 1]!.pipeline.gpu) pass.setPipeline(step.pipeline.gpu)
      pass.setBindGroup(0, groups[i]!)
      pass.dispatchWorkgroups(step.grid[0], step.grid[1])
    })
    pass.end()
    device.queue.submit([encoder.finish()])
    return results
  }

  /**
   * Checks the inputs, takes storage for the results and finds every step's bind group.
   *
   * @throws ShapeError, DisposedError, BackendError; ArgumentError if one buffer is both overwritten and read
   */
  bind(inputs: Readonly<Record<string, Buffer>>): { results: Record<string, Buffer>; groups: GPUBindGroup[] } {
    const { graph } = this
    if (this.disposed) throw new DisposedError('the executable has been disposed of', { where: graph.name })
    this.prepared.guard.check(graph.name)
    const bound = new Map<Slot, Memory>()
    const given = new Map<string, DeviceBuffer>()
    for (const { name, value } of graph.inputs) {
      const buffer = this.own(inputs[name], `${graph.name}: input '${name}'`, formatSpec(value))
      given.set(name, buffer)
      bound.set(this.prepared.plan.inputs.get(name)!, buffer.memory)
    }
    this.refuseSharedState(given)
    const results: Record<string, Buffer> = {}
    for (const { name, value, alias } of graph.outputs) {
      if (alias !== undefined) {
        results[name] = given.get(alias)!
        continue
      }
      const slot = this.prepared.allocation.outputs.get(name)!
      const memory = this.prepared.pool.take(slot.size * BYTES_PER_ELEMENT, `${graph.name}: output '${name}'`)
      bound.set(slot, memory)
      results[name] = new DeviceBuffer(value, this.prepared.pool, memory)
    }
    return { results, groups: this.steps.map((step) => step.fixed ?? this.groupFor(step, bound)) }
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    for (const memory of this.held) this.prepared.pool.give(memory)
    this.prepared.pool.destroy(this.arena)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  private own(buffer: Buffer | undefined, where: string, expected: string): DeviceBuffer {
    if (!(buffer instanceof DeviceBuffer) || buffer.pool !== this.prepared.pool) {
      throw new ShapeError(buffer ? 'the buffer belongs to another backend' : 'the input is missing', { where })
    }
    if (formatSpec(buffer) !== expected) {
      throw new ShapeError('the input has another type', { where, expected, actual: formatSpec(buffer) })
    }
    return buffer
  }

  /** WebGPU allows no buffer to be written and read under two names at once. */
  private refuseSharedState(given: ReadonlyMap<string, DeviceBuffer>): void {
    for (const { alias } of this.graph.outputs) {
      const state = alias === undefined ? undefined : given.get(alias)
      for (const [name, buffer] of given) {
        if (name === alias || buffer !== state) continue
        throw new ArgumentError('one buffer is given for an input that is overwritten and for another one', {
          where: `${this.graph.name}: inputs '${alias}' and '${name}'`,
          hint: 'Copy it first',
        })
      }
    }
  }

  private groupFor(step: Step, bound: ReadonlyMap<Slot, Memory>): GPUBindGroup {
    const key = step.varying.map((slot) => bound.get(slot)!.id).join()
    let group = step.groups.get(key)
    if (!group) {
      group = this.group(step, bound)
      if (step.groups.size >= KEPT_GROUPS) step.groups.delete(step.groups.keys().next().value!)
      step.groups.set(key, group)
    }
    return group
  }

  private group(step: Omit<Step, 'fixed'>, bound: ReadonlyMap<Slot, Memory>): GPUBindGroup {
    const { guard, allocation } = this.prepared
    const limit = guard.device.limits.maxStorageBufferBindingSize
    const entries = step.bindings.map(({ slot, range }, i): GPUBindGroupEntry => {
      const storage = allocation.storageOf(slot)
      const { memory, offset } = this.fixed.get(storage) ?? { memory: bound.get(storage)!, offset: 0 }
      const size = range ? Math.ceil(range.size / 4) * 4 : Math.min(memory.size - offset, limit)
      return { binding: i + 1, resource: { buffer: memory.gpu, offset: offset + (range?.offset ?? 0), size } }
    })
    const parameters = { binding: 0, resource: step.parameters }
    return guard.device.createBindGroup({ layout: step.pipeline.layout, entries: [parameters, ...entries] })
  }

  private step({ kernel, inPlace }: PlannedKernel, pipeline: Pipeline, parameters: GPUBufferBinding): Step {
    const bindings = declaredBindings(kernel, inPlace)
    const storages = bindings.map(({ slot }) => this.prepared.allocation.storageOf(slot))
    const varying = [...new Set(storages.filter((slot) => !this.fixed.has(slot)))]
    const step = { kernel, pipeline, grid: grid(kernel.groups), bindings, parameters, varying, groups: new Map() }
    return { ...step, fixed: varying.length > 0 ? undefined : this.group(step, new Map()) }
  }

  private placeParameters(kernels: readonly PlannedKernel[]): { arena: Memory; parameters: GPUBufferBinding[] } {
    const { pool, guard } = this.prepared
    const sizes = kernels.map(({ kernel }) => parameterBytes(kernel))
    const { offsets, total } = inRow(sizes, guard.device.limits.minUniformBufferOffsetAlignment)
    const bytes = new DataView(new ArrayBuffer(total))
    kernels.forEach(({ kernel }, i) => encodeParameters(kernel.parameters, bytes, offsets[i]!))
    const arena = pool.create(total, `${this.graph.name}: parameters`, GPUBufferUsage.UNIFORM)
    write(guard.device, arena, bytes)
    return { arena, parameters: offsets.map((offset, i) => ({ buffer: arena.gpu, offset, size: sizes[i]! })) }
  }

  private placeConstants(): void {
    const { pool, guard, plan } = this.prepared
    if (plan.constants.size === 0) return
    const constants = [...plan.constants]
    const sizes = constants.map(([, data]) => Math.max(data.length * BYTES_PER_ELEMENT, 16))
    const { offsets, total } = inRow(sizes, guard.device.limits.minStorageBufferOffsetAlignment)
    const memory = this.hold(pool.create(total, `${this.graph.name}: constants`))
    constants.forEach(([slot, data], i) => {
      write(guard.device, memory, deviceBytes(data), offsets[i]!)
      this.fixed.set(slot, { memory, offset: offsets[i]! })
    })
  }

  private hold(memory: Memory): Memory {
    this.held.push(memory)
    return memory
  }
}

/** Places one behind the other, each where a binding may start. */
function inRow(sizes: readonly number[], unit: number): { offsets: number[]; total: number } {
  let total = 0
  const offsets = sizes.map((size) => {
    const offset = total
    total += Math.ceil(size / unit) * unit
    return offset
  })
  return { offsets, total }
}

/** Bytes of every kernel's parameters: wgpu (Deno) compares a shader's size with the group bound before, if sizes differ. */
const parameterBytes = ({ parameters }: Kernel): number => Math.ceil(Object.keys(parameters).length / 64) * 256
