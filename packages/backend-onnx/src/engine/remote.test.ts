import { Worker } from 'node:worker_threads'
import { ArgumentError, BackendError, DisposedError, F, trace } from '@afterthought/core'
import { tensorOf } from '@afterthought/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OnnxBackend } from '../backend.ts'
import { onnx } from '../onnx.ts'
import { packError, unpackError } from './protocol.ts'
import { RemoteEngine } from './remote.ts'

const dying = (program: string): RemoteEngine => new RemoteEngine(new Worker(program, { eval: true }))

describe('a thread that dies', () => {
  it('fails the calls under way and all later ones', async () => {
    const engine = dying("require('worker_threads').parentPort.once('message', () => process.exit(7))")
    const calls = [engine.download(1), engine.download(2)]
    for (const call of calls) await expect(call).rejects.toThrow(BackendError)
    await expect(engine.download(3)).rejects.toThrow('code 7')
    await engine.close()
  })

  it('says what it died of', async () => {
    const engine = dying("throw new Error('out of luck')")
    await expect(engine.tryProvider('cpu')).rejects.toThrow('out of luck')
  })
})

it('errors keep class, message and parts', () => {
  const error = new ArgumentError('wrong', { where: 'here', expected: '1', actual: '2', hint: 'Try 1' })
  const copy = unpackError(structuredClone(packError(error)))
  expect(copy).toBeInstanceOf(ArgumentError)
  expect(copy).toMatchObject({ message: error.message, code: 'ARGUMENT', where: 'here', expected: '1', hint: 'Try 1' })
  expect(unpackError(packError(new TypeError('x')))).toBeInstanceOf(BackendError)
})

describe('work in another thread', () => {
  let backend: OnnxBackend
  beforeAll(async () => {
    backend = (await onnx({ provider: 'cpu', threads: 1 })) as OnnxBackend
  })
  afterAll(() => backend.dispose())

  const matrix = tensorOf(new Array(512 * 512).fill(0.01), [512, 512])
  const heavy = trace('heavy', { x: matrix }, ({ x }) => {
    let y = x!
    for (let i = 0; i < 40; i++) y = F.tanh(F.matmul(y, x!))
    return { outputs: { y } }
  })

  it('leaves the event loop alive', async () => {
    const executable = await backend.compile(heavy, new Map())
    const x = backend.upload(matrix)
    let [turns, longest, last] = [0, 0, performance.now()]
    const timer = setInterval(() => {
      turns++
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 1)
    const begin = performance.now()
    await executable.run({ x })
    const took = performance.now() - begin
    clearInterval(timer)
    expect(turns).toBeGreaterThan(3)
    expect(longest).toBeLessThan(took / 2)
  })

  it('keeps the order of calls that nobody waits for', async () => {
    const step = await backend.compile(
      trace('step', { x: tensorOf([0]) }, ({ x }) => ({ outputs: { y: F.add(F.mul(x!, 2), 1) }, aliases: { y: 'x' } })),
      new Map(),
    )
    const x = backend.upload(tensorOf([0]))
    const runs = [step.run({ x }), step.run({ x }), step.run({ x })]
    expect([...(await backend.download(x))]).toEqual([7])
    await Promise.all(runs)
  })

  it('fails calls that wait when it is disposed of', async () => {
    const other = await onnx({ provider: 'cpu', threads: 1 })
    const x = other.upload(tensorOf([1]))
    await other.dispose()
    await expect(other.download(x)).rejects.toThrow(DisposedError)
  })
})
