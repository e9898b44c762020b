import { describe, expect, it } from 'vitest'
import { ArgumentError, GraphError, ShapeError } from '../errors.ts'
import * as F from './functional.ts'
import type { Tensor } from './graph.ts'
import { constant, parameter, trace } from './trace.ts'
import type { TensorSpec } from './types.ts'

const x: TensorSpec = { shape: [2, 3], dtype: 'f32' }

describe('trace', () => {
  it('writes down inputs, weights, constants, nodes and outputs', () => {
    const graph = trace('small', { x }, (inputs) => {
      const y = F.add(F.mul(inputs.x!, parameter('w', [3])), 1)
      return { outputs: { y, x: inputs.x! }, aliases: { y: 'x' } }
    })
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x'])
    expect(graph.parameters.map(({ name, value }) => [name, value.shape])).toEqual([['w', [3]]])
    expect(graph.constants.map(({ data }) => [...data])).toEqual([[1]])
    expect(graph.nodes.map(({ op }) => op)).toEqual(['mul', 'add'])
    expect(graph.outputs.map(({ name, alias }) => [name, alias])).toEqual([
      ['y', 'x'],
      ['x', undefined],
    ])
  })

  it('shares weights of one name and equal small constants', () => {
    trace('shared', { x }, () => {
      expect(parameter('w', [3])).toBe(parameter('w', [3]))
      expect(constant(2)).toBe(constant(2))
      expect(constant(-0)).not.toBe(constant(0))
      expect(constant(Number.NaN)).toBe(constant(Number.NaN))
      expect(constant(1)).not.toBe(constant(1, [1]))
      expect(constant(1)).not.toBe(constant(1, [], 'i32'))
      expect(F.iota(5)).toBe(F.iota(5))
      expect(constant([1, 2], [2, 1])).not.toBe(constant([1, 2], [1, 2]))
      return { outputs: {} }
    })
  })

  it('nests', () => {
    const outer = trace('outer', { x }, (inputs) => {
      const inner = trace('inner', { x }, (own) => ({ outputs: { y: F.neg(own.x!) } }))
      expect(inner.nodes.map(({ op }) => op)).toEqual(['neg'])
      return { outputs: { y: F.exp(inputs.x!) } }
    })
    expect(outer.nodes.map(({ op }) => op)).toEqual(['exp'])
  })

  it('closes after an error', () => {
    expect(() => trace('broken', { x }, () => F.add(constant([1, 2]), constant([1, 2, 3])) as never)).toThrow(
      ShapeError,
    )
    expect(() => constant(1)).toThrow(/only work while tracing/)
  })

  it('takes plain numbers as scalars of the other operand', () => {
    trace('numbers', { x, ids: { shape: [2], dtype: 'i32' } }, ({ x, ids }) => {
      expect(F.add(1, x!).dtype).toBe('f32')
      expect(F.add(ids!, 1).dtype).toBe('i32')
      expect(F.where(F.less(ids!, 1), 2, ids!).dtype).toBe('i32')
      expect(F.add(1, 2)).toMatchObject({ shape: [], dtype: 'f32' })
      return { outputs: {} }
    })
  })

  it('accepts names that JavaScript objects carry by birth', () => {
    const graph = trace(
      'names',
      { constructor: x },
      (inputs) => ({ outputs: { constructor: inputs.constructor! } }) as never,
    )
    expect(graph.outputs[0]).not.toHaveProperty('alias')
  })
})

describe('trace refuses', () => {
  it('operands of another trace', () => {
    let stranger: Tensor | undefined
    trace('first', { x }, (inputs) => {
      stranger = inputs.x!
      return { outputs: {} }
    })
    expect(() => trace('second', { x }, (inputs) => ({ outputs: { y: F.add(inputs.x!, stranger!) } }))).toThrow(
      /add: an operand belongs to another trace/,
    )
  })

  it('one weight with two types', () => {
    const declare = (again: () => Tensor): (() => unknown) => {
      return () =>
        trace('weights', {}, () => {
          parameter('w', [3])
          return { outputs: { w: again() } }
        })
    }
    expect(declare(() => parameter('w', [4]))).toThrow(/w: .*expected f32\[3\], got f32\[4\]/)
    expect(declare(() => parameter('w', [3], 'i32'))).toThrow(/w: .*expected f32\[3\], got i32\[3\]/)
  })

  it('aliases of outputs that do not exist', () => {
    expect(() => trace('alias', { x }, ({ x }) => ({ outputs: { y: x! }, aliases: { z: 'x' } }))).toThrow(GraphError)
  })

  it('constants that do not fill their shape or have another type', () => {
    expect(() => trace('constant', {}, () => ({ outputs: { c: constant([1, 2, 3], [2]) } }))).toThrow(/2 elements .* 3/)
    const ids = Int32Array.of(1, 2)
    expect(() => trace('constant', {}, () => ({ outputs: { c: constant(ids, [2]) } }))).toThrow(ArgumentError)
  })
})
