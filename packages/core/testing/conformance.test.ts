import { describe, expect, it } from 'vitest'
import type { Backend, Buffer, Executable } from '../src/backend.ts'
import { ArgumentError } from '../src/errors.ts'
import { reference } from '../src/reference/backend.ts'
import type { OpName } from '../src/tensor/attributes.ts'
import type { Graph, Node } from '../src/tensor/graph.ts'
import { operations } from '../src/tensor/ops.ts'
import { ConformanceError, conformanceCases, testBackend } from './index.ts'

const named = (name: string): ReturnType<typeof conformanceCases>[number] => {
  const found = conformanceCases().find((entry) => entry.name === name)
  if (!found) throw new Error(`no case '${name}'`)
  return found
}

/** A reference backend whose graphs are changed before they are compiled. */
function distorted(change: (node: Node) => Node): Backend {
  const inner = reference()
  const distort = (graph: Graph): Graph => ({ ...graph, nodes: graph.nodes.map(change) })
  return { ...inner, compile: (graph, parameters) => inner.compile(distort(graph), parameters) }
}

const swapped = (from: OpName, to: OpName): Backend =>
  distorted((node) => (node.op === from ? ({ ...node, op: to } as Node) : node))

/** A reference backend whose runs are changed. */
function meddled(
  run: (
    executable: Executable,
    inputs: Readonly<Record<string, Buffer>>,
    backend: Backend,
  ) => Promise<Record<string, Buffer>>,
): Backend {
  const inner = reference()
  return {
    ...inner,
    async compile(graph, parameters) {
      const executable = await inner.compile(graph, parameters)
      return { run: (inputs) => run(executable, inputs, inner), dispose: () => executable.dispose() }
    },
  }
}

describe('the suite finds', () => {
  const faults: readonly (readonly [string, string, () => Backend])[] = [
    ['a wrong operation', 'maximum: f32, broadcasting', () => swapped('maximum', 'minimum')],
    [
      'the other GELU',
      'gelu, silu: shapes',
      () =>
        distorted((node) => (node.op === 'gelu' ? ({ ...node, attributes: { approximate: 'none' } } as Node) : node)),
    ],
    ['a comparison that is off by equality', 'less: f32 and i32, broadcasting', () => swapped('less', 'lessEqual')],
    [
      'aliased outputs in fresh storage',
      'alias: the output is the input buffer, with new contents',
      () =>
        meddled(async (executable, inputs, backend) => {
          const outputs = await executable.run(inputs)
          const copies = Object.entries(outputs).map(async ([name, buffer]) => {
            const data = await backend.download(buffer)
            return [name, backend.upload({ shape: buffer.shape, dtype: buffer.dtype, data })] as const
          })
          return Object.fromEntries(await Promise.all(copies))
        }),
    ],
    [
      'one buffer for two outputs',
      'storage: one computed value as two outputs',
      () =>
        meddled(async (executable, inputs) => {
          const outputs = await executable.run(inputs)
          return outputs.a && outputs.b ? { ...outputs, b: outputs.a } : outputs
        }),
    ],
    [
      'results that later runs overwrite',
      'storage: results of earlier runs stay',
      () => {
        const kept = new Map<Executable, Record<string, Buffer>>()
        return meddled(async (executable, inputs) => {
          const outputs = await executable.run(inputs)
          const first = kept.get(executable)
          if (!first) kept.set(executable, outputs)
          for (const [name, buffer] of Object.entries(first ?? {})) {
            ;(buffer as unknown as { replace(data: unknown): void }).replace(
              (outputs[name] as unknown as { contents: unknown }).contents,
            )
          }
          return first ?? outputs
        })
      },
    ],
    [
      'an input that is not checked',
      'errors: inputs that are missing, of another type, or of another backend',
      () => meddled(async (executable, inputs) => executable.run({ ...inputs, y: inputs.y ?? inputs.x! })),
    ],
    [
      'a backend that lives on',
      'dispose: the backend refuses work afterwards',
      () => ({ ...reference(), dispose: async () => {} }),
    ],
  ]

  for (const [fault, name, create] of faults) {
    it(`${fault}: ${name}`, async () => {
      await named(name).run(reference())
      await expect(named(name).run(create())).rejects.toThrow(ConformanceError)
    })
  }
})

describe('conformanceCases', () => {
  it('have different names and use every operation', async () => {
    const names = conformanceCases().map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    const used = new Set<OpName>()
    const inner = reference()
    const watching: Backend = {
      ...inner,
      compile(graph, parameters) {
        for (const { op } of graph.nodes) used.add(op)
        return inner.compile(graph, parameters)
      },
    }
    const quick = conformanceCases().filter(({ name }) => !/many|more than|beyond|large|dispose/.test(name))
    for (const { run } of quick) await run(watching)
    expect([...used].sort()).toEqual(Object.keys(operations).sort())
  })

  it('accept looser results where the backend says so', async () => {
    const name = 'tanh: shapes'
    const rough = distorted((node) => (node.op === 'tanh' ? ({ ...node, op: 'erf' } as Node) : node))
    await expect(named(name).run(rough)).rejects.toThrow(ConformanceError)
    const tolerances = { pointwise: { absolute: 0.2, relative: 0 } }
    await conformanceCases({ tolerances })
      .find((entry) => entry.name === name)!
      .run(rough)
  })

  it('must fail where they are excused, and say why in their name', async () => {
    const excused = { 'maximum: f32, broadcasting': 'no maxima yet' }
    const entry = conformanceCases({ excused }).find(({ name }) => name.startsWith('maximum: f32'))!
    expect(entry.name).toBe('maximum: f32, broadcasting (excused: no maxima yet)')
    await entry.run(swapped('maximum', 'minimum'))
    await expect(entry.run(reference())).rejects.toThrow(/excused, but it passes/)
  })

  it('refuse excuses for no case', () => {
    expect(() => conformanceCases({ excused: { 'maximum: f32': 'a slip' } })).toThrow(ArgumentError)
  })
})

describe('testBackend', () => {
  it('registers every case, and makes one backend when the first one runs', async () => {
    const registered: { name: string; run: () => Promise<void> }[] = []
    let created = 0
    const create = (): Backend => {
      created++
      return reference()
    }
    testBackend('mine', create, { test: (name, run) => registered.push({ name, run }) })
    expect(registered.map(({ name }) => name)).toEqual(conformanceCases().map(({ name }) => `mine › ${name}`))
    expect(created).toBe(0)
    for (const { run } of registered.slice(0, 3)) await run()
    expect(created).toBe(1)
    expect(registered.at(-1)!.name).toMatch(/dispose: the backend/)
  })
})
