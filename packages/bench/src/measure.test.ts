import { AbortedError } from '@afterthought/core'
import { expect, test } from 'vitest'
import { compare, spreadOf } from './measure.ts'

test('the median of an even number lies between', () => {
  expect(spreadOf([3])).toEqual({ median: 3, min: 3, max: 3 })
  expect(spreadOf([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 })
  expect(spreadOf([4, 1, 2, 100])).toEqual({ median: 3, min: 1, max: 100 })
})

test('contenders take turns, and ratios are those of neighbours', async () => {
  const calls: string[] = []
  let drift = 1
  const sample = (name: string, value: number) => async () => {
    calls.push(name)
    return { value: value * drift }
  }
  const theirs = sample('theirs', 10)
  const result = await compare(
    sample('ours', 5),
    async () => {
      const run = await theirs()
      drift *= 3 // the machine slows down between pairs, and both with it
      return run
    },
    { pairs: 3, patience: 0 },
  )
  expect(calls).toEqual(['ours', 'theirs', 'ours', 'theirs', 'ours', 'theirs'])
  expect(result.ours).toEqual({ median: 15, min: 5, max: 45 })
  expect(result.theirs).toEqual({ median: 30, min: 10, max: 90 })
  expect(result.ratio).toEqual({ median: 0.5, min: 0.5, max: 0.5 })
  expect(result.disturbance).toBeGreaterThanOrEqual(0)
  expect(result.disturbance).toBeLessThanOrEqual(1)
})

test("processor time of the contenders' own processes is no disturbance", async () => {
  const sample = async () => ({ value: 1, foreignCpuMs: 1e6 })
  expect((await compare(sample, sample, { pairs: 2, patience: 0 })).disturbance).toBe(0)
})

test('stops between pairs', async () => {
  const sample = async () => ({ value: 1 })
  const signal = AbortSignal.abort()
  await expect(compare(sample, sample, { pairs: 2, patience: 0, signal })).rejects.toThrow(AbortedError)
})
