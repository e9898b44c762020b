import { describe, expect, it } from 'vitest'
import { differentiable, gradientProgram } from '../../testing/differentiable.ts'
import { RandomTensors, tensorOf } from '../../testing/index.ts'
import { referenceResults } from '../../testing/trial.ts'
import { gradient } from '../autodiff/gradient.ts'
import type { Backend, Executable } from '../backend.ts'
import { DisposedError, GraphError, ShapeError, UnsupportedOpError } from '../errors.ts'
import { reference } from '../reference/backend.ts'
import type { OpName } from '../tensor/attributes.ts'
import * as F from '../tensor/functional.ts'
import type { Graph, Node, Tensor } from '../tensor/graph.ts'
import { operations, primitives } from '../tensor/ops.ts'
import { builder, constant, parameter, trace } from '../tensor/trace.ts'
import type { HostTensor } from '../tensor/types.ts'
import { ExecutableCache } from './cache.ts'
import { lower } from './lower.ts'
import { eliminateDeadCode, optimize } from './optimize.ts'
import { printGraph } from './print.ts'
import { verify } from './verify.ts'

const x = new RandomTensors(1).normal([3, 5])
const ops = (graph: Graph): OpName[] => graph.nodes.map(({ op }) => op)

/** Evaluates a graph of primitives as it stands, without any pass. */
function evaluate(graph: Graph, inputs: Readonly<Record<string, HostTensor>>): Record<string, number[]> {
  const values = new Map<Tensor, HostTensor>()
  for (const { name, value } of graph.inputs) values.set(value, inputs[name]!)
  for (const { value, data } of graph.constants) values.set(value, { ...value, data })
  for (const node of graph.nodes) {
    const operation = operations[node.op]
    if (!('evaluate' in operation)) throw new Error(`${node.op} is no primitive`)
    const operands = node.inputs.map((input) => values.get(input)!)
    const results = operation.evaluate(operands, node.attributes, node.outputs)
    node.outputs.forEach((output, i) => values.set(output, { ...output, data: results[i]! }))
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, [...values.get(value)!.data]]))
}

describe('lower', () => {
  const graph = trace('mixed', { x }, (inputs) => ({
    outputs: { y: F.softmax(F.gelu(inputs.x!, 'tanh')), z: F.stopGradient(F.crossEntropy(inputs.x!, F.iota(3))) },
  }))

  it('leaves only operations of the backend', () => {
    expect(ops(lower(graph, primitives)).every((op) => primitives.has(op))).toBe(true)
    const some = new Set<OpName>([...primitives, 'softmax', 'logSoftmax'])
    const lowered = ops(lower(graph, some))
    expect(lowered.filter((op) => op === 'softmax')).toHaveLength(1)
    expect(lowered.filter((op) => op === 'logSoftmax')).toHaveLength(1)
    expect(lowered.every((op) => some.has(op))).toBe(true)
  })

  it("spells composites out until only the backend's own remain: attention keeps a native softmax", () => {
    const q = new RandomTensors(2).normal([1, 2, 3, 4])
    const attention = trace('attention', { q }, (inputs) => {
      const bias = constant(new Array(9).fill(0), [1, 1, 3, 3])
      return { outputs: { y: F.attention(inputs.q!, inputs.q!, inputs.q!, bias, 0.5) } }
    })
    const withSoftmax = new Set<OpName>([...primitives, 'softmax'])
    expect(ops(lower(attention, withSoftmax))).toContain('softmax')
    expect(ops(lower(attention, primitives))).not.toContain('softmax')
    expect(ops(lower(attention, new Set<OpName>([...primitives, 'attention'])))).toEqual(['attention'])
  })

  it('refuses a backend that lacks a primitive, by its name', () => {
    const lacking = new Set([...primitives].filter((op) => op !== 'reduceMax'))
    expect(() => lower(graph, lacking)).toThrow(UnsupportedOpError)
    expect(() => lower(graph, lacking)).toThrow(/reduceMax/)
  })

  it('keeps inputs, names and aliases', () => {
    const state = trace('state', { unused: x, state: x }, (inputs) => ({
      outputs: { state: F.softmax(inputs.state!) },
      aliases: { state: 'state' },
    }))
    const lowered = lower(state, primitives)
    expect(lowered.inputs.map(({ name }) => name)).toEqual(['unused', 'state'])
    expect(lowered.outputs).toMatchObject([{ name: 'state', alias: 'state' }])
  })
})

