/** Tensors for tests: seeded random ones, and written-out ones. Equal seeds give equal values on every runtime. */

import type { Parameter } from '../src/backend.ts'
import { Random } from '../src/data/random.ts'
import type { DType, HostArray, HostTensor, Shape } from '../src/tensor/types.ts'
import { allocate, sizeOf } from '../src/tensor/types.ts'

/** Larger tensors repeat: drawing millions of numbers takes seconds. A prime, so that no two rows are alike for long. */
const PERIOD = 65_537

/** A stream of random tensors. */
export class RandomTensors {
  private readonly random: Random

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  /** f32, normal. */
  normal(shape: Shape, deviation = 1, mean = 0): HostTensor {
    return this.fill('f32', shape, () => this.random.normal(mean, deviation))
  }

  /** f32, uniform in [low, high). */
  uniform(shape: Shape, low: number, high: number): HostTensor {
    return this.fill('f32', shape, () => low + (high - low) * this.random.uniform())
  }

  /** i32, uniform in low … high − 1. */
  integers(shape: Shape, low: number, high: number): HostTensor {
    return this.fill('i32', shape, () => low + this.random.integer(high - low))
  }

  bools(shape: Shape): HostTensor {
    return this.fill('bool', shape, () => this.random.integer(2))
  }

  private fill(dtype: DType, shape: Shape, draw: () => number): HostTensor {
    const data = allocate(dtype, sizeOf(shape))
    for (let i = 0; i < data.length; i++) data[i] = i < PERIOD ? draw() : data[i - PERIOD]!
    return { shape, dtype, data }
  }
}

/** Written-out values; the shape defaults to one axis. */
export function tensorOf(values: readonly number[], shape: Shape = [values.length], dtype: DType = 'f32'): HostTensor {
  const data = allocate(dtype, values.length)
  data.set(values)
  return { shape, dtype, data }
}

/** `values[i]` repeated over a tensor of any size: for inputs too large to be worth drawing. */
export function cyclic(values: readonly number[], shape: Shape, dtype: DType = 'f32'): HostTensor {
  const data = allocate(dtype, sizeOf(shape))
  for (let i = 0; i < data.length; i++) data[i] = values[i % values.length]!
  return { shape, dtype, data }
}

/** FNV-1a (Fowler, Noll, Vo) over the bytes, from two starting points: 64 bits that name the contents. */
function contentName(data: HostArray): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  let [first, second] = [0x811c9dc5, 0x9e3779b9]
  for (const byte of bytes) {
    first = Math.imul(first ^ byte, 0x01000193)
    second = Math.imul(second ^ byte, 0x01000193)
  }
  return [first, second].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}

/** A tensor in memory as a weight, named by its contents. */
export function parameterOf(tensor: HostTensor): Parameter {
  return {
    shape: tensor.shape,
    dtype: tensor.dtype,
    identity: `memory:${tensor.dtype}:${tensor.data.length}:${contentName(tensor.data)}`,
    read: () => Promise.resolve(tensor.data.slice()),
  }
}

export function parametersOf(tensors: Readonly<Record<string, HostTensor>>): Map<string, Parameter> {
  return new Map(Object.entries(tensors).map(([name, tensor]) => [name, parameterOf(tensor)]))
}
