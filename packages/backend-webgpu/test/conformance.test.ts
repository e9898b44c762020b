import { conformanceCases, testBackend } from '@afterthought/core/testing'
import { describe, expect, it, test } from 'vitest'
import { webgpu } from '../src/index.ts'
import { kernelVariants } from './device.ts'

describe('webgpu', () => {
  testBackend('webgpu', () => webgpu(), { test })

  // Cases that reach every kernel with variants, without those that are there for their size.
  const chosen = /matmul|softmax|orm|crossEntropy|attention|reduce|argmax|topK|training|model|weights/i
  const large = /beyond|more than|many/
  for (const [name, kernels] of Object.entries(kernelVariants).slice(1)) {
    it(`passes with kernels ${name}`, async () => {
      await using backend = await webgpu({ kernels })
      const cases = conformanceCases().filter((each) => chosen.test(each.name) && !large.test(each.name))
      expect(cases.length).toBeGreaterThan(40)
      for (const each of cases) await each.run(backend)
    })
  }
})
