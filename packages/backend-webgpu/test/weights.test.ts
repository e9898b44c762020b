import { F, type Graph, type HostTensor, parameter, reference, trace } from '@afterthought/core'
import { maxError, parametersOf, RandomTensors, tensorOf } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { encode, halfBits, halfValue } from '../src/device/encode.ts'
import { type WeightFormat, webgpu } from '../src/index.ts'
import { kernelVariants } from './device.ts'

describe('half precision', () => {
  it('has the bits of IEEE 754, ties to even, at every border', () => {
    const known: readonly [number, number][] = [
      [0, 0x0000],
      [-0, 0x8000],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65519.99, 0x7bff],
      [65520, 0x7c00],
      [Number.POSITIVE_INFINITY, 0x7c00],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [2 ** -25 * 1.01, 0x0001],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [0.1, 0x2e66],
    ]
    for (const [value, bits] of known) expect([value, halfBits(value)]).toEqual([value, bits])
    expect(halfValue(halfBits(Number.NaN))).toBeNaN()
  })

  it('keeps every finite value of 16 bits', () => {
    for (let bits = 0; bits < 0x7c00; bits++) {
      expect(halfBits(halfValue(bits))).toBe(bits)
      expect(halfBits(halfValue(bits | 0x8000))).toBe(bits | 0x8000)
    }
  })
})

/** What the stored bits stand for, in plain arithmetic. */
function decode(data: Float32Array, format: WeightFormat): Float32Array {
  if (format === 'f32') return data
  const { values, scales } = encode(data, format)
  if (format === 'f16') return Float32Array.from(values, halfValue)
  const level = (i: number): number => (format === 'int8' ? values[i]! : ((values[i >> 1]! >> (4 * (i & 1))) & 15) - 8)
  return Float32Array.from(data, (_, i) => level(i) * halfValue(scales![i >> 5]!))
}

describe('blocks of integers', () => {
  it('are within half a level of the weights', () => {
    const { data } = new RandomTensors(3).normal([64, 32])
    for (const [format, levels] of [
      ['int8', 127],
      ['int4', 7],
    ] as const) {
      const decoded = decode(data as Float32Array, format)
      for (let block = 0; block < 64; block++) {
        const own = (data as Float32Array).subarray(block * 32, block * 32 + 32)
        const largest = Math.max(...own.map(Math.abs))
        expect(maxError(decoded.subarray(block * 32, block * 32 + 32), own)).toBeLessThan((largest / levels) * 1.01)
      }
    }
  })

  it('give zeros for zeros', () => {
    for (const format of ['int8', 'int4'] as const) {
      expect([...decode(new Float32Array(32), format)].every((value) => value === 0)).toBe(true)
    }
  })
})

/** Tied table, projections the other way round, several of one input, with biases: every way a model reads weights. */
function program(rows: number): {
  graph: Graph
  inputs: Record<string, HostTensor>
  weights: Record<string, HostTensor>
} {
  const random = new RandomTensors(rows)
  const inputs = { ids: random.integers([rows], 0, 37), x: random.normal([rows, 64]) }
  const weights = {
    table: random.normal([37, 64]),
    q: random.normal([96, 64], 0.2),
    k: random.normal([33, 64], 0.2),
    'q.bias': random.normal([96]),
    'k.bias': random.normal([33]),
    out: random.normal([96, 64], 0.2),
  }
  const graph = trace('weights', inputs, ({ ids, x }) => {
    const table = parameter('table', [37, 64])
    const value = F.add(F.gather(table, ids!), x!)
    const project = (name: string, columns: number) =>
      F.add(F.matmul(value, parameter(name, [columns, 64]), { transposeB: true }), parameter(`${name}.bias`, [columns]))
    const y = F.add(F.matmul(F.silu(project('q', 96)), parameter('out', [96, 64])), value)
    return { outputs: { y, k: project('k', 33), logits: F.matmul(y, table, { transposeB: true }) } }
  })
  return { graph, inputs, weights }
}

const matrices = ['table', 'q', 'k', 'out']

/** The same weights as the format holds them; those that are stored the other way round are quantised that way. */
function stored(name: string, tensor: HostTensor, format: WeightFormat): HostTensor {
  if (!matrices.includes(name)) return tensor
  const data = tensor.data as Float32Array
  if (name !== 'out') return { ...tensor, data: decode(data, format) }
  const [rows, columns] = tensor.shape as [number, number]
  const swap = (from: Float32Array, r: number, c: number): Float32Array =>
    Float32Array.from(from, (_, i) => from[(i % r) * c + Math.floor(i / r)]!)
  return { ...tensor, data: swap(decode(swap(data, rows, columns), format), columns, rows) }
}

describe('weights in every format', () => {
  for (const [name, kernels] of Object.entries(kernelVariants)) {
    for (const dtype of ['f32', 'f16', 'int8', 'int4'] as const) {
      it(`${dtype}, kernels ${name}: what the stored numbers give, for 1, 5, 8 and 35 rows, whole and in slabs`, async () => {
        for (const maxBindingBytes of [undefined, 4096]) {
          await using backend = await webgpu({
            dtype,
            kernels: { ...kernels, ...(maxBindingBytes && { maxBindingBytes }) },
          })
          for (const rows of maxBindingBytes ? [5] : [1, 5, 8, 35]) {
            const { graph, inputs, weights } = program(rows)
            const expected = reference()
            const decoded = Object.fromEntries(
              Object.entries(weights).map(([key, tensor]) => [key, stored(key, tensor, dtype)]),
            )
            const [plain, packed] = [
              await expected.compile(graph, parametersOf(decoded)),
              await backend.compile(graph, parametersOf(weights)),
            ]
            const slabs = packed.steps.filter(({ kernel }) => kernel.label.startsWith('matmul')).length
            if (maxBindingBytes && dtype === 'f32') expect(slabs).toBeGreaterThan(12)
            const upload = (to: typeof expected) =>
              Object.fromEntries(Object.entries(inputs).map(([key, tensor]) => [key, to.upload(tensor)]))
            const wanted = await plain.run(upload(expected))
            const actual = await packed.run(upload(backend))
            for (const key of ['y', 'k', 'logits']) {
              const error = maxError(await backend.download(actual[key]!), await expected.download(wanted[key]!))
              expect([key, rows, error < 2e-4]).toEqual([key, rows, true])
            }
          }
        }
      })
    }
  }

  it('rows that no index may name come back as NaN', async () => {
    for (const dtype of ['f32', 'int8'] as const) {
      await using backend = await webgpu({ dtype })
      const ids = tensorOf([0, 37, -1, 36], [4], 'i32')
      const graph = trace('gather', { ids }, (inputs) => ({
        outputs: { y: F.gather(parameter('table', [37, 32]), inputs.ids!) },
      }))
      const executable = await backend.compile(graph, parametersOf({ table: new RandomTensors(1).normal([37, 32]) }))
      const { y } = await executable.run({ ids: backend.upload(ids) })
      const data = (await backend.download(y!)) as Float32Array
      expect([0, 1, 2, 3].map((row) => Number.isNaN(data[row * 32]!))).toEqual([false, true, true, false])
    }
  })
})
