import { describe, expect, it } from 'vitest'
import { maxError, RandomTensors, tensorOf } from '../../testing/index.ts'
import { referenceResults } from '../../testing/trial.ts'
import { ShapeError } from '../errors.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant, trace } from '../tensor/trace.ts'
import type { HostTensor } from '../tensor/types.ts'
import type { KeyValues, TracedCache } from './cache.ts'
import { attentionBias, fixedCache, growingCache, positionsOf } from './cache.ts'

const CAPACITY = 7
const start = tensorOf([0, 2, 5], [3], 'i32')
const random = new RandomTensors(1)
const storage = { k: random.normal([3, 2, CAPACITY, 4]), v: random.normal([3, 2, CAPACITY, 4]) }

/** Evaluates tensors that are traced over a cache of three rows with 0, 2 and 5 slots of padding. */
async function evaluate(
  body: (inputs: Readonly<Record<string, Tensor>>) => Record<string, Tensor>,
  inputs: Record<string, HostTensor> = {},
): Promise<Record<string, HostTensor>> {
  const given = { start, length: tensorOf([4], [], 'i32'), ...storage, ...inputs }
  return referenceResults(
    trace('cache', given, (values) => ({ outputs: body(values) })),
    given,
  )
}

const stored = ({ k, v }: Readonly<Record<string, Tensor>>): KeyValues[] => [{ k: k!, v: v! }]

describe('positions', () => {
  it('count from the first real slot, and are 0 on padding', async () => {
    const { fresh, later } = await evaluate((inputs) => ({
      fresh: positionsOf(growingCache(inputs.start!), 6),
      later: positionsOf(fixedCache(inputs.start!, stored(inputs), inputs.length!), 3),
    }))
    expect([...fresh!.data]).toEqual([0, 1, 2, 3, 4, 5, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0])
    expect([...later!.data]).toEqual([4, 5, 6, 2, 3, 4, 0, 0, 1])
  })
})

/** What new row `row` of batch entry `b` may see: written slots from the row's start on, and new rows up to itself. */
function visible(b: number, row: number, column: number, capacity: number, length: number): boolean {
  const slot = column < capacity ? column : length + column - capacity
  const exists = column >= capacity || column < length
  return exists && slot >= start.data[b]! && slot <= length + row
}

function expectMask({ shape, data }: HostTensor, capacity: number, length: number): void {
  const [batch, , rows, columns] = shape as [number, number, number, number]
  expect([batch, columns]).toEqual([3, capacity + rows])
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const bias = data[(b * rows + row) * columns + column]!
        const expected = visible(b, row, column, capacity, length) ? 0 : -3.4028234663852886e38
        expect(bias, `row ${row} of ${b}, column ${column}`).toBe(expected)
      }
    }
  }
}

describe('masks', () => {
  it('are causal and leave out padding', async () => {
    const { bias } = await evaluate((inputs) => ({ bias: attentionBias(growingCache(inputs.start!), 6) }))
    expectMask(bias!, 0, 0)
  })

  for (const rows of [1, 2, 3]) {
    it(`leave out slots that are not written yet: ${rows} rows behind 4 of 7`, async () => {
      const { bias } = await evaluate((inputs) => ({
        bias: attentionBias(fixedCache(inputs.start!, stored(inputs), inputs.length!), rows),
      }))
      expectMask(bias!, CAPACITY, 4)
    })
  }

  it('of a growing cache cover exactly its rows', async () => {
    const { bias } = await evaluate((inputs) => {
      const narrow = (x: Tensor): Tensor => F.narrow(x, 2, 0, 4)
      const past = stored(inputs).map(({ k, v }) => ({ k: narrow(k), v: narrow(v) }))
      return { bias: attentionBias(growingCache(inputs.start!, past), 2) }
    })
    expectMask(bias!, 4, 4)
  })
})

