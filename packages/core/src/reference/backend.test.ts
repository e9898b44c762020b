import { expect, test } from 'vitest'
import { tensorOf, testBackend } from '../../testing/index.ts'
import { parameterOf } from '../../testing/tensors.ts'
import * as F from '../tensor/functional.ts'
import { parameter, trace } from '../tensor/trace.ts'
import { reference } from './backend.ts'

testBackend('reference', reference, { test })

test('reads each weight once, however many programs use it', async () => {
  const backend = reference()
  let reads = 0
  const weight = parameterOf(tensorOf([2, 3]))
  const read = (): ReturnType<typeof weight.read> => {
    reads++
    return weight.read()
  }
  const counted = { ...weight, read }
  const graph = trace('scaled', {}, () => ({ outputs: { y: F.mul(parameter('w', [2]), 2) } }))
  await Promise.all([1, 2, 3].map(() => backend.compile(graph, new Map([['w', counted]]))))
  await backend.compile(graph, new Map([['w', { ...counted }]]))
  expect(reads).toBe(1)
})

test('inputs may be disposed of as soon as a run has been called', async () => {
  const backend = reference()
  const x = tensorOf([1, 2])
  const graph = trace('double', { x }, (inputs) => ({ outputs: { y: F.mul(inputs.x!, 2) } }))
  const executable = await backend.compile(graph, new Map())
  const input = backend.upload(x)
  const running = executable.run({ x: input })
  input.dispose()
  const { y } = await running
  expect([...(await backend.download(y!))]).toEqual([2, 4])
})

test('indices out of range are refused by name', async () => {
  const backend = reference()
  const inputs = { table: tensorOf([1, 2, 3]), at: tensorOf([3], [], 'i32') }
  const graph = trace('look-up', inputs, ({ table, at }) => ({ outputs: { y: F.gather(table!, at!) } }))
  const executable = await backend.compile(graph, new Map())
  const buffers = { table: backend.upload(inputs.table), at: backend.upload(inputs.at) }
  await expect(executable.run(buffers)).rejects.toThrow(/gather: index out of range; expected 0 … 2, got 3/)
})
