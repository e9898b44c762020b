import { type Backend, derivedBackend, F, type Graph, reference, rollout, trace } from '@afterthought/core'
import {
  maxError,
  parametersOf,
  type RandomFamily,
  RandomTensors,
  randomModel,
  tensorOf,
} from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { webgpu } from '../src/index.ts'
import { broadcast, isContiguous, reshaped, sliced, transposed, type View, wholeView } from '../src/plan/views.ts'
import './device.ts'

const slot = { id: 0, kind: 'input', size: 120, label: 'x' } as const

/** Element numbers in row-major order of the view. */
function elements(view: View): number[] {
  let offsets = [view.offset]
  view.shape.forEach((extent, axis) => {
    offsets = offsets.flatMap((at) => Array.from({ length: extent }, (_, i) => at + i * view.strides[axis]!))
  })
  return offsets
}

describe('views', () => {
  const whole = wholeView(slot, [2, 3, 4, 5], 'f32')

  it('reshape without a copy exactly where strides allow it', () => {
    const swapped = transposed(whole, [0, 2, 1, 3])
    const cases: [View, number[], boolean][] = [
      [whole, [6, 20], true],
      [swapped, [8, 15], false],
      [swapped, [8, 3, 5], false],
      [swapped, [2, 2, 2, 3, 5, 1], true],
      [swapped, [2, 4, 15], false],
      [sliced(whole, [0, 0, 1, 0], [2, 3, 3, 5]), [6, 10], true],
      [sliced(whole, [0, 0, 1, 0], [2, 3, 3, 5]), [6, 2, 5], true],
      [sliced(whole, [0, 0, 1, 0], [2, 3, 3, 5]), [60], false],
      [broadcast(wholeView(slot, [1, 5], 'f32'), [4, 5]), [2, 2, 5], true],
      [broadcast(wholeView(slot, [1, 5], 'f32'), [4, 5]), [20], false],
    ]
    for (const [view, shape, possible] of cases) {
      const result = reshaped(view, shape)
      expect([shape, result !== undefined]).toEqual([shape, possible])
      if (result) expect(elements(result)).toEqual(elements(view))
    }
  })

  it('know when they are dense', () => {
    expect(isContiguous(whole)).toBe(true)
    expect(isContiguous(sliced(whole, [1, 0, 0, 0], [2, 3, 4, 5]))).toBe(true)
    expect(isContiguous(transposed(whole, [1, 0, 2, 3]))).toBe(false)
    expect(isContiguous(transposed(wholeView(slot, [1, 120], 'f32'), [1, 0]))).toBe(true)
  })
})

async function labelsOf(graph: Graph, weights: Parameters<typeof parametersOf>[0] = {}): Promise<string[]> {
  await using backend = await webgpu()
  const executable = await backend.compile(graph, parametersOf(weights))
  return executable.steps.map(({ kernel }) => kernel.label)
}

