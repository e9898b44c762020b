/** What the writer leaves out. What it writes is run by the conformance suite. */

import { F, type HostTensor, type Tensor, trace } from '@afterthought/core'
import { tensorOf } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { convert } from './convert.ts'

/** The operators of the model of `build`, in order; nodes are called `operator.number`. */
function operatorsOf(
  inputs: Readonly<Record<string, HostTensor>>,
  build: (values: Record<string, Tensor>) => Tensor,
): string[] {
  const graph = trace('test', inputs, (values) => ({ outputs: { y: build(values as Record<string, Tensor>) } }))
  const model = convert(graph, {
    target: { cpuOnly: false },
    inputName: (name) => `<${name}`,
    outputName: (name) => `>${name}`,
    weight: () => ({ form: 'inline', bytes: new Uint8Array(0) }),
  })
  return [
    ...Buffer.from(model.encode())
      .toString('latin1')
      .matchAll(/([A-Z][A-Za-z]+)\.\d+/g),
  ].map(([, op]) => op!)
}

describe('tensors without elements reach no kernel', () => {
  const none = tensorOf([], [0, 3])

  it.each<[string, Record<string, HostTensor>, (values: Record<string, Tensor>) => Tensor]>([
    ['elementwise', { x: none }, ({ x }) => F.exp(F.neg(x!))],
    ['reshape', { x: none }, ({ x }) => F.reshape(x!, [3, 0])],
    ['sum', { x: none }, ({ x }) => F.reduceSum(x!, [0])],
    ['product', { x: none }, ({ x }) => F.matmul(x!, x!, { transposeA: true })],
    ['passed through', { x: none }, ({ x }) => x!],
    ['filled up', { x: none }, ({ x }) => F.pad(x!, [1, 0], [0, 0], 7)],
  ])('%s', (_name, inputs, build) => {
    expect(new Set(operatorsOf(inputs, build))).toEqual(new Set(['Expand']))
  })

  it('neither as one of several operands', () => {
    const inputs = { x: none, rows: tensorOf([1, 2, 3], [1, 3]), at: tensorOf([0], [], 'i32') }
    expect(operatorsOf(inputs, ({ x, rows }) => F.concat([x!, rows!], 0))).toEqual(['Concat'])
    expect(operatorsOf(inputs, ({ x, rows, at }) => F.updateSlice(rows!, x!, at!, 0))).toEqual(['Identity'])
  })
})

describe('an output', () => {
  const x = tensorOf([1, 2])

  it('is written by the node that computes it', () => {
    expect(operatorsOf({ x }, ({ x }) => F.exp(F.neg(x!)))).toEqual(['Neg', 'Exp'])
  })

  it('is a copy where it is an input', () => {
    expect(operatorsOf({ x }, ({ x }) => x!)).toEqual(['Identity'])
  })
})
