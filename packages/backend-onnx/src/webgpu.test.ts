/**
 * The WebGPU provider, where one is asked for: AFTERTHOUGHT_TEST_WEBGPU=1. Software adapters need minutes for it, and
 * looking for one where there is none writes to stderr.
 */

import { F, trace } from '@afterthought/core'
import { tensorOf, testBackend } from '@afterthought/core/testing'
import { describe, expect, test } from 'vitest'
import { onnx } from './index.ts'

describe.runIf(process.env.AFTERTHOUGHT_TEST_WEBGPU === '1')('WebGPU', () => {
  testBackend('onnx:webgpu', () => onnx({ provider: 'webgpu', threads: 1 }), {
    test: (name, run) => test(name, run, 600_000),
    excused: {
      'cumsum: every axis, f32': "ONNX Runtime's kernel adds one by one in f32",
      'layerNorm: a large offset cancels': "ONNX Runtime's kernel subtracts the squared mean from the mean square",
    },
  })

  test('results outlive the program that made them, until the backend ends', async () => {
    const backend = await onnx({ provider: 'webgpu', threads: 1 })
    const program = (factor: number) =>
      backend.compile(
        trace(`times ${factor}`, { x: tensorOf([0, 0, 0]) }, ({ x }) => ({ outputs: { y: F.mul(x!, factor) } })),
        new Map(),
      )
    const results = []
    for (let i = 0; i < 20; i++) {
      const [times2, times3] = [await program(2), await program(3)]
      const { y: twice } = await times2.run({ x: backend.upload(tensorOf([i, 1, -1])) })
      times2.dispose()
      const { y: sixfold } = await times3.run({ x: twice! })
      times3.dispose()
      results.push(sixfold!)
      if (i % 2 === 0) twice!.dispose()
    }
    for (const [i, result] of results.entries()) expect([...(await backend.download(result))]).toEqual([6 * i, 6, -6])
    await backend.dispose()
  }, 600_000)
})
