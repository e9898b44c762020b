import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel, reference } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import { parseSafetensors } from '@afterthought/core/io'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomGpt2 } from './random-gpt2.ts'

const shape = { layers: 2, heads: 3, width: 24, vocabSize: 97, positions: 31 }
let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bench-'))
})
afterAll(() => rm(root, { recursive: true }))

test('the folder is a model of the shape', async () => {
  const backend = reference()
  const { config } = await loadModel(await openFolder(await randomGpt2(shape, 5, root)), backend)
  expect(config).toMatchObject({ family: 'gpt2', layers: 2, heads: 3, width: 24, vocabSize: 97, maxPositions: 31 })
  expect(config).toMatchObject({ tied: true, eosIds: [] })
  await backend.dispose()
})

test('weights have the deviation of GPT-2 and follow the seed', async () => {
  const bytes = async (seed: number): Promise<Buffer> =>
    readFile(join(await randomGpt2(shape, seed, root), 'model.safetensors'))
  const { tensors } = await parseSafetensors(await bytes(5))
  const values = (await tensors.get('h.1.mlp.c_fc.weight')!.read()) as Float32Array
  const moment = (power: number): number => values.reduce((sum, value) => sum + value ** power, 0) / values.length
  expect(moment(1)).toBeCloseTo(0, 2)
  expect(Math.sqrt(moment(2))).toBeCloseTo(0.02, 3)
  const gains = (await tensors.get('ln_f.weight')!.read()) as Float32Array
  expect(Math.max(...gains.map((gain) => Math.abs(gain - 1)))).toBeLessThan(0.1)
  const other = await bytes(6)
  expect(other.equals(await bytes(5))).toBe(false)
  await rm(join(root, 'gpt2-2x24-3-97-31-seed6'), { recursive: true })
  expect(other.equals(await bytes(6))).toBe(true)
})