describe('passes give the same numbers, bit by bit', () => {
  for (const [i, step] of differentiable().entries()) {
    it(`${i}: gradient of ${step.op}`, () => {
      const { graph, inputs } = gradientProgram(step)
      const plain = lowerOnly(graph)
      const before = evaluate(plain, inputs)
      for (const pass of [optimize, eliminateDeadCode]) {
        const after = pass(plain)
        verify(after)
        expect(after.nodes.length).toBeLessThanOrEqual(plain.nodes.length)
        // −0 + 0 is 0: equal, though not in bits.
        for (const [name, values] of Object.entries(evaluate(after, inputs))) {
          expect(values.map((value) => value + 0)).toEqual(before[name]!.map((value) => value + 0))
        }
      }
    })
  }
})

/** Decompositions without any pass, by tracing them again. */
function lowerOnly(graph: Graph): Graph {
  let result = graph
  while (!result.nodes.every(({ op }) => primitives.has(op))) result = spellOutOnce(result)
  return result
}

function spellOutOnce(graph: Graph): Graph {
  const specs = Object.fromEntries(graph.inputs.map(({ name, value }) => [name, value]))
  return trace(graph.name, specs, (inputs) => {
    const mapped = new Map<Tensor, Tensor>(graph.inputs.map(({ name, value }) => [value, inputs[name]!]))
    for (const { value, data } of graph.constants) mapped.set(value, constant(data, value.shape, value.dtype))
    for (const node of graph.nodes) {
      const operands = node.inputs.map((input) => mapped.get(input)!)
      const operation = operations[node.op]
      const results = 'decompose' in operation ? operation.decompose(operands, node.attributes) : again(node, operands)
      node.outputs.forEach((output, i) => mapped.set(output, results[i]!))
    }
    return { outputs: Object.fromEntries(graph.outputs.map(({ name, value }) => [name, mapped.get(value)!])) }
  })
}

function again({ op, attributes }: Node, operands: readonly Tensor[]): readonly Tensor[] {
  return builder().apply(op, operands, attributes as never)
}

