/** The commands in this process, on the reference backend: JSON shapes as programs rely on them, and exit statuses. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tinyRecipe } from '../../train/test/tiny-recipe.ts'
import { commands } from './commands.ts'
import { main } from './main.ts'

const QUESTION = 'Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?'
const ON = ['--backend', 'reference']

interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

async function run(words: readonly string[], input = '', signal = new AbortController().signal): Promise<Ran> {
  let [stdout, stderr] = ['', '']
  const status = await main(words, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: {},
    signal,
    readInput: async () => input,
  })
  return { status, stdout, stderr }
}

/** Runs with `--json`, expects success, and gives the one document. */
async function json<Document = Record<string, unknown>>(...words: string[]): Promise<Document> {
  const { status, stdout, stderr } = await run([...words, '--json'])
  expect({ status, stderr }).toMatchObject({ status: 0 })
  expect(stdout.trimEnd()).not.toContain('\n')
  return JSON.parse(stdout) as Document
}

const number = expect.any(Number)

interface Solved {
  readonly answer: string
  readonly settings: { readonly refinement?: unknown }
  readonly thoughts: readonly {
    readonly t: number
    readonly norm: number
    readonly displacement: number
    readonly moved: number
    readonly top: readonly unknown[]
    readonly good: readonly unknown[]
    readonly bad: readonly unknown[]
    readonly frontier: readonly string[]
  }[]
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'afterthought-main-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('JSON', () => {
  test('solve', async () => {
    const document = await json<Solved>('solve', QUESTION, '--latents', '2', '--top', '3', ...ON)
    expect(document).toMatchObject({
      question: QUESTION,
      answer: 'Tom is a lorpus.',
      answerIds: [2],
      settings: { model: 'prosqa', backend: 'reference', latents: 2, seed: 0 },
      ms: { load: number, run: number },
    })
    expect(document.thoughts.map((thought) => [thought.t, thought.frontier])).toEqual([
      [1, ['wumpus']],
      [2, ['lorpus']],
    ])
    const { top, norm, displacement } = document.thoughts[0]!
    expect([norm, displacement]).toEqual([number, number])
    expect(top).toHaveLength(3)
    expect(top[0]).toEqual({ id: 1, token: 'wumpus', logit: number, probability: number })
  })

  test('solve on WebGPU: the same thoughts, and software is called so', async () => {
    const words = ['solve', QUESTION, '--latents', '2', '--alpha', '0.5', '--json']
    const [ours, theirs] = [
      await run([...words, '--backend', 'webgpu']),
      await json<Solved>(...words.slice(0, -1), ...ON),
    ]
    expect(ours.status).toBe(0)
    expect(ours.stderr).toMatch(/^(webgpu: the adapter is software .*)?$/m)
    const { settings, answer, thoughts } = JSON.parse(ours.stdout)
    expect([settings.backend, answer]).toEqual(['webgpu', theirs.answer])
    theirs.thoughts.forEach(({ norm, moved }, t) => {
      expect(thoughts[t].norm).toBeCloseTo(norm, 3)
      expect(thoughts[t].moved).toBeCloseTo(moved, 3)
    })
  })

  test('solve refined: the settings say how, and the thoughts moved', async () => {
    const words = [
      'solve',
      QUESTION,
      '--latents',
      '2',
      '--alpha',
      '0.5',
      '--step',
      '0.25',
      '--order',
      'search-first',
      ...ON,
    ]
    const { settings, thoughts } = await json<Solved>(...words)
    expect(settings.refinement).toEqual({
      order: 'search-first',
      residual: { alpha: 0.5 },
      search: { step: 0.25 },
    })
    for (const { moved, good, bad } of thoughts) {
      expect(moved).toBeGreaterThan(0)
      expect([good.length, bad.length]).toEqual([5, 5])
    }
  })

  test('solve with the references: the answer behind the reasoning that they write', async () => {
    const { answer, answerIds } = await json<Solved & { answerIds: number[] }>(
      'solve',
      QUESTION,
      '--model',
      'prosqa-good',
      ...ON,
    )
    expect(answer).toBe('Tom is a lorpus.')
    expect(answerIds).toContain(44) // [A], behind the facts and before the answer
  })

