import { test } from 'vitest'
import { testBackend } from '../testing/index.ts'
import { reference } from './backend.ts'

testBackend('reference', reference, { test })
