/**
 * Where the time of a program goes: timestamps around every kernel, held against what the device can move and compute.
 *
 * The roof is measured on the spot, by a kernel that only copies and one that only multiplies and adds; a kernel's share is
 * the time that the nearer of the two limits would take, over the time it took. Timestamps cost a pass per kernel, so the
 * sum is more than a plain run takes; the proportions are what to read.
 */

import type { Kernel, WebGpuExecutable } from '@afterthought/backend-webgpu'
import { BackendUnavailableError, type Buffer } from '@afterthought/core'

/** Every element that is not a weight takes four. */
const BYTES_PER_ELEMENT = 4

export interface KernelTime {
  readonly label: string
  /** Dispatches of this kernel in one run. */
  readonly count: number
  /** Of all of them together, the fastest of the measured runs. */
  readonly microseconds: number
  /** Storage bound: what a run reads and writes at most. */
  readonly bytes: number
  readonly flops: number
  /** 1 is the limit of the device. */
  readonly roofline: number
}

export interface Roof {
  readonly bytesPerSecond: number
  readonly flopsPerSecond: number
}

export interface Profile {
  readonly roof: Roof
  /** Slowest first. */
  readonly kernels: readonly KernelTime[]
}

/**
 * @param inputs as for `run`; aliased ones are overwritten `runs` times
 * @throws BackendUnavailableError if the device has no timestamps
 */
export async function profile(
  device: GPUDevice,
  executable: WebGpuExecutable,
  inputs: Readonly<Record<string, Buffer>>,
  runs = 5,
): Promise<Profile> {
  if (!device.features.has('timestamp-query')) {
    throw new BackendUnavailableError('the device has no timestamps', {
      where: 'profile',
      hint: 'In Chromium, start with --enable-unsafe-webgpu',
    })
  }
  const clock = new Clock(device)
  const roof = await measureRoof(device, clock)
  const best = new Float64Array(executable.steps.length).fill(Number.POSITIVE_INFINITY)
  for (let run = 0; run < runs; run++) {
    const { results, groups } = executable.bind(inputs)
    const times = await clock.measure(
      executable.steps.map((step, i) => ({ pipeline: step.pipeline.gpu, group: groups[i]!, grid: step.grid })),
    )
    times.forEach((time, i) => (best[i] = Math.min(best[i]!, time)))
    const kept = new Set(Object.values(inputs))
    for (const buffer of Object.values(results)) if (!kept.has(buffer)) buffer.dispose()
  }
  return {
    roof,
    kernels: summarise(
      executable.steps.map(({ kernel }) => kernel),
      best,
      roof,
    ),
  }
}

/** A table for people, one kernel a line. */
export function formatProfile({ roof, kernels }: Profile): string {
  const total = kernels.reduce((sum, { microseconds }) => sum + microseconds, 0)
  const rows = kernels.map((kernel) => [
    kernel.label,
    `${kernel.count}`,
    kernel.microseconds.toFixed(0),
    `${((100 * kernel.microseconds) / total).toFixed(1)} %`,
    (kernel.bytes / 2 ** 20).toFixed(2),
    (kernel.flops / 1e6).toFixed(2),
    `${(100 * kernel.roofline).toFixed(0)} %`,
  ])
  const head = ['kernel', 'count', 'µs', 'time', 'MiB', 'MFLOP', 'roofline']
  const widths = head.map((title, c) => Math.max(title.length, ...rows.map((row) => row[c]!.length)))
  const line = (row: readonly string[]): string =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  ')
  const limits = `${(roof.bytesPerSecond / 1e9).toFixed(1)} GB/s, ${(roof.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s`
  return [line(head), ...rows.map(line), `${total.toFixed(0)} µs in all; roof: ${limits}`].join('\n')
}