  test('generate: the new ids with the end token, or N of them without stopping', async () => {
    const ended = await json('generate', '--ids', '40,0,1,42,1,2,43,0', '--max-tokens', '4', ...ON)
    expect(ended).toEqual({
      ids: expect.any(Array),
      text: expect.any(String),
      finish: expect.stringMatching(/^(eos|length)$/),
      ms: { load: number, prefill: number, decode: number },
    })
    const free = await json('generate', '--ids', '40,0,1,42,1,2,43,0', '--max-tokens', '5', '--no-eos', ...ON)
    expect(free.ids).toHaveLength(5)
    expect(free.finish).toBe('length')
    const drawn = async (seed: string) =>
      (await json('generate', '--ids', '0,1', '--max-tokens', '8', '--temperature', '9', '--seed', seed, ...ON)).ids
    expect(await drawn('1')).toEqual(await drawn('1'))
    expect(await drawn('1')).not.toEqual(await drawn('2'))
  })

  test('eval: one row for explicit options, with every figure', async () => {
    const items = join(folder, 'one.jsonl')
    const document = await json<{ rows: unknown[] }>('eval', '--limit', '4', '--alpha', '0.1', '--items', items, ...ON)
    expect(document).toMatchObject({ data: 'prosqa-sample.json', n: 4, seed: 0 })
    expect(document.rows).toHaveLength(1)
    expect(document.rows[0]).toMatchObject({
      name: 'alpha 0.1',
      settings: { latents: 6, refinement: { residual: { alpha: 0.1 } } },
      correct: 4,
      n: 4,
      accuracy: 1,
      interval: [number, 1],
      twoWay: { correct: 4, n: 4 },
      paired: { correct: 2, n: 2 },
      byHop: { 3: { correct: number, n: number } },
      tokensPerQuestion: 1,
      latents: 6,
      msPerQuestion: number,
    })
    const lines = readFileSync(items, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map((line) => line.index)).toEqual([0, 1, 2, 3])
    for (const line of lines) {
      expect(line).toMatchObject({
        row: 'alpha 0.1',
        gold: expect.any(String),
        answer: expect.any(String),
        answerIds: [number],
        correct: true,
        latents: 6,
        tokens: 1,
      })
    }
  })

  test('eval: presets and controls are rows, compared with the first', async () => {
    const { rows } = await json<{ rows: { name: string; latents: number; against?: unknown }[] }>(
      'eval',
      '--limit',
      '2',
      '--settings',
      'plain',
      'both',
      '--controls',
      'zero,latents-1',
      ...ON,
    )
    expect(rows.map((row) => row.name)).toEqual(['plain', 'both', 'zero', 'latents-1'])
    expect(rows[0]!.against).toBeUndefined()
    const comparison = { row: 'plain', b: number, c: number, p: number, difference: number, interval: [number, number] }
    for (const row of rows.slice(1)) expect(row.against).toMatchObject(comparison)
    expect(rows[3]!.latents).toBe(1)
  })

  test('sweep: the grid, its best cell, and a drawing', async () => {
    const svg = join(folder, 'grid.svg')
    const words = [
      'sweep',
      '--limit',
      '2',
      '--alphas',
      '0',
      '1',
      '--steps',
      '0',
      '--latents',
      '0,6',
      '--svg',
      svg,
      ...ON,
    ]
    type Grid = { data: string; n: number; best: unknown; grid: { alpha: number; step: number; latents: number }[] }
    const { data, n, grid, best } = await json<Grid>(...words)
    expect([data, n]).toEqual(['prosqa-validation.json', 2])
    expect(grid.map(({ alpha, step, latents }) => [latents, alpha, step])).toEqual([
      [0, 0, 0],
      [0, 1, 0],
      [6, 0, 0],
      [6, 1, 0],
    ])
    expect(best).toEqual({ alpha: 0, step: 0, latents: 6, correct: 2, accuracy: 1 })
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg /)
  })

  test('sweep warns where the file is for testing', async () => {
    const path = join(folder, 'prosqa_test.json')
    const sample = JSON.parse(readFileSync(new URL('../data/prosqa-sample.json', import.meta.url), 'utf8'))
    writeFileSync(path, JSON.stringify(sample.slice(0, 2)))
    const { status, stderr } = await run(['sweep', path, '--alphas', '0', '--steps', '0', ...ON])
    expect(status).toBe(0)
    expect(stderr).toMatch(/looks like a test file/)
  })

  test('models', async () => {
    const list = await json<{ id: string }[]>('models')
    expect(list.slice(0, 4).map((model) => model.id)).toEqual(['prosqa', 'prosqa-early', 'prosqa-good', 'prosqa-bad'])
    expect(list[0]).toEqual({
      id: 'prosqa',
      folder: expect.any(String),
      bytes: number,
      family: 'llama',
      parameters: 334_464,
      cached: false,
      purpose: expect.any(String),
    })
  })

  test('doctor', async () => {
    type Report = {
      runtime: unknown
      chosen: string
      backends: { name: string; available: boolean; reason?: string }[]
    }
    const { runtime, backends, chosen } = await json<Report>('doctor')
    expect(runtime).toEqual({ name: 'node', version: process.versions.node })
    const available = backends.filter((backend) => backend.available).map((backend) => backend.name)
    expect(available).toContain('reference')
    expect(available).toContain(chosen)
    for (const { available, reason } of backends) if (!available) expect(reason).toEqual(expect.any(String))
  })
})