describe('optimize', () => {
  const optimized = (body: (input: Tensor) => Record<string, Tensor>): Graph =>
    optimize(trace('program', { x }, (inputs) => ({ outputs: body(inputs.x!) })))

  it('shares equal expressions, whatever their constants', () => {
    const graph = optimized((y) => ({
      a: F.mul(F.exp(y), 2),
      b: F.mul(F.exp(y), 2),
    }))
    expect(ops(graph)).toEqual(['exp', 'mul'])
    const masks = optimized((y) => {
      const mask = (): Tensor => F.less(F.reshape(F.iota(5), [1, 5]), 3)
      return { a: F.where(mask(), y, 0), b: F.where(mask(), F.neg(y), 0) }
    })
    expect(ops(masks)).toEqual(['where', 'neg', 'where'])
  })

  it('tells attributes apart that JSON would not', () => {
    const graph = optimized((y) => ({
      low: F.pad(y, [0, 0], [1, 0], Number.NEGATIVE_INFINITY),
      high: F.pad(y, [0, 0], [1, 0], Number.POSITIVE_INFINITY),
      none: F.pad(y, [0, 0], [1, 0], Number.NaN),
      zero: F.pad(y, [0, 0], [1, 0], 0),
      minus: F.pad(y, [0, 0], [1, 0], -0),
    }))
    expect(ops(graph)).toEqual(['pad', 'pad', 'pad', 'pad', 'pad'])
  })

  it('folds what depends on constants alone', () => {
    const graph = optimized((y) => ({ z: F.mul(y, F.add(F.exp(constant(0)), F.sub(5, constant(4)))) }))
    expect(ops(graph)).toEqual(['mul'])
    expect(graph.constants.map(({ data }) => [...data])).toEqual([[2]])
  })

  it('does not fold into very large constants', () => {
    const graph = optimized(() => ({ z: F.broadcastTo(constant(1), [70_000]) }))
    expect(ops(graph)).toEqual(['broadcastTo'])
  })

  it('drops x + 0, x − 0, x · 1, x / 1 where the shape stays', () => {
    const neutral = optimized((y) => ({ a: F.div(F.mul(1, F.mul(F.sub(F.add(0, F.add(y, 0)), 0), 1)), 1) }))
    expect(neutral.nodes).toEqual([])
    const wider = optimized((y) => ({ a: F.add(y, constant(new Array(30).fill(0), [2, 3, 5])) }))
    expect(ops(wider)).toEqual(['add'])
    const kept = optimized((y) => ({ a: F.sub(0, y), b: F.div(1, y), c: F.add(y, -1e-30) }))
    expect(ops(kept)).toEqual(['sub', 'div', 'add'])
  })

  it('drops what no output needs, and keeps all inputs', () => {
    const graph = optimize(
      trace('dead', { x, unused: x }, (inputs) => {
        F.exp(F.matmul(inputs.x!, parameter('unused', [5, 5])))
        const [, indices] = F.topK(inputs.x!, 2)
        return { outputs: { indices } }
      }),
    )
    expect(ops(graph)).toEqual(['topK'])
    expect(graph.parameters).toEqual([])
    expect(graph.inputs).toHaveLength(2)
  })

  it('removes the repetition that differentiating a decomposition makes', () => {
    const graph = trace('gelu', { x }, (inputs) => {
      const y = F.gelu(inputs.x!, 'tanh')
      return { outputs: { y, slope: gradient(F.reduceSum(y, [0, 1]), [inputs.x!])[0]! } }
    })
    expect(ops(lower(graph, primitives)).filter((op) => op === 'tanh')).toHaveLength(1)
  })
})

