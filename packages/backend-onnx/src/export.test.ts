import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ArgumentError,
  exportGraph,
  F,
  GraphError,
  type HostArray,
  NumericError,
  type Parameter,
  parameter,
  reference,
  rollout,
  ShapeError,
  trace,
} from '@afterthought/core'
import { maxError, parameterOf, randomFamilies, randomModel, tensorOf } from '@afterthought/core/testing'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exportOnnx } from './export.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'afterthought-'))
  file = join(folder, 'model.onnx')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Left-padded prompts as stock runtimes are fed: int64 ids and mask. */
function prompts(rows: readonly (readonly number[])[], columns: number): Record<string, Tensor> {
  const ids = rows.flatMap((row) => [...new Array(columns - row.length).fill(0), ...row])
  const mask = rows.flatMap((row) => Array.from({ length: columns }, (_, i) => Number(i >= columns - row.length)))
  const tensor = (values: number[]): Tensor =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [rows.length, columns])
  return { input_ids: tensor(ids), attention_mask: tensor(mask) }
}

describe('a refined trajectory in plain ONNX Runtime', () => {
  const shape = { promptLength: 5, latents: 3, tokens: 4 }
  const refinement = { residual: { alpha: 0.3 }, search: { step: 0.2 } }
  const batches = [
    [[3, 14, 15, 9, 26]],
    [
      [1, 2],
      [30, 8, 7, 11],
      [5, 6, 7, 8, 9],
    ],
  ]

  it.each(randomFamilies)('%s: gives the tokens and thoughts of a rollout, for any number of rows', async (family) => {
    const backend = reference()
    const [main, good, bad] = [1, 2, 3].map((seed) => randomModel(family, backend, seed))
    const models = { main: main!, good: good!, bad: bad! }
    const exported = exportGraph(models, { ...shape, refinement })
    const report = await exportOnnx({ ...exported, file, wideInputs: ['input_ids', 'attention_mask'] })
    expect(report).toMatchObject({ file, opset: 20, irVersion: 10, weights: `${file}.data` })
    expect(report.inputs).toEqual(
      ['input_ids', 'attention_mask'].map((name) => ({ name, dtype: 'int64', shape: ['batch', 5] })),
    )
    expect(report.outputs).toContainEqual({ name: 'tokens', dtype: 'int32', shape: ['batch', 4] })
    expect(report.bytes).toBe((await stat(file)).size + (await stat(report.weights)).size)

    const session = await InferenceSession.create(file)
    for (const rows of batches) {
      const { tokens, thoughts } = await session.run(prompts(rows, shape.promptLength))
      const expected = await rollout(models, rows, { ...shape, refinement, stopIds: [] })
      expect(tokens!.dims).toEqual([rows.length, 4])
      expected.rows.forEach((row, b) => {
        expect([...(tokens!.data as Int32Array)].slice(4 * b, 4 * b + 4)).toEqual([...row.tokens])
      })
      const vectors = expected.rows.flatMap((row) => row.thoughts.flatMap((thought) => [...thought]))
      expect(maxError(thoughts!.data as Float32Array, vectors)).toBeLessThan(2e-4)
    }
    await session.release()
  })
})

describe('files', () => {
  const w = tensorOf([1, 2, 3, 4, 5, 6], [2, 3])
  const weights = new Map<string, Parameter>([['w', parameterOf(w)]])
  const product = (batch: number) =>
    trace('product', { x: { shape: [batch, 2], dtype: 'f32' } }, ({ x }) => ({
      outputs: { y: F.matmul(x!, parameter('w', [2, 3])) },
    }))
  const run = async (path: string, rows: number): Promise<HostArray> => {
    const session = await InferenceSession.create(path)
    const x = new Tensor('float32', new Float32Array(2 * rows).fill(1), [rows, 2])
    const { y } = await session.run({ x })
    await session.release()
    return y!.data as Float32Array
  }

  it('hold a fixed or a symbolic batch', async () => {
    await exportOnnx({ graph: product(2), parameters: weights, file })
    expect([...(await run(file, 2))]).toEqual([5, 7, 9, 5, 7, 9])
    await expect(run(file, 1)).rejects.toThrow('dimension')
    await exportOnnx({ graph: product(8191), parameters: weights, file, batch: 8191 })
    expect([...(await run(file, 1))]).toEqual([5, 7, 9])
    expect((await readdir(folder)).sort()).toEqual(['model.onnx', 'model.onnx.data'])
  })

  it.each([
    ['int8', 0.02],
    ['int4', 0.2],
  ] as const)('hold weights as %s', async (dtype, bound) => {
    const report = await exportOnnx({ graph: product(7), parameters: weights, file, batch: 7, dtype })
    expect(maxError(await run(report.file, 1), [5, 7, 9])).toBeLessThan(bound * 9)
  })

  it('have to lie in one folder', async () => {
    const options = { graph: product(2), parameters: weights, file }
    await expect(exportOnnx({ ...options, weights: join(folder, 'elsewhere', 'w') })).rejects.toThrow(ArgumentError)
    await expect(exportOnnx({ ...options, weights: file })).rejects.toThrow(ArgumentError)
    await expect(exportOnnx({ ...options, batch: 1 })).rejects.toThrow(ArgumentError)
  })

  it('are not touched when something is wrong', async () => {
    await exportOnnx({ graph: product(2), parameters: weights, file })
    const broken = { ...parameterOf(w), read: () => Promise.reject(new NumericError('NaN')) }
    const parameters = new Map<string, Parameter>([['w', broken]])
    await expect(exportOnnx({ graph: product(2), parameters, file })).rejects.toThrow(NumericError)
    await expect(exportOnnx({ graph: product(2), parameters: new Map(), file })).rejects.toThrow(ShapeError)
    expect((await readdir(folder)).sort()).toEqual(['model.onnx', 'model.onnx.data'])
    expect([...(await run(file, 2))]).toEqual([5, 7, 9, 5, 7, 9])
  })

  it('cannot mix the rows of a symbolic batch', async () => {
    const graph = trace('mean', { x: { shape: [7, 2], dtype: 'f32' } }, ({ x }) => ({
      outputs: { y: F.reduceSum(x!, [0]) },
    }))
    await expect(exportOnnx({ graph, parameters: new Map(), file, batch: 7 })).rejects.toThrow(GraphError)
  })
})