describe('for people', () => {
  test('solve marks what the graph expects of each thought; the question may come from standard input', async () => {
    const { status, stdout } = await run(['solve', '-', '--latents', '2', ...ON], `${QUESTION}\n`)
    expect(status).toBe(0)
    expect(stdout).toMatch(/1 .*●wumpus 1\.00/)
    expect(stdout).toMatch(/2 .*●lorpus 1\.00/)
    expect(stdout.trimEnd().endsWith('Tom is a lorpus.')).toBe(true)
    expect(stdout).not.toContain('\u001B')
  })

  test('eval names counts, intervals and the best blind rule', async () => {
    const { stdout } = await run(['eval', '--limit', '4', ...ON])
    expect(stdout).toMatch(/plain +4\/4 +100\.0 % +51\.0 … 100\.0 +2\/2/)
    expect(stdout).toMatch(/Best rule that ignores the question: .*50\.0 %/)
  })

  test('the program and every command explain themselves, with examples', async () => {
    const { status, stdout } = await run(['--help'])
    expect(status).toBe(0)
    for (const name of Object.keys(commands)) {
      expect(stdout).toContain(name)
      const help = await run([name, '--help'])
      expect(help.status).toBe(0)
      expect(help.stdout).toContain(`afterthought ${name}`)
      expect(help.stdout).toContain('Examples')
      expect(help.stdout).toContain('--json')
      const wide = help.stdout.split('\n').filter((line) => line.length > 118 && !line.startsWith('  afterthought'))
      expect(wide).toEqual([])
    }
  })

  test('--version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    expect(await run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })
})

test('the names of controls are those of core', async () => {
  const [{ CONTROLS }, { controls }] = await Promise.all([
    import('./commands/eval.ts'),
    import('@afterthought/core/evaluation'),
  ])
  const named = controls.map(({ name }) => name).filter((name) => !name.startsWith('latents-'))
  expect([...CONTROLS].sort()).toEqual(['all', ...named].sort())
})

describe('wrong use and failures', () => {
  test.each([
    [['solv', 'x'], 2, 'USAGE', /Did you mean solve\?/],
    [['solve'], 2, 'USAGE', /QUESTION is missing/],
    [['solve', 'a', 'b'], 2, 'USAGE', /a word too many/],
    [['solve', QUESTION, '--wibble'], 2, 'USAGE', /--wibble: unknown option/],
    [['solve', QUESTION, '--replace', 'permute', ...ON], 2, 'USAGE', /afterthought eval/],
    [['solve', 'What?', ...ON], 1, 'ARGUMENT', /question/],
    [['solve', QUESTION, '--alpha', '2', ...ON], 2, 'USAGE', /--alpha: .*a number from 0 to 1/],
    [['solve', QUESTION, '--alpha', '0.1', '--apply-at', '9', ...ON], 2, 'USAGE', /--apply-at: .*6 thoughts, got 9/],
    [['solve', QUESTION, '--good', 'prosqa-bad', ...ON], 2, 'USAGE', /--good: has no effect without --step/],
    [['trace', QUESTION, '--svg', tmpdir(), ...ON], 2, 'USAGE', /--svg .*a folder, not a file/],
    [['solve', QUESTION, '--model', './nowhere'], 1, 'FILE', /no such folder/],
    [['solve', QUESTION, '--dtype', 'int8', ...ON], 2, 'USAGE', /--dtype/],
    [['generate', ...ON], 2, 'USAGE', /nothing to start from/],
    [['generate', '--ids', '1', '--prompt', 'a', ...ON], 2, 'USAGE', /more than one prompt/],
    [['generate', '--ids', '1,a', ...ON], 2, 'USAGE', /not a token id/],
    [['generate', '--ids', '1,999999', ...ON], 1, 'ARGUMENT', /token id out of range/],
    [['generate', '--ids', '1', '--max-tokens', '9999', ...ON], 1, 'CAPACITY', /more positions/],
    [['generate', '--ids', '1', '--top-p', '2', ...ON], 2, 'USAGE', /--top-p: .*above 0, at most 1/],
    [['generate', '--ids', '1', '--temperature', '-1', ...ON], 2, 'USAGE', /--temperature: .*from 0 on/],
    [['generate', '--ids', '1', '--greedy', '--top-k', '2', ...ON], 2, 'USAGE', /contradicts/],
    [['generate', '--prompt', QUESTION, ...ON], 2, 'USAGE', /afterthought solve/],
    [['generate', '--chat', 'Hi', ...ON], 1, 'CONFIG', /no chat template/],
    [['eval', './nowhere.json', ...ON], 1, 'FILE', /no such file/],
    [['eval', '--controls', 'wibble', '--limit', '2', ...ON], 2, 'USAGE', /--controls: .*latents-K/],
    [['verify', 'fixtures/nowhere', ...ON], 1, 'FILE', /no such folder/],
    [['train', '--resume', 'nowhere', ...ON], 1, 'FILE', /no run to go on with.*CONFIG --out/],
    [['train', '--resume', 'nowhere', '--seed', '5', ...ON], 2, 'USAGE', /--seed: has no effect with --resume/],
    [['train', 'package.json', ...ON], 1, 'CONFIG', /package\.json/],
    [['eval', '--settings', 'wibble', ...ON], 2, 'USAGE', /--settings/],
    [['complete', 'tcsh'], 2, 'USAGE', /unknown shell/],
  ] as const)('%j', async (words, status, code, message) => {
    const failed = await run([...words, '--json'])
    expect(failed.status).toBe(status)
    const { error } = JSON.parse(failed.stdout)
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(failed.stderr).toBe(`afterthought: ${error.message}\n`)
  })

  test('references are asked for where the model has none of its own', async () => {
    const model = fileURLToPath(new URL('../models/prosqa/main', import.meta.url))
    const { status, stdout } = await run(['solve', QUESTION, '--model', model, '--step', '1', '--json', ...ON])
    expect(status).toBe(1)
    expect(JSON.parse(stdout).error.message).toMatch(/reference is missing/)
  })

  test('weights that are not numbers', async () => {
    const source = new URL('../models/prosqa/main/', import.meta.url)
    const weights = readFileSync(new URL('model.safetensors', source))
    weights.fill(0xff, weights.length - 64) // the last floats: NaN
    for (const name of ['config.json', 'latent_config.json', 'tokenizer.json']) {
      writeFileSync(join(folder, name), readFileSync(new URL(name, source)))
    }
    writeFileSync(join(folder, 'model.safetensors'), weights)
    const { status, stdout } = await run(['solve', QUESTION, '--model', folder, '--json', ...ON])
    expect(status).toBe(1)
    expect(JSON.parse(stdout).error.code).toBe('NUMERIC')
  })

  /** Runs a command that Ctrl-C has stopped before its first batch. */
  async function interrupt(words: readonly string[]): Promise<Ran> {
    const interrupted = new AbortController()
    interrupted.abort()
    return run(words, '', interrupted.signal)
  }

  test('an interrupted command ends with 130', async () => {
    const { status, stdout } = await interrupt(['eval', '--limit', '2', '--json', ...ON])
    expect(status).toBe(130)
    expect(JSON.parse(stdout).error.code).toBe('ABORTED')
  })

  test('an interrupted training says how it goes on, and does', async () => {
    const [recipe, out, validation] = ['tiny.json', 'run', 'few.json'].map((name) => join(folder, name))
    const sample = JSON.parse(readFileSync(new URL('../data/prosqa-sample.json', import.meta.url), 'utf8'))
    writeFileSync(recipe!, JSON.stringify(tinyRecipe))
    writeFileSync(validation!, JSON.stringify(sample.slice(0, 2)))
    const options = ['--validation', validation!, ...ON]
    const stopped = await interrupt(['train', recipe!, '--out', out!, ...options])
    expect(stopped.status).toBe(130)
    expect(stopped.stderr).toContain(`interrupted. Go on with afterthought train --resume ${out}`)
    const resumed = await run(['train', '--resume', out!, '--steps', '1', ...options])
    expect(resumed.status).toBe(0)
    expect(resumed.stderr.match(/step 1\/1 /g)).toHaveLength(1)
  })
})
