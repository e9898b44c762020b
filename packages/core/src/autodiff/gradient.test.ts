import { describe, expect, it, test } from 'vitest'
import { differentiable, gradientProgram, objectiveWeights } from '../../testing/differentiable.ts'
import { allclose, maxError, RandomTensors, tensorOf } from '../../testing/index.ts'
import type { OpCall } from '../../testing/trial.ts'
import { programOf, referenceResults } from '../../testing/trial.ts'
import { GraphError } from '../errors.ts'
import { reference } from '../reference/backend.ts'
import type { OpName } from '../tensor/attributes.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { operations } from '../tensor/ops.ts'
import { constant, trace } from '../tensor/trace.ts'
import type { HostTensor } from '../tensor/types.ts'
import { gradient } from './gradient.ts'

const STEP = 0.02

/** Σ weight ⊙ first result, summed in f64. */
async function objectiveOf(step: OpCall): Promise<(operands: readonly HostTensor[]) => Promise<number>> {
  const { graph } = programOf('forward', [step])
  const backend = reference()
  const executable = await backend.compile(graph, new Map())
  const result = graph.outputs[0]!
  const weights = Float64Array.from(objectiveWeights(result.value.shape).data)
  return async (operands) => {
    const inputs = Object.fromEntries(operands.map((operand, j) => [`0.${j}`, backend.upload(operand)]))
    const data = await backend.download((await executable.run(inputs))[result.name]!)
    return weights.reduce((sum: number, weight: number, i: number) => sum + weight * data[i]!, 0)
  }
}

/** Central differences of fourth order (Abramowitz and Stegun 25.3.6); f64 sums of f32 results. */
async function finiteDifferences(step: OpCall, operand: number): Promise<Float64Array> {
  const objective = await objectiveOf(step)
  const { data } = step.operands[operand]!
  const slopes = new Float64Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const at = (offset: number): Promise<number> => {
      const moved = Float32Array.from(data)
      moved[i]! += offset * STEP
      return objective(step.operands.map((other, j) => (j === operand ? { ...other, data: moved } : other)))
    }
    const [a, b, c, d] = [await at(-2), await at(-1), await at(1), await at(2)]
    slopes[i] = (a - 8 * b + 8 * c - d) / (12 * STEP)
  }
  return slopes
}

describe('gradients against finite differences', () => {
  for (const [i, step] of differentiable().entries()) {
    const shapes = step.operands.map(({ shape }) => `[${shape}]`).join(' ')
    it(`${i}: ${step.op} ${shapes} ${JSON.stringify(step.attributes)}`, async () => {
      const { graph, inputs } = gradientProgram(step)
      const gradients = await referenceResults(graph, inputs)
      for (const [operand, { shape, data }] of Object.entries(gradients)) {
        expect(shape).toEqual(step.operands[Number(operand)]!.shape)
        const expected = await finiteDifferences(step, Number(operand))
        expect(maxError(data, expected), `operand ${operand}: ${data} for ${expected}`).toBeLessThan(1e-3)
      }
    })
  }
})

/** Operations that are flat almost everywhere, or whose result is no number. */
const withoutGradient: readonly OpName[] = ['equal', 'less', 'lessEqual', 'and', 'or', 'not', 'argmax', 'stopGradient']

test('every operation has a gradient checked above, or none', () => {
  const checked = new Set(differentiable().map(({ op }) => op))
  const unchecked = (Object.keys(operations) as OpName[]).filter((op) => !checked.has(op))
  expect(unchecked.sort()).toEqual([...withoutGradient, 'cast'].sort())
  for (const op of withoutGradient) expect(operations[op].gradient).toBe('none')
})

