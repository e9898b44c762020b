import { testBackend } from '@afterthought/core/testing'
import * as ort from 'onnxruntime-web'
import { expect, test } from 'vitest'
import type { Runtime } from './engine/runtime.ts'
import { onnxWeb } from './web.ts'

testBackend('onnx:wasm', () => onnxWeb(ort), { test })

test('a runtime that does not start is named with the reason', async () => {
  const broken = {
    ...ort,
    InferenceSession: {
      create: () => Promise.reject(new Error('no available backend found')),
    },
  } as unknown as Runtime
  await expect(onnxWeb(broken)).rejects.toThrow(/does not start: no available backend found/)
})