function summarise(kernels: readonly Kernel[], times: Float64Array, roof: Roof): KernelTime[] {
  const byLabel = new Map<string, KernelTime>()
  kernels.forEach((kernel, i) => {
    const bytes = bytesOf(kernel)
    const least = Math.max(bytes / roof.bytesPerSecond, kernel.flops / roof.flopsPerSecond) * 1e6
    const before = byLabel.get(kernel.label)
    const microseconds = times[i]! / 1000 + (before?.microseconds ?? 0)
    const ideal = least + (before ? before.roofline * before.microseconds : 0)
    byLabel.set(kernel.label, {
      label: kernel.label,
      count: (before?.count ?? 0) + 1,
      microseconds,
      bytes: bytes + (before?.bytes ?? 0),
      flops: kernel.flops + (before?.flops ?? 0),
      roofline: ideal / microseconds,
    })
  })
  return [...byLabel.values()].sort((a, b) => b.microseconds - a.microseconds)
}

const bytesOf = (kernel: Kernel): number =>
  kernel.bytes ??
  kernel.bindings.reduce((sum, { slot, range }) => sum + (range?.size ?? slot.size * BYTES_PER_ELEMENT), 0)

interface Dispatch {
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  readonly grid: readonly [number, number]
}

/** Kernels between two resolutions of timestamps; a set holds at most 4,096. */
const BATCH = 2048

class Clock {
  private readonly device: GPUDevice

  constructor(device: GPUDevice) {
    this.device = device
  }

  /** Nanoseconds of each dispatch. */
  async measure(dispatches: readonly Dispatch[]): Promise<number[]> {
    const times: number[] = []
    for (let from = 0; from < dispatches.length; from += BATCH) {
      times.push(...(await this.batch(dispatches.slice(from, from + BATCH))))
    }
    return times
  }

  private async batch(dispatches: readonly Dispatch[]): Promise<number[]> {
    const { device } = this
    const count = 2 * dispatches.length
    const queries = device.createQuerySet({ type: 'timestamp', count })
    const resolved = device.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    })
    const staging = device.createBuffer({ size: 8 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
    const encoder = device.createCommandEncoder()
    dispatches.forEach(({ pipeline, group, grid }, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      })
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(grid[0], grid[1])
      pass.end()
    })
    encoder.resolveQuerySet(queries, 0, count, resolved, 0)
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count)
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ)
    const stamps = new BigUint64Array(staging.getMappedRange().slice(0))
    for (const each of [queries, resolved, staging]) each.destroy()
    return dispatches.map((_, i) => Math.max(1, Number(stamps[2 * i + 1]! - stamps[2 * i]!)))
  }
}

const COPIED_VALUES = 2 ** 22
const THREADS = 2 ** 16
const ROUNDS = 512

const copying = `
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { b[id.x] = a[id.x]; }`

const computing = `
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b: array<vec4<f32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let factor = a[id.x];
  var x = factor;
  var y = factor.yzwx;
  for (var i = 0; i < ${ROUNDS}; i++) { x = fma(x, factor, y); y = fma(y, factor, x); }
  b[id.x] = x + y;
}`

/** What this device moves and computes at most, the fastest of three. */
async function measureRoof(device: GPUDevice, clock: Clock): Promise<Roof> {
  const size = COPIED_VALUES * 4
  const buffers = [0, 1].map(() => device.createBuffer({ size, usage: GPUBufferUsage.STORAGE }))
  const fastest = async (code: string, groups: number): Promise<number> => {
    const module = device.createShaderModule({ code })
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    })
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }))
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })
    const dispatch: Dispatch = { pipeline, group, grid: [groups, 1] }
    return Math.min(...(await clock.measure([dispatch, dispatch, dispatch])))
  }
  const copy = await fastest(copying, COPIED_VALUES / 4 / 64)
  const compute = await fastest(computing, THREADS / 64)
  for (const buffer of buffers) buffer.destroy()
  return { bytesPerSecond: (2 * size) / (copy / 1e9), flopsPerSecond: (THREADS * ROUNDS * 16) / (compute / 1e9) }
}
