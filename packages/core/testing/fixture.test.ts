import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Backend } from '../src/backend.ts'
import { openLocalFolder } from '../src/files/open.ts'
import { type ModelFolder, memoryFolder } from '../src/io/model-folder.ts'
import { writeSafetensors } from '../src/io/safetensors.ts'
import { reference } from '../src/reference/backend.ts'
import type { HostTensor } from '../src/tensor/types.ts'
import { verifyFixture } from './fixture.ts'
import { readTensors } from './goldens.ts'

const fixtures = new URL('../../../../shared/fixtures/', import.meta.url)
const folderOf = (name: string): string => fileURLToPath(new URL(`${name}-tiny`, fixtures))
const families = ['gpt2', 'llama', 'qwen2', 'qwen3'] as const
const files = [
  'config.json',
  'model.safetensors',
  'model_good.safetensors',
  'model_bad.safetensors',
  'expected.safetensors',
  'expected.json',
] as const

describe.runIf(existsSync(fixtures))('verifyFixture', () => {
  for (const family of families) {
    it(`holds for ${family} on the reference backend, with every tensor of the file`, async () => {
      const folder = await openLocalFolder(folderOf(family))
      const report = await verifyFixture(folder, reference())
      expect(report.checks.filter(({ ok }) => !ok)).toEqual([])
      expect(report).toMatchObject({ ok: true, backend: 'reference', folder: folder.id })
      const tensors = await readTensors(await readFile(`${folderOf(family)}/expected.safetensors`))
      const checked = new Set(report.checks.map(({ name }) => name.split(' ')[0]))
      expect(
        [...tensors.keys()].filter((name) => !/input_ids|attention_mask/.test(name) && !checked.has(name)),
      ).toEqual([])
    })
  }

  describe('changed folders', () => {
    let original: Record<string, Uint8Array>
    let expected: Map<string, HostTensor>

    beforeAll(async () => {
      const entries = await Promise.all(
        files.map(async (name) => [name, await readFile(`${folderOf('gpt2')}/${name}`)]),
      )
      original = Object.fromEntries(entries) as Record<string, Uint8Array>
      expected = await readTensors(original['expected.safetensors']!)
    })

    const changed = (changes: Record<string, Uint8Array | string>): ModelFolder =>
      memoryFolder('fixture', { ...original, ...changes })
    const json = (changes: object): Record<string, string> => {
      const values = JSON.parse(new TextDecoder().decode(original['expected.json'])) as object
      return { 'expected.json': JSON.stringify({ ...values, ...changes }) }
    }
    const tensors = (change: (values: Map<string, HostTensor>) => void): Record<string, Uint8Array> => {
      const values = new Map(expected)
      change(values)
      return { 'expected.safetensors': writeSafetensors(values) }
    }
    const failedOf = async (folder: ModelFolder, backend: Backend = reference()): Promise<string[]> => {
      const report = await verifyFixture(folder, backend)
      expect(() => JSON.parse(JSON.stringify(report))).not.toThrow()
      expect(JSON.stringify(report)).not.toContain('null')
      return report.checks.filter(({ ok }) => !ok).map(({ name }) => name)
    }

    it('finds each wrong tensor, and blames no other', async () => {
      for (const name of [
        'plain.cache_v',
        'batch.position_ids',
        'coconut.thoughts',
        'refine.grad_full',
        'refine.greedy',
      ]) {
        const folder = changed(
          tensors((values) => {
            const { data, ...spec } = values.get(name)!
            const wrong = data.slice()
            wrong[0]! += spec.dtype === 'i32' ? 1 : 0.01
            values.set(name, { ...spec, data: wrong })
          }),
        )
        const failed = await failedOf(folder)
        expect(failed.length).toBeGreaterThan(0)
        expect(failed.every((check) => check.startsWith(name))).toBe(true)
      }
    })

    it('takes η, sign and weight from the folder', async () => {
      expect(await failedOf(changed(json({ eta: 3 })))).toContain('refine.crfs')
      expect(await failedOf(changed(json({ sign: 1 })))).toContain('refine.crfs')
      const weight = await failedOf(changed(json({ prev_weight: 0.5 })))
      expect(weight).toContain('refine.refined (trajectory)')
      expect(weight.every((name) => name.startsWith('refine.'))).toBe(true)
    })

    it('refuses incomplete and damaged folders with the name of what is wrong', async () => {
      const refused: [Record<string, Uint8Array | string>, RegExp][] = [
        [tensors((values) => values.delete('refine.loss')), /refine\.loss/],
        [
          tensors((values) => values.set('refine.loss', values.get('refine.raw')!)),
          /refine\.loss.*f32\[4\].*f32\[4, ?48\]/,
        ],
        [json({ eta: 'four' }), /eta/],
        [json({ latent_id: 5000 }), /latent markers 5000/],
        [{ 'expected.safetensors': original['expected.safetensors']!.slice(0, 5000) }, /expected\.safetensors/],
        [{ 'model_bad.safetensors': original['model_bad.safetensors']!.slice(0, 20_000) }, /model_bad\.safetensors/],
        [{ 'expected.json': '{' }, /expected\.json/],
      ]
      for (const [changes, message] of refused) {
        await expect(verifyFixture(changed(changes), reference())).rejects.toThrow(message)
      }
      const { 'model_good.safetensors': _, ...without } = original
      await expect(verifyFixture(memoryFolder('fixture', without), reference())).rejects.toThrow(/model_good/)
    })

    it('reports a backend that computes NaN as failed checks that JSON can write', async () => {
      const honest = reference()
      const broken: Backend = {
        ...honest,
        name: 'broken',
        upload: (tensor) => honest.upload(tensor),
        compile: (graph, parameters) => honest.compile(graph, parameters),
        dispose: () => honest.dispose(),
        download: async (buffer) => {
          const data = await honest.download(buffer)
          return data instanceof Float32Array ? data.fill(Number.NaN) : data
        },
      }
      const failed = await failedOf(changed({}), broken)
      for (const name of ['plain.logits', 'batch.last_hidden', 'coconut.thoughts', 'refine.grad_full']) {
        expect(failed.some((check) => check.startsWith(name))).toBe(true)
      }
    })
  })
})
