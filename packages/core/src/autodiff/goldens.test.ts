import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant, trace } from '../tensor/trace.ts'
import type { HostTensor, Shape } from '../tensor/types.ts'
import { goldenTensor, maxError } from '../testing/index.ts'
import { referenceResults } from '../testing/trial.ts'
import { valueAndGradient } from './gradient.ts'

/** Losses and gradients of the methods' own functions, stored as numbers; here spelled out in core's operations. */
const folder = new URL('../../../../../shared/goldens/', import.meta.url)

const golden = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))

/** The value and the gradients of a scalar function of named inputs. */
async function differentiate(
  inputs: Record<string, HostTensor>,
  wrt: readonly string[],
  objective: (values: Readonly<Record<string, Tensor>>) => Tensor,
): Promise<Record<string, HostTensor>> {
  const graph = trace('golden', inputs, (values) => {
    const { value, gradients } = valueAndGradient(
      objective(values),
      wrt.map((name) => values[name]!),
    )
    return { outputs: { value, ...Object.fromEntries(wrt.map((name, i) => [name, gradients[i]!])) } }
  })
  return referenceResults(graph, inputs)
}

const axesOf = (shape: Shape): number[] => shape.map((_, axis) => axis)
const meanAll = (x: Tensor): Tensor => F.mean(x, axesOf(x.shape))
const sumAll = (x: Tensor): Tensor => F.reduceSum(x, axesOf(x.shape))

/** Mean of ½e² where |e| < 1, of |e| − ½ elsewhere. */
function smoothL1(a: Tensor, b: Tensor): Tensor {
  const error = F.sub(a, b)
  const size = F.abs(error)
  return meanAll(F.where(F.less(size, 1), F.mul(F.mul(error, error), 0.5), F.sub(size, 0.5)))
}

/** Unbiased standard deviation of all elements. */
function deviation(x: Tensor): Tensor {
  const count = x.shape.reduce((product, extent) => product * extent, 1)
  const centred = F.sub(x, F.mean(x, axesOf(x.shape), true))
  return F.sqrt(F.div(sumAll(F.mul(centred, centred)), count - 1))
}

/** Mean over the layers of smoothL1 over the teacher's deviation. */
function distillation(student: Tensor, teacher: Tensor): Tensor {
  const layers = Array.from({ length: student.shape[0]! }, (_, layer) => {
    const [s, t] = [student, teacher].map((states) => F.narrow(states, 0, layer, layer + 1)) as [Tensor, Tensor]
    return F.div(smoothL1(s, F.stopGradient(t)), F.stopGradient(deviation(t)))
  })
  return F.div(
    layers.reduce((total, layer) => F.add(total, layer)),
    layers.length,
  )
}

describe.runIf(existsSync(folder))('goldens', () => {
  it('CODI: layer-wise distillation and its gradient', async () => {
    const expected = golden('codi_distill')
    const inputs = { student: goldenTensor(expected, 'student'), teacher: goldenTensor(expected, 'teacher') }
    const results = await differentiate(inputs, ['student', 'teacher'], ({ student, teacher }) =>
      distillation(student!, teacher!),
    )
    expect(maxError(results.value!.data, goldenTensor(expected, 'loss').data)).toBeLessThan(1e-6)
    expect(maxError(results.student!.data, goldenTensor(expected, 'gStudent').data)).toBeLessThan(1e-7)
    expect(results.teacher!.data.every((slope) => slope === 0)).toBe(true)
  })

  it('HRPO: the gate between token and thought, value and gradients', async () => {
    const expected = golden('hrpo_gate')
    const names = ['embeds', 'residual', 'Wr', 'br', 'Wi', 'bi', 'Lambda', 'gout']
    const inputs = Object.fromEntries(names.map((name) => [name, goldenTensor(expected, name)]))
    let out: Tensor | undefined
    const gate = (values: Readonly<Record<string, Tensor>>): Tensor => {
      const { embeds, residual, Wr, br, Wi, bi, Lambda } = values as Record<string, Tensor>
      const linear = (weight: Tensor, bias: Tensor): Tensor =>
        F.sigmoid(F.add(F.matmul(embeds!, weight, { transposeB: true }), bias))
      const [r, i] = [linear(Wr!, br!), linear(Wi!, bi!)]
      const a = F.exp(F.mul(F.mul(F.softplus(Lambda!), r), -8))
      const left = F.sqrt(F.add(F.sub(1, F.mul(a, a)), 1e-6))
      out = F.add(F.mul(a, embeds!), F.mul(left, F.mul(i, residual!)))
      return sumAll(F.mul(out, values.gout!))
    }
    const results = await differentiate(inputs, ['embeds', 'Wr', 'Wi', 'Lambda'], gate)
    for (const [name, stored] of Object.entries({ embeds: 'gEmbeds', Wr: 'gWr', Wi: 'gWi', Lambda: 'gLambda' })) {
      expect(maxError(results[name]!.data, goldenTensor(expected, stored).data), name).toBeLessThan(2e-5)
    }
    const forward = trace('gate', inputs, (values) => {
      gate(values)
      return { outputs: { out: out! } }
    })
    const { out: values } = await referenceResults(forward, inputs)
    expect(maxError(values!.data, goldenTensor(expected, 'out').data)).toBeLessThan(1e-6)
  })
})

