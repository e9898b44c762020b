/**
 * One GPT-2 block (width 768, 12 heads, feed-forward 3072) on this backend and on jax-js's WebGPU backend, in one process
 * and on one adapter: one token behind a cache of 128, and a prefill of 64. Compared is CPU time per block, which on a
 * software adapter is the cost of the kernels; of jax-js the better of two weight layouts counts.
 *
 *     bun --conditions=@afterthought/source packages/backend-webgpu/bench/block.ts
 *     deno run -A --conditions=@afterthought/source packages/backend-webgpu/bench/block.ts
 *
 * Results are checked against one another. The last line is JSON.
 */

import { F, parameter, trace } from '@afterthought/core'
import { maxError, parametersOf, RandomTensors } from '@afterthought/core/testing'
import type { numpy as Numpy } from '@jax-js/jax'
import { requestDevice, webgpu } from '../src/index.ts'

const WIDTH = 768
const HEADS = 12
const HEAD = WIDTH / HEADS
const CACHE = 128
const PREFILL = 64
const RUNS = 10

const random = new RandomTensors(7)
const shapes: Readonly<Record<string, readonly number[]>> = {
  'ln1.weight': [WIDTH],
  'ln1.bias': [WIDTH],
  'qkv.weight': [WIDTH, 3 * WIDTH],
  'qkv.bias': [3 * WIDTH],
  'proj.weight': [WIDTH, WIDTH],
  'proj.bias': [WIDTH],
  'ln2.weight': [WIDTH],
  'ln2.bias': [WIDTH],
  'fc.weight': [WIDTH, 4 * WIDTH],
  'fc.bias': [4 * WIDTH],
  'out.weight': [4 * WIDTH, WIDTH],
  'out.bias': [WIDTH],
}
const weights = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, random.normal(shape, 0.05)]))
const token = random.normal([1, 1, WIDTH])
const prompt = random.normal([1, PREFILL, WIDTH])
const cache = { k: random.normal([1, HEADS, CACHE, HEAD]), v: random.normal([1, HEADS, CACHE, HEAD]) }

type Result = { readonly cpu: number; readonly wall: number; readonly values: Float32Array }

/** The fastest of several runs, by CPU time. */
async function measure(run: () => Promise<Float32Array>): Promise<Result> {
  await run()
  let best: Result | undefined
  for (let i = 0; i < RUNS; i++) {
    const [cpu, start] = [process.cpuUsage(), performance.now()]
    const values = await run()
    const { user, system } = process.cpuUsage(cpu)
    const result = { cpu: (user + system) / 1000, wall: performance.now() - start, values }
    if (!best || result.cpu < best.cpu) best = result
  }
  return best!
}

/** Ours: x [1, T, D] behind the cache, if there is one, which grows by T. */
async function ours(rows: number, past: boolean): Promise<Result> {
  const backend = await webgpu()
  const x = past ? token : prompt
  const capacity = { shape: [1, HEADS, CACHE + 1, HEAD], dtype: 'f32' } as const
  const specs = { x, ...(past && { k: capacity, v: capacity, length: { shape: [], dtype: 'i32' } as const }) }
  const graph = trace('block', specs, (inputs) => {
    const w = (name: string) => parameter(name, shapes[name]!)
    const norm = (value: Parameters<typeof F.neg>[0], name: string) =>
      F.layerNorm(value, w(`${name}.weight`), w(`${name}.bias`), 1e-5)
    const affine = (value: Parameters<typeof F.neg>[0], name: string) =>
      F.add(F.matmul(value, w(`${name}.weight`)), w(`${name}.bias`))
    const qkv = affine(norm(inputs.x!, 'ln1'), 'qkv')
    const [q, k, v] = [0, 1, 2].map((part) => {
      const own = F.narrow(qkv, 2, part * WIDTH, (part + 1) * WIDTH)
      return F.transpose(F.reshape(own, [1, rows, HEADS, HEAD]), [0, 2, 1, 3])
    })
    const slots = F.iota(rows)
    const causal = F.lessEqual(F.reshape(slots, [1, 1, 1, rows]), F.reshape(slots, [1, 1, rows, 1]))
    const fresh = F.where(causal, 0, -3.4e38)
    const written =
      past && F.where(F.less(F.reshape(F.iota(CACHE + 1), [1, 1, 1, CACHE + 1]), inputs.length!), 0, -3.4e38)
    const bias = written ? F.concat([written, fresh], 3) : fresh
    const old = past ? { k: inputs.k!, v: inputs.v! } : undefined
    const mixed = F.attention(q!, k!, v!, bias, HEAD ** -0.5, old)
    const merged = F.reshape(F.transpose(mixed, [0, 2, 1, 3]), [1, rows, WIDTH])
    const middle = F.add(inputs.x!, affine(merged, 'proj'))
    const y = F.add(middle, affine(F.gelu(affine(norm(middle, 'ln2'), 'fc'), 'tanh'), 'out'))
    if (!past) return { outputs: { y, k: k!, v: v! } }
    const grown = {
      k: F.updateSlice(inputs.k!, k!, inputs.length!, 2),
      v: F.updateSlice(inputs.v!, v!, inputs.length!, 2),
    }
    return { outputs: { y, ...grown }, aliases: { k: 'k', v: 'v' } }
  })
  const program = await backend.compile(graph, parametersOf(weights))
  const filled = (values: Float32Array): Float32Array => {
    const padded = new Float32Array(HEADS * (CACHE + 1) * HEAD)
    for (let h = 0; h < HEADS; h++) {
      padded.set(values.subarray(h * CACHE * HEAD, (h + 1) * CACHE * HEAD), h * (CACHE + 1) * HEAD)
    }
    return padded
  }
  const input = backend.upload(x)
  const state = past && {
    k: backend.upload({ ...capacity, data: filled(cache.k.data as Float32Array) }),
    v: backend.upload({ ...capacity, data: filled(cache.v.data as Float32Array) }),
    length: backend.upload({ shape: [], dtype: 'i32', data: Int32Array.of(CACHE) }),
  }
  const result = await measure(async () => {
    const outputs = await program.run({ x: input, ...state })
    const values = (await backend.download(outputs.y!)) as Float32Array
    for (const [name, buffer] of Object.entries(outputs)) if (!past || name === 'y') buffer.dispose()
    return values
  })
  await backend.dispose()
  return result
}

