import { testBackend } from '@afterthought/core/testing'
import { test } from 'vitest'
import { webgpu } from './index.ts'

testBackend('webgpu', () => webgpu(), { test })
