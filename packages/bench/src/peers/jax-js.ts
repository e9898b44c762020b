/**
 * jax-js on its WebGPU backend (https://github.com/ekzhang/jax-js): the block as one jitted function, the cache joined by
 * concatenation, since it writes nothing in place. It may store its matrices either way round; the faster way counts.
 */

import { createRequire } from 'node:module'
import { webgpuStatus } from '@afterthought/backend-webgpu'
import { BackendUnavailableError, type HostTensor } from '@afterthought/core'
import type { numpy } from '@jax-js/jax'
import type { Contender, Peer } from '../contender.ts'
import { fastest } from '../fastest.ts'
import { type BlockName, type BlockTensors, type BlockWork, blockTensors, blockWorks } from '../webgpu/block.ts'
import { timed } from '../webgpu/timed.ts'

type Jax = typeof import('@jax-js/jax')
type Values = ReturnType<typeof numpy.array>

const packages = ['@jax-js/jax', 'webgpu', 'core-js']

export const jaxJs: Peer = {
  summary: 'jax-js on its WebGPU backend: one block of a GPT-2',
  missing: () => (packages.every(isInstalled) ? undefined : `npm install --no-save ${packages.join(' ')}`),
  open: async (name) => {
    const work = blockWorks[name as BlockName]
    const [jax, status] = [await load(), await webgpuStatus()]
    const onProcessor = status.available && status.software
    const layouts = [false, true].map((transposed) => openBlock(jax, work, transposed))
    return fastest(layouts, ({ ms, cpuMs }) => (onProcessor ? cpuMs! : ms))
  },
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(`${name}/package.json`)
    return true
  } catch (error) {
    // A package that is there may hide its description.
    return (error as NodeJS.ErrnoException).code === 'ERR_PACKAGE_PATH_NOT_EXPORTED'
  }
}

/** It is written for browsers: it looks for `navigator.gpu`, and for methods that Node 20 does not have. */
async function load(): Promise<Jax> {
  const host = globalThis as { navigator?: { gpu?: GPU; userAgent?: string }; Iterator?: unknown }
  // @ts-expect-error: its types are a package of their own
  if (!host.Iterator) await import('core-js/actual/index.js')
  if (!host.navigator?.gpu) {
    const { create, globals } = await import('webgpu')
    Object.assign(globalThis, globals)
    host.navigator ??= { userAgent: 'Node.js' }
    Object.defineProperty(host.navigator, 'gpu', { value: create([]), configurable: true })
  }
  const jax = await import('@jax-js/jax')
  if (!(await jax.init('webgpu')).includes('webgpu')) {
    throw new BackendUnavailableError('it finds no adapter', { where: 'jax-js' })
  }
  jax.defaultDevice('webgpu')
  return jax
}

function openBlock(jax: Jax, work: BlockWork, transposed: boolean): Contender {
  const { numpy: np } = jax
  const { x, past, weights } = blockTensors(work)
  const array = ({ data, shape }: HostTensor): Values => np.array(data as Float32Array, { shape: [...shape] })
  const stored = storeWeights(jax, weights, array, transposed)
  const block = compileBlock(jax, work, transposed)
  const [rows, state] = [array(x), past && { k: array(past.k), v: array(past.v) }]
  return {
    versions: {},
    run: () =>
      timed(async () => {
        const given = Object.fromEntries(Object.entries(stored).map(([name, value]) => [name, value.ref]))
        const { y, k, v } = block(rows.ref, (state?.k ?? rows).ref, (state?.v ?? rows).ref, given)
        const values = (await y.data()) as Float32Array
        k.dispose()
        v.dispose()
        return values
      }),
    async [Symbol.asyncDispose]() {
      for (const value of [rows, ...Object.values(stored), ...Object.values(state ?? {})]) value.dispose()
    },
  }
}

function storeWeights(
  { jit, numpy: np }: Jax,
  weights: BlockTensors['weights'],
  array: (tensor: HostTensor) => Values,
  transposed: boolean,
): Record<string, Values> {
  // The sum makes it store the result instead of remembering a view.
  const turn = jit((matrix: Values) => np.transpose(matrix).add(0))
  return Object.fromEntries(
    Object.entries(weights).map(([name, tensor]) => {
      const value = array(tensor)
      return [name, transposed && tensor.shape.length === 2 ? turn(value) : value]
    }),
  )
}

type Block = (x: Values, k: Values, v: Values, weights: Record<string, Values>) => { y: Values; k: Values; v: Values }

/** Every use of a value consumes it, but for those through `ref`. */
function compileBlock({ jit, nn, numpy: np }: Jax, work: BlockWork, transposed: boolean): Block {
  const { width, heads, cached, rows } = work
  const head = width / heads
  return jit((x: Values, oldK: Values, oldV: Values, weights: Record<string, Values>) => {
    const norm = (value: Values, name: string): Values => {
      const centred = value.ref.sub(np.mean(value, -1, { keepdims: true }))
      const variance = np.mean(centred.ref.mul(centred.ref), -1, { keepdims: true })
      const scaled = centred.div(np.sqrt(variance.add(1e-5)))
      return scaled.mul(weights[`${name}.weight`]!.ref).add(weights[`${name}.bias`]!.ref)
    }
    const affine = (value: Values, name: string): Values => {
      const matrix = weights[`${name}.weight`]!.ref
      return np.matmul(value, transposed ? np.transpose(matrix) : matrix).add(weights[`${name}.bias`]!.ref)
    }
    const qkv = affine(norm(x.ref, 'ln1'), 'qkv').reshape([rows, 3, heads, head])
    const part = (n: number): Values => np.transpose(qkv.ref.slice([], n), [1, 0, 2]) // [H, T, d]
    const q = part(0)
    const k = cached > 0 ? np.concatenate([oldK, part(1)], 1) : part(1)
    const v = cached > 0 ? np.concatenate([oldV, part(2)], 1) : part(2)
    let scores = np.matmul(q, np.transpose(k.ref, [0, 2, 1])).mul(head ** -0.5)
    if (cached === 0) {
      const slots = np.arange(rows)
      const hidden = np.greater(slots.ref.reshape([1, rows]), slots.reshape([rows, 1]))
      scores = np.where(hidden, -3.4e38, scores)
    }
    const mixed = np.matmul(nn.softmax(scores, -1), v.ref)
    const merged = np.transpose(mixed, [1, 0, 2]).reshape([rows, width])
    const middle = x.add(affine(merged, 'proj'))
    const hidden = nn.gelu(affine(norm(middle.ref, 'ln2'), 'fc'), { approximate: true })
    return { y: middle.add(affine(hidden, 'out')), k, v }
  }) as unknown as Block
}
