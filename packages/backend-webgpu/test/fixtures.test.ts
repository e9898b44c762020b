import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openFolder } from '@afterthought/core/files'
import { verifyFixture } from '@afterthought/core/testing'
import { describe, expect, it } from 'vitest'
import { webgpu } from '../src/index.ts'
import './device.ts'

const fixtures = new URL('../../../../shared/fixtures/', import.meta.url)
const folderOf = (family: string) => openFolder(fileURLToPath(new URL(`${family}-tiny`, fixtures)))

describe.runIf(existsSync(fixtures))('numbers of another implementation', () => {
  describe('f32 within 5e-4 and logits within 2e-3, tokens equal', () => {
    for (const family of ['gpt2', 'llama', 'qwen2', 'qwen3']) {
      it(family, async () => {
        await using backend = await webgpu()
        const { checks } = await verifyFixture(await folderOf(family), backend)
        expect(checks.filter(({ ok }) => !ok)).toEqual([])
        expect(checks.length).toBeGreaterThan(40)
      })
    }
  })

  describe('narrow weights', () => {
    // Bounds for random weights, which quantise worst; trained ones come nearer. Tokens stay equal down to int8.
    const bounds = { f16: { vectors: 0.03, logits: 0.02 }, int8: { vectors: 0.3, logits: 0.3 } } as const
    for (const dtype of ['f16', 'int8'] as const) {
      it(`${dtype} within ${bounds[dtype].vectors} and logits within ${bounds[dtype].logits}, tokens equal`, async () => {
        await using backend = await webgpu({ dtype })
        const { checks } = await verifyFixture(await folderOf('gpt2'), backend, { tolerances: bounds[dtype] })
        expect(checks.filter(({ ok }) => !ok)).toEqual([])
      })
    }
  })
})