describe('a composite has the gradient of its decomposition', () => {
  for (const [i, step] of differentiable().entries()) {
    const operation = operations[step.op]
    if (!('decompose' in operation)) continue
    it(`${i}: ${step.op}`, async () => {
      const own = gradientProgram(step)
      const spelled = gradientProgram(step, (inputs) => operation.decompose(inputs, step.attributes))
      const [actual, expected] = [
        await referenceResults(own.graph, own.inputs),
        await referenceResults(spelled.graph, own.inputs),
      ]
      expect(Object.keys(actual)).toEqual(Object.keys(expected))
      for (const [operand, { data }] of Object.entries(expected)) {
        expect(allclose(actual[operand]!.data, data, { absolute: 2e-6, relative: 2e-5 })).toBe(true)
      }
    })
  }
})

/** Gradients of a scalar function of named inputs. */
async function slopes(
  inputs: Record<string, HostTensor>,
  objective: (values: Readonly<Record<string, Tensor>>) => Tensor,
): Promise<Record<string, number[]>> {
  const graph = trace('slopes', inputs, (values) => {
    const names = Object.keys(inputs)
    const gradients = gradient(
      objective(values),
      names.map((name) => values[name]!),
    )
    return { outputs: Object.fromEntries(names.map((name, i) => [name, gradients[i]!])) }
  })
  const results = await referenceResults(graph, inputs)
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, [...data]]))
}

const sum = (x: Tensor): Tensor =>
  F.reduceSum(
    x,
    x.shape.map((_, axis) => axis),
  )

describe('the walk', () => {
  const x = tensorOf([1, -2, 3])
  const w = tensorOf([4, 5, 6])

  it('adds up what comes back along several paths', async () => {
    const found = await slopes({ x, w }, ({ x, w }) => sum(F.add(F.mul(x!, w!), F.mul(x!, x!))))
    expect(found).toEqual({ x: [6, 1, 12], w: [1, -2, 3] })
  })

  it('gives zero for what the objective does not depend on', async () => {
    expect(await slopes({ x, w }, ({ x }) => sum(x!))).toEqual({ x: [1, 1, 1], w: [0, 0, 0] })
    const detached = await slopes({ x, w }, ({ x, w }) => sum(F.mul(F.stopGradient(x!), w!)))
    expect(detached).toEqual({ x: [0, 0, 0], w: [1, -2, 3] })
    const chosen = await slopes({ x, w }, ({ x, w }) => sum(F.where(F.less(x!, 0), x!, w!)))
    expect(chosen).toEqual({ x: [0, 1, 0], w: [1, 0, 1] })
  })

  it('differentiates with respect to what was computed', async () => {
    const graph = trace('inner', { x }, (inputs) => {
      const y = F.mul(inputs.x!, 3)
      const [slope] = gradient(sum(F.mul(y, y)), [y])
      return { outputs: { slope: slope! } }
    })
    expect([...(await referenceResults(graph, { x })).slope!.data]).toEqual([6, -12, 18])
  })

  it('differentiates a gradient again', async () => {
    const graph = trace('second order', { x }, (inputs) => {
      const [first] = gradient(sum(F.mul(F.mul(inputs.x!, inputs.x!), inputs.x!)), [inputs.x!])
      const [second] = gradient(sum(first!), [inputs.x!])
      return { outputs: { second: second! } }
    })
    expect([...(await referenceResults(graph, { x })).second!.data]).toEqual([6, -12, 18])
  })

  it('lets nothing leak from the branch of where that was not chosen', async () => {
    const found = await slopes({ x: tensorOf([1, 0, -1]) }, ({ x }) => {
      const safe = F.where(F.less(0, x!), x!, 1)
      return sum(F.where(F.less(0, x!), F.log(safe), x!))
    })
    expect(found.x).toEqual([1, 1, 1])
  })

  it('takes the slope of |x|, relu and ties as stated', async () => {
    const kinks = tensorOf([-1, 0, 1])
    expect((await slopes({ kinks }, ({ kinks }) => sum(F.abs(kinks!)))).kinks).toEqual([-1, 0, 1])
    expect((await slopes({ kinks }, ({ kinks }) => sum(F.relu(kinks!)))).kinks).toEqual([0, 0, 1])
    const ties = await slopes({ a: kinks, b: tensorOf([0, 0, 0]) }, ({ a, b }) => sum(F.maximum(a!, b!)))
    expect(ties).toEqual({ a: [0, 1, 1], b: [1, 0, 0] })
    const shared = await slopes({ x: tensorOf([3, 1, 3]) }, ({ x }) => F.reduceMax(x!, [0]))
    expect(shared.x).toEqual([0.5, 0, 0.5])
  })

  it('stays finite where a row of padding sees nothing', async () => {
    const random = new RandomTensors(98)
    const inputs = { q: random.normal([1, 1, 2, 4]), k: random.normal([1, 1, 2, 4]), v: random.normal([1, 1, 2, 4]) }
    const lowest = -3.4028234663852886e38
    const found = await slopes(inputs, ({ q, k, v }) =>
      sum(F.tanh(F.attention(q!, k!, v!, constant([lowest, lowest, 0, 0], [1, 1, 2, 2]), 0.5))),
    )
    for (const [name, values] of Object.entries(found)) expect(values.every(Number.isFinite), name).toBe(true)
  })

  it('passes through a whole decoder block: equal to finite differences in a random direction', async () => {
    const random = new RandomTensors(97)
    const inputs = {
      x: random.normal([1, 5, 8]),
      w: random.normal([8, 24], 0.4),
      direction: random.normal([1, 5, 8], 0.1),
    }
    const graph = trace('block', { ...inputs, offset: tensorOf([0], []) }, ({ x, w, direction, offset }) => {
      const moved = F.add(x!, F.mul(direction!, offset!))
      const one = constant(new Array(8).fill(1))
      const qkv = F.matmul(F.rmsNorm(moved, one, 1e-5), w!)
      const heads = [0, 1, 2].map((part) =>
        F.transpose(F.reshape(F.narrow(qkv, 2, 8 * part, 8 * part + 8), [1, 5, 2, 4]), [0, 2, 1, 3]),
      ) as [Tensor, Tensor, Tensor]
      const mixed = F.attention(...heads, constant(new Array(25).fill(0), [1, 1, 5, 5]), 0.5)
      const loss = sum(F.tanh(F.add(moved, F.reshape(F.transpose(mixed, [0, 2, 1, 3]), [1, 5, 8]))))
      return { outputs: { loss, slope: gradient(loss, [offset!])[0]! } }
    })
    const at = async (offset: number): Promise<{ loss: number; slope: number }> => {
      const results = await referenceResults(graph, { ...inputs, offset: tensorOf([offset], []) })
      return { loss: results.loss!.data[0]!, slope: results.slope!.data[0]! }
    }
    const difference = ((await at(0.1)).loss - (await at(-0.1)).loss) / 0.2
    expect((await at(0)).slope).toBeCloseTo(difference, 2)
  })
})