describe('fixed and growing caches', () => {
  const draws = new RandomTensors(2)
  const rows = (count: number): HostTensor => draws.normal([3, 2, count, 4])
  const inputs = Object.fromEntries(
    [3, 1, 2].flatMap((count, step) => ['q', 'k', 'v'].map((part) => [`${part}${step}`, rows(count)])),
  )
  const noPadding = tensorOf([0, 1, 2], [3], 'i32')

  /** Appends 3, 1 and 2 rows, attending at every step to all that went before. */
  function attend(cache: TracedCache, values: Readonly<Record<string, Tensor>>, kept: readonly number[]): Tensor[] {
    let current = cache
    return [0, 1, 2].map((step) => {
      const [q, k, v] = ['q', 'k', 'v'].map((part) => values[`${part}${step}`]!) as [Tensor, Tensor, Tensor]
      const mixed = F.attention(q, k, v, attentionBias(current, q.shape[2]!), 0.5, current.past?.[0])
      current = current.append([{ k, v }], kept[step]!)
      return mixed
    })
  }

  const compare = async (kept: readonly number[]): Promise<void> => {
    const results = await evaluate(
      (values) => {
        const empty = F.broadcastTo(constant(0), [3, 2, CAPACITY, 4])
        const fixed = fixedCache(values.start!, [{ k: empty, v: empty }], 0, true)
        const counted = fixedCache(values.start!, stored(values), F.mul(values.length!, 0), false)
        const outputs: Record<string, Tensor> = {}
        for (const [name, cache] of Object.entries({ growing: growingCache(values.start!), fixed, counted })) {
          attend(cache, values, kept).forEach((mixed, step) => (outputs[`${name}.${step}`] = mixed))
        }
        return outputs
      },
      { ...inputs, start: noPadding },
    )
    for (const step of [0, 1, 2]) {
      const data = (name: string): HostTensor => visibleRows(results[`${name}.${step}`]!, step, kept)
      expect(maxError(data('fixed').data, data('growing').data), `fixed, step ${step}`).toBeLessThan(1e-6)
      expect(maxError(data('counted').data, data('growing').data), `counted, step ${step}`).toBeLessThan(1e-6)
    }
  }

  /** Padding rows see nothing and average whatever there is: they are not compared. */
  function visibleRows(mixed: HostTensor, step: number, kept: readonly number[]): HostTensor {
    const [batch, heads, count, width] = mixed.shape as [number, number, number, number]
    const before = kept.slice(0, step).reduce((sum, each) => sum + each, 0)
    const data = mixed.data.slice() as Float32Array
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        for (let row = 0; row < count; row++) {
          const from = ((b * heads + h) * count + row) * width
          if (before + row < noPadding.data[b]!) data.fill(0, from, from + width)
        }
      }
    }
    return { ...mixed, data }
  }

  it('agree when all rows are kept', () => compare([3, 1, 2]))
  it('agree when only the first rows are kept', () => compare([2, 1, 1]))

  it('append: the growing cache has the rows written so far, the fixed one its capacity', () => {
    trace('append', { start, ...storage, ...inputs }, (values) => {
      const fresh = [{ k: values.k0!, v: values.v0! }]
      const growing = growingCache(values.start!).append(fresh, 2).append(fresh, 3)
      expect(growing.length).toBe(5)
      expect(growing.past![0]!.k.shape).toEqual([3, 2, 5, 4])
      const fixed = fixedCache(values.start!, stored(values), 0, true)
      expect(fixed.past).toBeUndefined()
      const longer = fixed.append(fresh, 2).append(fresh, 3)
      expect(longer.length).toBe(5)
      expect(longer.past![0]!.k.shape).toEqual([3, 2, CAPACITY, 4])
      return { outputs: {} }
    })
  })

  it('refuse more rows than there are', () => {
    expect(() =>
      trace('append', { start, ...inputs }, (values) => {
        growingCache(values.start!).append([{ k: values.k0!, v: values.v0! }], 4)
        return { outputs: {} }
      }),
    ).toThrow(ShapeError)
  })
})
