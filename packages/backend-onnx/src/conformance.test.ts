import { testBackend } from '@afterthought/core/testing'
import { test } from 'vitest'
import { onnx } from './index.ts'

testBackend('onnx:cpu', () => onnx({ provider: 'cpu', threads: 1 }), { test })