/** The same block as jax-js would have it: one jitted function, cache joined by concatenation. */
async function theirs(rows: number, past: boolean, transposed: boolean): Promise<Result> {
  const { defaultDevice, init, jit, nn, numpy: np } = await import('@jax-js/jax')
  if (!(await init()).includes('webgpu')) throw new Error('jax-js finds no WebGPU')
  defaultDevice('webgpu')
  type Array = ReturnType<typeof Numpy.array>
  const array = ({ data, shape }: { data: ArrayLike<number>; shape: readonly number[] }): Array =>
    np.array(data as Float32Array, { shape: [...shape] })
  const given: Record<string, Array> = {}
  for (const [name, tensor] of Object.entries(weights)) {
    const value = array(tensor)
    given[name] = transposed && tensor.shape.length === 2 ? jit((w: Array) => np.transpose(w).add(0))(value) : value
  }
  const block = jit((x: Array, k0: Array, v0: Array, w: Record<string, Array>) => {
    const norm = (value: Array, name: string): Array => {
      const centred = value.ref.sub(np.mean(value, -1, { keepdims: true }))
      const variance = np.mean(centred.ref.mul(centred.ref), -1, { keepdims: true })
      return centred
        .div(np.sqrt(variance.add(1e-5)))
        .mul(w[`${name}.weight`]!.ref)
        .add(w[`${name}.bias`]!.ref)
    }
    const affine = (value: Array, name: string): Array => {
      const weight = w[`${name}.weight`]!.ref
      return np.matmul(value, transposed ? np.transpose(weight) : weight).add(w[`${name}.bias`]!.ref)
    }
    const qkv = affine(norm(x.ref, 'ln1'), 'qkv').reshape([rows, 3, HEADS, HEAD])
    const part = (n: number): Array => np.transpose(qkv.ref.slice([], n), [1, 0, 2])
    const q = part(0)
    const k = past ? np.concatenate([k0, part(1)], 1) : part(1)
    const v = past ? np.concatenate([v0, part(2)], 1) : part(2)
    let scores = np.matmul(q, np.transpose(k.ref, [0, 2, 1])).mul(HEAD ** -0.5)
    if (!past) {
      const slots = np.arange(rows)
      const hidden = np.greater(slots.ref.reshape([1, rows]), slots.reshape([rows, 1]))
      scores = np.where(hidden, -3.4e38, scores)
    }
    const mixed = np.matmul(nn.softmax(scores, -1), v.ref) // [H, T, d]
    const merged = np.transpose(mixed, [1, 0, 2]).reshape([rows, WIDTH])
    const middle = x.add(affine(merged, 'proj'))
    const y = middle.ref.add(affine(nn.gelu(affine(norm(middle, 'ln2'), 'fc'), { approximate: true }), 'out'))
    return { y, k, v }
  })
  const x = array({ data: (past ? token : prompt).data, shape: [rows, WIDTH] })
  const state = [cache.k, cache.v].map((part) => array({ data: part.data, shape: [HEADS, CACHE, HEAD] }))
  return measure(async () => {
    const refs = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value.ref]))
    const { y, k, v } = block(x.ref, state[0]!.ref, state[1]!.ref, refs)
    const values = (await y.data()) as Float32Array
    k.dispose()
    v.dispose()
    return values
  })
}

/** jax-js looks for `navigator.gpu` only; requesting a device of ours loads the binding where there is none. */
async function providePeer(): Promise<void> {
  const host = globalThis as { navigator?: { gpu?: GPU } }
  if (host.navigator?.gpu) return
  const { create } = (await import('webgpu')) as { create(flags: string[]): GPU }
  const gpu = create([])
  host.navigator ??= {}
  Object.defineProperty(host.navigator, 'gpu', { value: gpu, configurable: true })
}

const device = await requestDevice()
const adapter = device.adapterInfo?.description ?? ''
device.destroy()
await providePeer()
const report: Record<string, unknown> = { adapter }
for (const [name, rows, past] of [
  ['token', 1, true],
  ['prefill', PREFILL, false],
] as const) {
  const own = await ours(rows, past)
  const peers = [await theirs(rows, past, false), await theirs(rows, past, true)]
  const peer = peers[0]!.cpu < peers[1]!.cpu ? peers[0]! : peers[1]!
  const error = maxError(own.values, peer.values)
  const line = { ours: own.cpu, jax: peer.cpu, cpuRatio: own.cpu / peer.cpu, wallRatio: own.wall / peer.wall, error }
  report[name] = line
  console.log(
    `${name.padEnd(8)} ours ${own.cpu.toFixed(1)} ms CPU (${own.wall.toFixed(1)} wall), jax-js ${peers
      .map((each) => `${each.cpu.toFixed(1)} (${each.wall.toFixed(1)})`)
      .join(' or ')}: ratio ${line.cpuRatio.toFixed(2)}, largest difference ${error.toExponential(1)}`,
  )
}
console.log(JSON.stringify(report))
process.exit(0)