describe('plans', () => {
  it('write a cache in place, keys and values by one kernel, after the last reader', async () => {
    const spec = { shape: [1, 2, 8, 4], dtype: 'f32' } as const
    const fresh = { shape: [1, 2, 1, 4], dtype: 'f32' } as const
    const specs = { k: spec, v: spec, a: fresh, b: fresh, at: { shape: [], dtype: 'i32' } } as const
    const graph = trace('append', specs, ({ k, v, a, b, at }) => ({
      outputs: {
        k: F.updateSlice(k!, a!, at!, 2),
        v: F.updateSlice(v!, b!, at!, 2),
        sum: F.reduceSum(F.mul(k!, v!), [0, 1, 2, 3]),
      },
      aliases: { k: 'k', v: 'v' },
    }))
    expect(await labelsOf(graph)).toEqual(['reduceSum', 'updateSlice'])
  })

  it('end a product with what follows it, and compute chains at once', async () => {
    const x = { shape: [3, 8], dtype: 'f32' } as const
    const graph = trace(
      'chain',
      { x, w: { shape: [8, 8], dtype: 'f32' }, b: { shape: [8], dtype: 'f32' } },
      (inputs) => ({
        outputs: { y: F.add(F.gelu(F.add(F.matmul(inputs.x!, inputs.w!), inputs.b!), 'tanh'), inputs.x!) },
      }),
    )
    const labels = await labelsOf(graph)
    expect(labels).toHaveLength(1)
    expect(labels[0]).toMatch(/^matmul/)
  })

  it('let a cache that grows by concatenation grow in one place', async () => {
    const row = { shape: [2, 1, 4], dtype: 'f32' } as const
    const graph = trace('grow', { a: row, b: row, c: row }, ({ a, b, c }) => {
      const two = F.concat([a!, b!], 1)
      const three = F.concat([two, c!], 1)
      return { outputs: { sum: F.add(F.reduceSum(two, [1]), F.reduceSum(three, [1])) } }
    })
    // a, b and c are copied once each.
    expect((await labelsOf(graph)).filter((label) => label === 'copy')).toHaveLength(3)
    const values = new RandomTensors(5)
    const inputs = { a: values.normal(row.shape), b: values.normal(row.shape), c: values.normal(row.shape) }
    const results = await Promise.all([webgpu(), reference()].map(async (made) => sumOf(await made, graph, inputs)))
    expect(maxError(results[0]!, results[1]!)).toBeLessThan(1e-6)
  })

  it('refuse one buffer as state and as another input', async () => {
    await using backend = await webgpu()
    const x = tensorOf([1, 2, 3])
    const graph = trace('sum', { state: x, x }, (inputs) => ({
      outputs: { state: F.add(inputs.state!, inputs.x!) },
      aliases: { state: 'state' },
    }))
    const buffer = backend.upload(x)
    const executable = await backend.compile(graph, new Map())
    await expect(executable.run({ state: buffer, x: buffer })).rejects.toMatchObject({ code: 'ARGUMENT' })
  })

  it('let keys and values grow by one kernel per step', async () => {
    const row = { shape: [1, 2, 1, 4], dtype: 'f32' } as const
    const graph = trace('grow', { k: row, v: row, a: row, b: row }, ({ k, v, a, b }) => {
      const [keys, values] = [F.concat([k!, a!], 2), F.concat([v!, b!], 2)]
      return { outputs: { keys, values, sum: F.reduceSum(F.mul(keys, values), [0, 1, 2, 3]) } }
    })
    expect((await labelsOf(graph)).filter((label) => label === 'copy')).toHaveLength(2)
  })

  // Per layer of a decode step: norm, q·k·v, [rotary,] attention, cache, projection, norm, MLP in two (GPT-2) or three.
  for (const [family, least] of [
    ['gpt2', 8],
    ['llama', 10],
    ['qwen2', 10],
  ] as const) {
    it(`take ${least} dispatches per layer of ${family}`, async () => {
      await using backend = await webgpu()
      const { decode, trajectory } = await dispatchesPerLayer(family, backend)
      expect([decode <= least, trajectory <= least]).toEqual([true, true])
    })
  }
})

async function sumOf(
  backend: Backend,
  graph: Graph,
  inputs: Parameters<typeof parametersOf>[0],
): Promise<Float32Array> {
  const executable = await backend.compile(graph, new Map())
  const given = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, backend.upload(tensor)]))
  return (await backend.download((await executable.run(given)).sum!)) as Float32Array
}

/** Of a step over a cache: kernels between the first two caches it writes. Of a trajectory: what one thought more adds. */
async function dispatchesPerLayer(
  family: RandomFamily,
  backend: Awaited<ReturnType<typeof webgpu>>,
): Promise<{ decode: number; trajectory: number }> {
  const labels: string[][] = []
  const watched = derivedBackend(backend, {
    async compile(graph, parameters) {
      const executable = await backend.compile(graph, parameters)
      labels.push(executable.steps.map(({ kernel }) => kernel.label))
      return executable
    },
  })
  const model = randomModel(family, watched)
  const cache = model.createCache(1, 16)
  for (let step = 0; step < 2; step++) await model.forward(cache, model.uploadIds([[3]], 1))
  const decode = labels.at(-1)!
  const writes = decode.flatMap((label, i) => (label === 'updateSlice' ? [i] : []))
  expect(writes).toHaveLength(2)
  for (const latents of [3, 4]) {
    await rollout({ main: model }, [[3, 1]], { latents, tokens: 1, stopIds: [], plan: 'trajectory' })
  }
  const [less, more] = labels.slice(-2).map((program) => program.length)
  // Around its two layers a thought takes its mask (3), its position as embedding or angles (3), the last norm, and a copy.
  const [AROUND, LAYERS] = [8, 2]
  return { decode: writes[1]! - writes[0]!, trajectory: (more! - less! - AROUND) / LAYERS }
}