describe('refusals', () => {
  const x = tensorOf([1, 2])

  it('an objective that is no scalar', () => {
    expect(() => trace('bad', { x }, (inputs) => ({ outputs: { y: gradient(inputs.x!, [inputs.x!])[0]! } }))).toThrow(
      /gradient: only a scalar can be differentiated; expected f32\[\], got f32\[2\]/,
    )
  })

  it('tensors that are no numbers, or of another trace', () => {
    let stranger: Tensor | undefined
    trace('other', { x }, (inputs) => {
      stranger = inputs.x!
      return { outputs: { x: stranger } }
    })
    const wrt = (tensor: (inputs: Readonly<Record<string, Tensor>>) => Tensor): (() => unknown) => {
      const ids = tensorOf([1], [1], 'i32')
      return () =>
        trace('bad', { x, ids }, (inputs) => ({ outputs: { y: gradient(sum(inputs.x!), [tensor(inputs)])[0]! } }))
    }
    expect(wrt(({ ids }) => ids!)).toThrow(/expected an f32 tensor of the open trace, got i32\[1\]/)
    expect(wrt(() => stranger!)).toThrow(/of another trace/)
  })

  it('outside a trace', () => {
    expect(() => gradient({ id: 0, shape: [], dtype: 'f32' }, [])).toThrow(GraphError)
  })
})
