/** How long sessions and device tensors live, on a runtime that only writes down what is done to it. */

import { describe, expect, it } from 'vitest'
import { LocalEngine } from './engine.ts'
import type { Program } from './protocol.ts'
import type { Runtime } from './runtime.ts'

/** Sessions named after their models' bytes; every run of one gives one tensor, on the device or on the host. */
function recordingRuntime(location: 'gpu-buffer' | 'cpu'): { runtime: Runtime; log: string[] } {
  const log: string[] = []
  const create = async ([session]: Uint8Array): Promise<unknown> => ({
    run: async () => ({ '>y': { location, dispose: () => log.push(`free ${session}`) } }),
    release: async () => log.push(`release ${session}`),
  })
  return { runtime: { InferenceSession: { create } } as unknown as Runtime, log }
}

const program = (session: number): Program => ({
  name: `program ${session}`,
  model: Uint8Array.of(session),
  weightsRoot: '/',
  provider: 'webgpu',
  threads: 1,
  prepack: false,
  inputs: {},
  outputs: { y: '>y' },
  appended: [],
})

const run = (engine: LocalEngine, session: number, y: number): Promise<void> =>
  engine.run({ program: session, inputs: {}, outputs: { y } })

describe('a session', () => {
  it('outlives its results on the device', async () => {
    const { runtime, log } = recordingRuntime('gpu-buffer')
    const engine = new LocalEngine(runtime)
    await engine.compile(1, program(1))
    await run(engine, 1, 10)
    await run(engine, 1, 11)
    await engine.release(1)
    await engine.free([10])
    expect(log).toEqual(['free 1'])
    await engine.free([11])
    expect(log).toEqual(['free 1', 'free 1', 'release 1'])
  })

  it('ends when its last result is overwritten by that of another', async () => {
    const { runtime, log } = recordingRuntime('gpu-buffer')
    const engine = new LocalEngine(runtime)
    for (const session of [1, 2]) await engine.compile(session, program(session))
    await run(engine, 1, 10)
    await engine.release(1)
    await run(engine, 2, 10)
    expect(log).toEqual(['free 1', 'release 1'])
    await engine.close()
    expect(log).toEqual(['free 1', 'release 1', 'free 2', 'release 2'])
  })

  it('frees results before sessions at the end, each once', async () => {
    const { runtime, log } = recordingRuntime('gpu-buffer')
    const engine = new LocalEngine(runtime)
    for (const session of [1, 2]) await engine.compile(session, program(session))
    await run(engine, 1, 10)
    await run(engine, 2, 20)
    await engine.release(2)
    await engine.close()
    expect(log).toEqual(['free 1', 'free 2', 'release 2', 'release 1'])
  })

  it('does not wait for results on the host, which are copies', async () => {
    const { runtime, log } = recordingRuntime('cpu')
    const engine = new LocalEngine(runtime)
    await engine.compile(1, program(1))
    await run(engine, 1, 10)
    await engine.release(1)
    expect(log).toEqual(['release 1'])
  })
})
