/**
 * The conformance suite on the WebGPU provider, where one is asked for: AFTERTHOUGHT_TEST_WEBGPU=1. Software adapters need
 * minutes for it, and looking for one where there is none writes to stderr.
 */

import { testBackend } from '@afterthought/core/testing'
import { describe, test } from 'vitest'
import { onnx } from './index.ts'

describe.runIf(process.env.AFTERTHOUGHT_TEST_WEBGPU === '1')('WebGPU', () => {
  testBackend('onnx:webgpu', () => onnx({ provider: 'webgpu', threads: 1 }), {
    test: (name, run) => test(name, run, 600_000),
    excused: {
      'cumsum: every axis, f32': "ONNX Runtime's kernel adds one by one in f32",
      'layerNorm: a large offset cancels': "ONNX Runtime's kernel subtracts the squared mean from the mean square",
    },
  })
})
