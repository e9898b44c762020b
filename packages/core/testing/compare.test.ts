import { describe, expect, it } from 'vitest'
import { FormatError } from '../src/errors.ts'
import { writeSafetensors } from '../src/io/safetensors.ts'
import { allclose, ConformanceError, expectClose, goldenTensor, maxError, readTensors, tensorOf } from './index.ts'
import { parameterOf, RandomTensors } from './tensors.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

describe('maxError', () => {
  it('is the largest difference', () => {
    expect(maxError([1, 2, 3], [1, 2.5, 2])).toBe(1)
    expect(maxError([], [])).toBe(0)
  })

  it('takes NaN and infinities for themselves, and for infinitely wrong otherwise', () => {
    expect(maxError([nan, inf, -inf], [nan, inf, -inf])).toBe(0)
    for (const [actual, expected] of [
      [nan, 1],
      [1, nan],
      [inf, 1],
      [inf, -inf],
      [nan, inf],
    ]) {
      expect(maxError([actual!], [expected!])).toBe(inf)
      expect(allclose([actual!], [expected!], { absolute: 1e9, relative: 1e9 })).toBe(false)
    }
    expect(maxError([1], [1, 2])).toBe(inf)
  })
})

describe('allclose', () => {
  it('adds the absolute and the relative bound', () => {
    const tolerance = { absolute: 0.1, relative: 0.01 }
    expect(allclose([101.09], [100], tolerance)).toBe(true)
    expect(allclose([101.11], [100], tolerance)).toBe(false)
    expect(allclose([0.09, -0.09], [0, 0], tolerance)).toBe(true)
    expect(allclose([0, 0], [0], tolerance)).toBe(false)
  })
})

describe('expectClose', () => {
  const close = (actual: ReturnType<typeof tensorOf>, expected: ReturnType<typeof tensorOf>): (() => void) => {
    return () => expectClose(actual, expected, { absolute: 0.5, relative: 0 }, 'here')
  }

  it('names the worst element and how many differ', () => {
    expect(close(tensorOf([1, 2, 3, 4]), tensorOf([1, 3, 9, 4]))).toThrow(
      /here: f32\[4\] at element 2: 2 of 4 elements differ; expected 9 .*, got 3/,
    )
  })

  it('compares integers and truth values exactly, and types first', () => {
    expect(close(tensorOf([1.4]), tensorOf([1]))).not.toThrow()
    expect(close(tensorOf([2], [1], 'i32'), tensorOf([1], [1], 'i32'))).toThrow(ConformanceError)
    expect(close(tensorOf([1, 2]), tensorOf([1, 2], [2, 1]))).toThrow(/expected f32\[2,1\].* got f32\[2\]/)
    expect(close(tensorOf([1], [1], 'i32'), tensorOf([1]))).toThrow(/another type/)
  })
})

describe('random tensors and weights', () => {
  it('are the same for equal seeds, and named by their contents', () => {
    const [a, b, c] = [1, 1, 2].map((seed) => new RandomTensors(seed).normal([5]))
    expect(a).toEqual(b)
    expect(a!.data).not.toEqual(c!.data)
    expect(parameterOf(a!).identity).toBe(parameterOf(b!).identity)
    expect(parameterOf(a!).identity).not.toBe(parameterOf(c!).identity)
  })
})

describe('goldens', () => {
  it('reads tensors of a safetensors file', async () => {
    const tensors = { a: tensorOf([1, 2], [1, 2]), ids: tensorOf([3], [1], 'i32') }
    const found = await readTensors(writeSafetensors(new Map(Object.entries(tensors))))
    expect(Object.fromEntries(found)).toEqual(tensors)
  })

  it('reads arrays and numbers of a JSON file, and refuses others by name', () => {
    const golden = {
      loss: 0.5,
      grad: { shape: [2], data: [1, 2] },
      zero: { shape: [], data: 3 },
      short: { shape: [3], data: [1] },
    }
    expect(goldenTensor(golden, 'loss')).toEqual(tensorOf([0.5], []))
    expect(goldenTensor(golden, 'grad')).toEqual(tensorOf([1, 2]))
    expect(goldenTensor(golden, 'zero')).toEqual(tensorOf([3], []))
    for (const name of ['short', 'none']) expect(() => goldenTensor(golden, name)).toThrow(FormatError)
    expect(() => goldenTensor(null, 'loss')).toThrow(/loss/)
  })
})
