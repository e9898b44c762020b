/** Exported files, run by ONNX Runtime alone, against rollouts of the same models in both plans. */

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { exportOnnx } from '@afterthought/backend-onnx'
import {
  exportGraph,
  loadModel,
  type RefinementOptions,
  type RolloutOptions,
  reference,
  rollout,
  type ThoughtModels,
} from '@afterthought/core'
import { encodeProsqa } from '@afterthought/core/data'
import { openFolder } from '@afterthought/core/files'
import { maxError } from '@afterthought/core/testing'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { embeddedFolder } from '../models.ts'

const fixture = new URL('../../../../../shared/fixtures/gpt2-tiny', import.meta.url)
const backend = reference()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'afterthought-export-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function run(...words: string[]): Promise<{ status: number; stdout: string }> {
  let stdout = ''
  const status = await main(['export', '--quiet', '--json', ...words], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: () => true },
    environment: {},
    signal: new AbortController().signal,
    readInput: async () => '',
  })
  return { status, stdout }
}

/** A server's view: int64 ids and mask, padded on the left with whatever token. */
async function serve(
  session: InferenceSession,
  rows: readonly (readonly number[])[],
  columns: number,
): Promise<InferenceSession.OnnxValueMapType> {
  const tensor = (fill: number, of: (row: readonly number[]) => readonly number[]): Tensor => {
    const values = rows.flatMap((row) => [...new Array<number>(columns - row.length).fill(fill), ...of(row)])
    return new Tensor('int64', BigInt64Array.from(values, BigInt), [rows.length, columns])
  }
  return session.run({ input_ids: tensor(40, (row) => row), attention_mask: tensor(0, (row) => row.map(() => 1)) })
}

/** Ragged rows, and each alone, against both plans. */
async function expectRollouts(
  file: string,
  columns: number,
  models: ThoughtModels,
  rows: readonly (readonly number[])[],
  options: Omit<RolloutOptions, 'plan'>,
): Promise<void> {
  const session = await InferenceSession.create(file)
  for (const batch of [rows, rows.slice(1, 2)]) {
    const outputs = await serve(session, batch, columns)
    for (const plan of ['stepped', 'trajectory'] as const) {
      const wanted = await rollout(models, batch, { ...options, stopIds: [], answerLogits: true, plan })
      const { tokens, thoughts, answer_logits: logits } = outputs as Record<string, Tensor>
      expect(tokens!.dims).toEqual([batch.length, options.tokens ?? 1])
      expect([...(tokens!.data as Int32Array)]).toEqual(wanted.rows.flatMap((row) => row.tokens))
      const vectors = wanted.rows.flatMap((row) => row.thoughts.flatMap((thought) => [...thought]))
      expect(maxError(thoughts!.data as Float32Array, vectors)).toBeLessThan(5e-4)
      const scores = wanted.rows.flatMap((row) => [...row.answerLogits!])
      expect(maxError(logits!.data as Float32Array, scores)).toBeLessThan(2e-3)
    }
  }
  await session.release()
}

const questions = [
  'Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?',
  'Ann is a rempus. Bob is a gorpus. Is Ann a rempus or gorpus?',
  'Eva is a felpus. Every felpus is a dumpus. Every dumpus is a kerpus. Jack is a felpus. Every gwompus is a tumpus. ' +
    'Every tumpus is a vumpus. Is Jack a vumpus or kerpus?',
]

describe('afterthought export', () => {
  const settings: readonly [string, number, readonly string[], RefinementOptions][] = [
    ['plain', 6, [], {}],
    ['refined', 6, ['--alpha', '0.1', '--step', '0.25'], { residual: { alpha: 0.1 }, search: { step: 0.25 } }],
    [
      // Each of these steps multiplies rounding by ten: at six thoughts no two backends agree.
      'refined through the references',
      2,
      ['--step', '0.25', '--gradient', 'full', '--order', 'search-first'],
      { order: 'search-first', search: { step: 0.25, gradient: 'full' } },
    ],
  ]

  it('writes the embedded model so that ONNX Runtime thinks the same thoughts', async () => {
    const load = async (name: 'prosqa' | 'prosqa-good' | 'prosqa-bad') =>
      loadModel(await openFolder(embeddedFolder(name)), backend)
    const models = { main: await load('prosqa'), good: await load('prosqa-good'), bad: await load('prosqa-bad') }
    const prompts = questions.map((question) => encodeProsqa(question))
    const rows = prompts.map(({ promptIds }) => promptIds)
    for (const [name, latents, words, refinement] of settings) {
      const file = join(folder, `${name}.onnx`)
      const { status, stdout } = await run('--out', file, '--latents', `${latents}`, ...words)
      expect(status).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({
        file,
        weights: `${file}.data`,
        opset: 20,
        irVersion: 10,
        inputs: [
          { name: 'input_ids', dtype: 'int64', shape: ['batch', 192] },
          { name: 'attention_mask', dtype: 'int64', shape: ['batch', 192] },
        ],
        outputs: expect.arrayContaining([
          { name: 'tokens', dtype: 'int32', shape: ['batch', 1] },
          { name: 'thoughts', dtype: 'float32', shape: ['batch', latents, 128] },
        ]),
      })
      await expectRollouts(file, 192, models, rows, { latents, endIds: prompts[0]!.endIds, refinement })
    }
  })

  it('says what cannot be exported', async () => {
    const out = join(folder, 'never.onnx')
    const refused: [string[], number, RegExp][] = [
      [[], 2, /--out/],
      [['--out', out, '--control', 'pause'], 2, /pause/],
      [['--out', out, '--step', '0.1', '--control', 'random-direction'], 1, /random direction/],
      [['--out', out, '--prompt-length', '512'], 1, /positions/],
    ]
    for (const [words, status, message] of refused) {
      const result = await run(...words)
      expect(result.status).toBe(status)
      expect(JSON.parse(result.stdout).error.message).toMatch(message)
    }
    expect(existsSync(out)).toBe(false)
  })

  it.runIf(existsSync(fixture))('holds for GPT-2 and references of other element types', async () => {
    const path = await openFolder(fileURLToPath(fixture))
    const load = (file: string) => loadModel(path, backend, { file })
    const models = {
      main: await load('model.safetensors'),
      good: await load('model_good.safetensors'),
      bad: await load('model_bad.safetensors'),
    }
    const refinement = {
      order: 'search-first',
      search: { eta: 4, refEmbeddings: 'main' },
      residual: { alpha: 0.2 },
    } as const
    const options = { latents: 4, tokens: 8, endIds: [95], refinement }
    const { graph, parameters, batch } = exportGraph(models, { ...options, promptLength: 17 })
    const file = join(folder, 'gpt2.onnx')
    await exportOnnx({ graph, parameters, batch, file, wideInputs: ['input_ids', 'attention_mask'] })
    const rows = [
      [5, 17, 2, 90, 33, 8, 61, 94],
      [12, 94],
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 94],
    ]
    await expectRollouts(file, 17, models, rows, options)
  })
})