describe('verify', () => {
  const good = (): Graph =>
    trace('program', { x, at: { shape: [], dtype: 'i32' } }, (inputs) => ({
      outputs: { y: F.mul(F.exp(inputs.x!), parameter('w', [5])), x: F.add(inputs.x!, 1) },
      aliases: { x: 'x' },
    }))

  it('accepts what tracing makes', () => {
    expect(() => verify(good())).not.toThrow()
  })

  const stranger: Tensor = { id: 99, shape: [3, 5], dtype: 'f32' }
  const node = (change: Partial<Node>): ((graph: Graph) => Graph) => {
    return (graph) => ({ ...graph, nodes: [{ ...graph.nodes[0]!, ...change } as Node, ...graph.nodes.slice(1)] })
  }

  const broken: readonly (readonly [string, (graph: Graph) => Graph, RegExp])[] = [
    ['an unknown operation', node({ op: 'conv' as never }), /node 0 \(conv\): unknown operation; .*got conv/],
    ['an operation named like a method', node({ op: 'toString' as never }), /node 0 \(toString\): unknown operation/],
    [
      'an undefined operand',
      node({ inputs: [stranger] }),
      /node 0 \(exp\): .*before it is defined; .*got %99: f32\[3,5\]/,
    ],
    [
      'operands that do not fit',
      node({ op: 'not' }),
      /not: operands do not fit; expected 1 of type bool, got f32\[3,5\]/,
    ],
    [
      'outputs of another shape',
      node({ outputs: [{ id: 50, shape: [3, 4], dtype: 'f32' }] }),
      /node 0 \(exp\): .*shape rule; expected f32\[3,5\], got f32\[3,4\]/,
    ],
    ['too few outputs', node({ outputs: [] }), /node 0 \(exp\): .*shape rule; expected f32\[3,5\], got /],
    [
      'a value defined twice',
      (graph) => ({ ...graph, nodes: [...graph.nodes, graph.nodes[0]!] }),
      /node 3 \(exp\): a value is defined twice; .*got %/,
    ],
    [
      'nodes out of order',
      (graph) => ({ ...graph, nodes: [...graph.nodes].reverse() }),
      /\(mul\): a value is used before it is defined/,
    ],
    [
      'extents that are no whole numbers',
      (graph) => ({ ...graph, inputs: [{ name: 'x', value: { id: 0, shape: [1.5], dtype: 'f32' } }] }),
      /input 'x': extents must be whole numbers; .*got f32\[1.5\]/,
    ],
    [
      'a constant that does not fill its shape',
      (graph) => ({ ...graph, constants: [{ value: graph.constants[0]!.value, data: Float32Array.of(1, 2) }] }),
      /constant %\d+: .*expected f32\[\], got 2 elements of f32/,
    ],
    [
      'a constant of another type',
      (graph) => ({ ...graph, constants: [{ value: graph.constants[0]!.value, data: Int32Array.of(1) }] }),
      /constant %\d+: .*expected f32\[\], got 1 elements of i32/,
    ],
    [
      'two inputs of one name',
      (graph) => ({ ...graph, inputs: [...graph.inputs, graph.inputs[0]!] }),
      /inputs: a name is given twice; .*got 'x' again/,
    ],
    [
      'two weights of one name',
      (graph) => ({ ...graph, parameters: [...graph.parameters, graph.parameters[0]!] }),
      /parameters: a name is given twice; .*got 'w' again/,
    ],
    [
      'two outputs of one name',
      (graph) => ({ ...graph, outputs: [...graph.outputs, graph.outputs[0]!] }),
      /outputs: a name is given twice; .*got 'y' again/,
    ],
    [
      'an output that nothing computes',
      (graph) => ({ ...graph, outputs: [{ name: 'y', value: stranger }] }),
      /output 'y': nothing computes this output; .*got %99: f32\[3,5\]/,
    ],
    [
      'an alias of no input',
      (graph) => ({ ...graph, outputs: [{ ...graph.outputs[0]!, alias: 'w' }] }),
      /output 'y': an alias of no input; expected an input, got 'w'/,
    ],
    [
      'an input aliased twice',
      (graph) => ({ ...graph, outputs: graph.outputs.map((output) => ({ ...output, alias: 'x' })) }),
      /output 'x': an input is aliased twice/,
    ],
    [
      'an alias of another type',
      (graph) => ({ ...graph, outputs: [{ ...graph.outputs[0]!, alias: 'at' }] }),
      /output 'y': an alias must have the type of its input; expected i32\[\], got f32\[3,5\]/,
    ],
  ]

  for (const [name, breakIt, message] of broken) {
    it(`refuses ${name}`, () => {
      const graph = breakIt(good())
      expect(() => verify(graph)).toThrow(message)
      expect(() => lower(graph, primitives)).toThrow()
      try {
        verify(graph)
      } catch (error) {
        expect(error instanceof GraphError || error instanceof ShapeError).toBe(true)
      }
    })
  }
})

describe('printGraph', () => {
  const graph = trace('step', { cache: { shape: [1, 3], dtype: 'f32' }, at: { shape: [], dtype: 'i32' } }, (inputs) => {
    const row = F.softmax(F.mul(F.narrow(inputs.cache!, 1, 0, 2), parameter('w', [2])))
    const cache = F.updateSlice(inputs.cache!, row, inputs.at!, 1)
    return {
      outputs: { cache, top: F.topK(cache, 1)[1], mask: F.add(row, constant([1, 2])), slots: F.iota(9) },
      aliases: { cache: 'cache' },
    }
  })

  it('shows every stage: as traced', () => {
    expect(printGraph(graph)).toMatchInlineSnapshot(`
      "graph step {
        input $cache: f32[1,3]
        input $at: i32[]
        parameter @w: f32[2]
        constant %9: f32[2] = {1, 2}
        constant %11: i32[9] = {0, 1, 2, 3, 4, 5, … 3 more}
        %2: f32[1,2] = slice($cache, starts=[0,0], ends=[1,2])
        %4: f32[1,2] = mul(%2, @w)
        %5: f32[1,2] = softmax(%4)
        %6: f32[1,3] = updateSlice($cache, %5, $at, axis=1)
        %7: f32[1,1], %8: i32[1,1] = topK(%6, k=1)
        %10: f32[1,2] = add(%5, %9)
        output cache = %6 → storage of $cache
        output top = %8
        output mask = %10
        output slots = %11
      }"
    `)
  })

  it('lowered and optimised', () => {
    expect(printGraph(lower(graph, primitives))).toMatchInlineSnapshot(`
      "graph step {
        input $cache: f32[1,3]
        input $at: i32[]
        parameter @w: f32[2]
        constant %3: f32[2] = {1, 2}
        constant %4: i32[9] = {0, 1, 2, 3, 4, 5, … 3 more}
        %5: f32[1,2] = slice($cache, starts=[0,0], ends=[1,2])
        %6: f32[1,2] = mul(%5, @w)
        %7: f32[1,1] = reduceMax(%6, axes=[1], keepDims=true)
        %8: f32[1,2] = sub(%6, %7)
        %9: f32[1,2] = exp(%8)
        %10: f32[1,1] = reduceSum(%9, axes=[1], keepDims=true)
        %11: f32[1,2] = div(%9, %10)
        %12: f32[1,3] = updateSlice($cache, %11, $at, axis=1)
        %13: f32[1,1], %14: i32[1,1] = topK(%12, k=1)
        %15: f32[1,2] = add(%11, %3)
        output cache = %12 → storage of $cache
        output top = %14
        output mask = %15
        output slots = %4
      }"
    `)
  })
})

