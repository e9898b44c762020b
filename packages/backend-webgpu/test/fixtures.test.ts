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

  // Bounds for random weights, which quantise worst; trained ones come nearer. Tokens are equal wherever there is a margin.
  describe('narrow weights', () => {
    for (const [family, dtype, vectors, logits] of [
      ['gpt2', 'f16', 0.03, 0.02],
      ['llama', 'f16', 0.06, 0.12],
      ['qwen2', 'f16', 0.06, 0.12],
      ['qwen3', 'f16', 0.06, 0.06],
      ['gpt2', 'int8', 0.3, 0.3],
    ] as const) {
      it(`${family}, ${dtype}: within ${vectors} and logits within ${logits}, tokens equal`, async () => {
        await using backend = await webgpu({ dtype })
        const { checks } = await verifyFixture(await folderOf(family), backend, { tolerances: { vectors, logits } })
        expect(checks.filter(({ ok }) => !ok)).toEqual([])
      })
    }
  })
})
