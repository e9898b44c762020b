/**
 * Readers of stored expectations: safetensors files of named tensors, and JSON files whose arrays are written
 * `{ "shape": […], "data": […] }` with plain numbers beside them.
 */

import { FormatError } from '../src/errors.ts'
import { parseSafetensors } from '../src/io/safetensors.ts'
import type { HostTensor, Shape } from '../src/tensor/types.ts'
import { dtypeOf, sizeOf } from '../src/tensor/types.ts'

/** All tensors of a safetensors file, widened to f32 or i32. @throws FormatError */
export async function readTensors(bytes: Uint8Array, name?: string): Promise<Map<string, HostTensor>> {
  const { tensors } = await parseSafetensors(bytes, name)
  const values = new Map<string, HostTensor>()
  for (const [key, tensor] of tensors) {
    const data = await tensor.read()
    values.set(key, { shape: tensor.shape, dtype: dtypeOf(data), data })
  }
  return values
}

/**
 * One array of a JSON golden, or a plain number as a scalar.
 *
 * @throws FormatError if there is no such array, or it does not fill its shape
 */
export function goldenTensor(golden: unknown, name: string): HostTensor {
  const entry = (golden as Readonly<Record<string, unknown>> | null)?.[name]
  if (typeof entry === 'number') return { shape: [], dtype: 'f32', data: Float32Array.of(entry) }
  const { shape, data } = (entry ?? {}) as { shape?: Shape; data?: readonly number[] | number }
  const values = typeof data === 'number' ? [data] : data
  if (!shape || !values || values.length !== sizeOf(shape)) {
    throw new FormatError('not an array of the golden', { where: name, expected: '{ shape, data }' })
  }
  return { shape, dtype: 'f32', data: Float32Array.from(values) }
}
