/**
 * The piece of work that WebGPU peers are compared on: one GPT-2 block, for one token behind a cache or for a prompt, with
 * random weights that are the same for everybody. Here it runs on our own backend.
 */

import { webgpu } from '@afterthought/backend-webgpu'
import { F, type HostTensor, parameter, sizeOf, type Tensor, trace } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { parametersOf } from '@afterthought/core/testing'
import type { Contender, Run } from '../contender.ts'
import { timed } from './timed.ts'

export interface BlockWork {
  /** D */
  readonly width: number
  /** H */
  readonly heads: number
  /** Rows behind which the new ones stand; 0 for a prompt. */
  readonly cached: number
  /** T */
  readonly rows: number
}

export type BlockName = 'block' | 'prefill64' | 'quick-block' | 'quick-prefill64'

/** GPT-2's shape, and a tiny one to see that everything works. */
export const blockWorks: Readonly<Record<BlockName, BlockWork>> = {
  block: { width: 768, heads: 12, cached: 128, rows: 1 },
  prefill64: { width: 768, heads: 12, cached: 0, rows: 64 },
  'quick-block': { width: 32, heads: 4, cached: 6, rows: 1 },
  'quick-prefill64': { width: 32, heads: 4, cached: 0, rows: 5 },
}

export interface BlockTensors {
  /** [T, D] */
  readonly x: HostTensor
  /** [H, S, d] */
  readonly past: { readonly k: HostTensor; readonly v: HostTensor } | undefined
  /** By name, matrices [in, out]. */
  readonly weights: Readonly<Record<string, HostTensor>>
}

/** Everything that a contender computes from; equal for all of them. */
export function blockTensors({ width, heads, cached, rows }: BlockWork): BlockTensors {
  let stream = 0
  const normal = (shape: readonly number[], deviation: number): HostTensor => {
    const random = new Random(7, stream++)
    return {
      shape,
      dtype: 'f32',
      data: Float32Array.from({ length: sizeOf(shape) }, () => random.normal(0, deviation)),
    }
  }
  const shapes: Readonly<Record<string, readonly number[]>> = {
    'ln1.weight': [width],
    'ln1.bias': [width],
    'qkv.weight': [width, 3 * width],
    'qkv.bias': [3 * width],
    'proj.weight': [width, width],
    'proj.bias': [width],
    'ln2.weight': [width],
    'ln2.bias': [width],
    'fc.weight': [width, 4 * width],
    'fc.bias': [4 * width],
    'out.weight': [4 * width, width],
    'out.bias': [width],
  }
  const slots = [heads, cached, width / heads]
  return {
    x: normal([rows, width], 1),
    past: cached > 0 ? { k: normal(slots, 1), v: normal(slots, 1) } : undefined,
    weights: Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, normal(shape, 0.05)])),
  }
}

/** The block on our backend: its cache has one more slot, which every run writes in place. */
export async function openBlock(name: BlockName): Promise<Contender & { readonly software: boolean }> {
  const work = blockWorks[name]
  const { x, past, weights } = blockTensors(work)
  const backend = await webgpu()
  const program = await backend.compile(traceBlock(work, weights), parametersOf(weights))
  const { cached, rows, width } = work
  const given = backend.upload({ ...x, shape: [1, rows, width] })
  const state = past && {
    k: backend.upload(grown(past.k, rows)),
    v: backend.upload(grown(past.v, rows)),
    length: backend.upload({ shape: [], dtype: 'i32', data: Int32Array.of(cached) }),
  }
  return {
    software: backend.adapter.software,
    versions: {},
    run: (): Promise<Run> =>
      timed(async () => {
        const outputs = await program.run({ x: given, ...state })
        const values = (await backend.download(outputs.y!)) as Float32Array
        for (const [output, buffer] of Object.entries(outputs)) if (!state || output === 'y') buffer.dispose()
        return values
      }),
    [Symbol.asyncDispose]: () => backend.dispose(),
  }
}

function traceBlock(
  { width, heads, cached, rows }: BlockWork,
  weights: BlockTensors['weights'],
): ReturnType<typeof trace> {
  const head = width / heads
  const capacity = { shape: [1, heads, cached + rows, head], dtype: 'f32' } as const
  const specs = {
    x: { shape: [1, rows, width], dtype: 'f32' } as const,
    ...(cached > 0 && { k: capacity, v: capacity, length: { shape: [], dtype: 'i32' } as const }),
  }
  return trace('block', specs, ({ x, k: keys, v: values, length }) => {
    const weight = (name: string): Tensor => parameter(name, weights[name]!.shape)
    const norm = (value: Tensor, name: string): Tensor =>
      F.layerNorm(value, weight(`${name}.weight`), weight(`${name}.bias`), 1e-5)
    const affine = (value: Tensor, name: string): Tensor =>
      F.add(F.matmul(value, weight(`${name}.weight`)), weight(`${name}.bias`))
    const qkv = affine(norm(x!, 'ln1'), 'qkv') // [1, T, 3 D]
    const [q, k, v] = [0, 1, 2].map((part) => {
      const own = F.narrow(qkv, 2, part * width, (part + 1) * width)
      return F.transpose(F.reshape(own, [1, rows, heads, head]), [0, 2, 1, 3]) // [1, H, T, d]
    })
    const bias = maskOf(rows, cached + rows, length)
    const past = keys && values && { k: keys, v: values }
    const mixed = F.attention(q!, k!, v!, bias, head ** -0.5, past)
    const merged = F.reshape(F.transpose(mixed, [0, 2, 1, 3]), [1, rows, width])
    const middle = F.add(x!, affine(merged, 'proj'))
    const y = F.add(middle, affine(F.gelu(affine(norm(middle, 'ln2'), 'fc'), 'tanh'), 'out'))
    if (!past) return { outputs: { y, k: k!, v: v! } }
    const appended = { k: F.updateSlice(past.k, k!, length!, 2), v: F.updateSlice(past.v, v!, length!, 2) }
    return { outputs: { y, ...appended }, aliases: { k: 'k', v: 'v' } }
  })
}

/** [1, 1, T, S + T]: slots of the cache that are written, and of the new rows those before. */
function maskOf(rows: number, slots: number, length: Tensor | undefined): Tensor {
  const HIDDEN = -3.4e38
  const column = F.reshape(F.iota(rows), [1, 1, rows, 1])
  const fresh = F.where(F.lessEqual(F.reshape(F.iota(rows), [1, 1, 1, rows]), column), 0, HIDDEN)
  if (!length) return fresh
  const written = F.where(F.less(F.reshape(F.iota(slots), [1, 1, 1, slots]), length), 0, HIDDEN)
  return F.concat([F.broadcastTo(written, [1, 1, rows, slots]), fresh], 3)
}

/** [H, S, d] → [1, H, S + rows, d], the new slots zero. */
function grown({ shape, data }: HostTensor, rows: number): HostTensor {
  const [heads, cached, head] = shape as [number, number, number]
  const padded = new Float32Array(heads * (cached + rows) * head)
  for (let h = 0; h < heads; h++) {
    padded.set((data as Float32Array).subarray(h * cached * head, (h + 1) * cached * head), h * (cached + rows) * head)
  }
  return { shape: [1, heads, cached + rows, head], dtype: 'f32', data: padded }
}
