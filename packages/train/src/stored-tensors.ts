import type { HostArray, HostTensor, Shape } from '@afterthought/core'

/** Tensors of a file, read into memory as f32. */
export async function readTensors(
  stored: ReadonlyMap<string, { readonly shape: Shape; read(): Promise<HostArray> }>,
): Promise<Map<string, HostTensor>> {
  const tensors = new Map<string, HostTensor>()
  for (const [name, tensor] of stored)
    tensors.set(name, { shape: tensor.shape, dtype: 'f32', data: await tensor.read() })
  return tensors
}