describe('ExecutableCache', () => {
  const graph = (): Graph => trace('square', { x }, (inputs) => ({ outputs: { y: F.mul(inputs.x!, inputs.x!) } }))

  function counting(failures = 0): { backend: Backend; compiled: () => number } {
    const inner = reference()
    let [count, left] = [0, failures]
    const backend: Backend = {
      ...inner,
      async compile(...given) {
        count++
        if (left-- > 0) throw new Error('out of memory')
        return inner.compile(...given)
      },
    }
    return { backend, compiled: () => count }
  }

  it('compiles once per key, also for requests at the same time', async () => {
    const { backend, compiled } = counting()
    const cache = new ExecutableCache(backend)
    let traced = 0
    const traceOnce = (): Graph => {
      traced++
      return graph()
    }
    const get = (key: string): Promise<Executable> => cache.get(key, traceOnce, () => new Map())
    const [a, b] = await Promise.all([get('square'), get('square')])
    expect(b).toBe(a)
    expect(await get('square')).toBe(a)
    expect(await get('other')).not.toBe(a)
    expect([traced, compiled()]).toEqual([2, 2])
  })

  it('forgets a failure, of compiling and of tracing', async () => {
    const { backend, compiled } = counting(1)
    const cache = new ExecutableCache(backend)
    const both = [cache.get('square', graph, () => new Map()), cache.get('square', graph, () => new Map())]
    expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const broken = (): Graph => {
      throw new GraphError('broken')
    }
    await expect(cache.get('square', broken, () => new Map())).rejects.toThrow('broken')
    const executable = await cache.get('square', graph, () => new Map())
    const { y } = await executable.run({ x: backend.upload(tensorOf([...x.data], [3, 5])) })
    expect((await backend.download(y!))[0]).toBeCloseTo(x.data[0]! ** 2, 5)
    expect(compiled()).toBe(2)
  })

  it('disposes of what it compiled', async () => {
    const backend = reference()
    const cache = new ExecutableCache(backend)
    const executable = await cache.get('square', graph, () => new Map())
    await cache.dispose()
    await expect(executable.run({ x: backend.upload(x) })).rejects.toThrow(DisposedError)
    expect(await cache.get('square', graph, () => new Map())).not.toBe(executable)
  })
})

describe('a lowered graph computes what the composites mean', () => {
  it('the same with any choice of native operations', async () => {
    const graph = trace('norms', { x }, (inputs) => {
      const [weight, bias] = [constant([1, 2, 3, 4, 5]), constant([0, 1, 0, 1, 0])]
      return { outputs: { y: F.rmsNorm(F.layerNorm(inputs.x!, weight, bias, 1e-5), weight, 1e-5) } }
    })
    const expected = await referenceResults(graph, { x })
    expect(evaluate(lower(graph, primitives), { x }).y).toEqual([...expected.y!.data])
  })
})
