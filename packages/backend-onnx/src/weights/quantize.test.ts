import { F, type HostTensor, parameter, trace } from '@afterthought/core'
import { parameterOf, RandomTensors, tensorOf } from '@afterthought/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OnnxBackend } from '../backend.ts'
import { createEngine } from '../engine/runtime.ts'
import { type Bits, quantize, quantizedLayoutOf } from './quantize.ts'
import { WeightStore } from './store.ts'

/** Codes and scales read back as [N, K]: an own reading of the format, column by column. */
async function dequantized(weight: HostTensor, transposed: boolean, bits: Bits): Promise<number[][]> {
  const layout = quantizedLayoutOf(weight.shape, transposed, bits)
  const bytes = await quantize(weight.data as Float32Array, layout)
  const scales = new Float32Array(bytes.buffer, layout.packedBytes)
  return Array.from({ length: layout.columns }, (_, n) =>
    Array.from({ length: layout.inner }, (_, k) => {
      const element = n * layout.blocks * layout.block + k
      const byte = bytes[(element * bits) >> 3]!
      const code = bits === 8 ? byte : element % 2 === 0 ? byte & 15 : byte >> 4
      return (code - 2 ** (bits - 1)) * scales[n * layout.blocks + Math.floor(k / layout.block)]!
    }),
  )
}

const columnOf = ({ data, shape }: HostTensor, transposed: boolean, n: number): number[] =>
  transposed
    ? [...data.slice(n * shape[1]!, (n + 1) * shape[1]!)]
    : Array.from({ length: shape[0]! }, (_, k) => data[k * shape[1]! + n]!)

describe.each([4, 8] as const)('%i bits', (bits) => {
  it.each([
    [[5, 64], true],
    [[64, 5], false],
    [[3, 37], true],
    [[37, 3], false],
    [[1, 1], true],
  ] as const)(
    '%j, transposed %s: every element within half a step, or one step at the far end',
    async (shape, transposed) => {
      const weight = new RandomTensors(bits).normal(shape, 0.3)
      const values = await dequantized(weight, transposed, bits)
      for (const [n, column] of values.entries()) {
        const exact = columnOf(weight, transposed, n)
        for (let k = 0; k < exact.length; k++) {
          const from = k - (k % 32)
          const step = Math.max(...exact.slice(from, from + 32).map(Math.abs)) / 2 ** (bits - 1)
          expect(Math.abs(column[k]! - exact[k]!)).toBeLessThanOrEqual(step * 1.0001)
          if (Math.abs(exact[k]!) < step * (2 ** (bits - 1) - 1)) {
            expect(Math.abs(column[k]! - exact[k]!)).toBeLessThanOrEqual((step / 2) * 1.0001)
          }
        }
      }
    },
  )

  it('keeps zeros and multiples of the step exactly', async () => {
    const weight = tensorOf(
      Array.from({ length: 32 }, (_, i) => (i % 8) - 8),
      [1, 32],
    )
    expect((await dequantized(weight, true, bits))[0]).toEqual([...weight.data])
    expect((await dequantized(tensorOf(new Array(64).fill(0), [2, 32]), true, bits)).flat().every((x) => x === 0)).toBe(
      true,
    )
  })
})

describe('MatMulNBits', () => {
  const backends = new Map<Bits, OnnxBackend>()
  beforeAll(async () => {
    for (const bits of [4, 8] as const) {
      const settings = { provider: 'cpu', threads: 1, prepack: true } as const
      backends.set(bits, new OnnxBackend(await createEngine(), settings, new WeightStore(bits)))
    }
  })
  afterAll(async () => {
    for (const backend of backends.values()) await backend.dispose()
  })

  // Activations are rounded to 8 bits per block: a hundredth of the largest product, at most, for these sizes.
  it.each([
    [4, 1, 96, true],
    [4, 7, 37, false],
    [8, 1, 37, true],
    [8, 6, 128, false],
  ] as const)(
    '%i bits, %i rows, K = %i, transposed %s: the product with the dequantised weight',
    async (bits, rows, inner, transposed) => {
      const columns = 29
      const random = new RandomTensors(7)
      const weight = random.normal(transposed ? [columns, inner] : [inner, columns], 0.2)
      const bias = random.normal([columns], 1)
      const x = random.normal([1, rows, inner], 1)
      const graph = trace('product', { x }, (inputs) => {
        const product = F.matmul(inputs.x!, parameter('w', weight.shape), { transposeB: transposed })
        return { outputs: { y: F.add(product, parameter('b', [columns])) } }
      })
      const backend = backends.get(bits)!
      const executable = await backend.compile(
        graph,
        new Map([
          ['w', parameterOf(weight)],
          ['b', parameterOf(bias)],
        ]),
      )
      const { y } = await executable.run({ x: backend.upload(x) })
      const actual = await backend.download(y!)
      const values = await dequantized(weight, transposed, bits)
      const expected = Array.from({ length: rows * columns }, (_, i) => {
        const [row, n] = [Math.floor(i / columns), i % columns]
        return values[n]!.reduce((sum, w, k) => sum + w * x.data[row * inner + k]!, bias.data[n]!)
      })
      const largest = Math.max(...expected.map(Math.abs))
      expected.forEach((value, i) => expect(Math.abs(actual[i]! - value)).toBeLessThan(0.02 * largest))
    },
  )
})
