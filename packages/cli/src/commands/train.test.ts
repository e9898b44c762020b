import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { tinyRecipe } from '../../../train/test/tiny-recipe.ts'
import { tinyFiles, tinySums, tinyTextRecipe } from '../../../train/test/tiny-text.ts'

const folder = mkdtempSync(join(tmpdir(), 'afterthought-train-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const recipe = join(folder, 'tiny.json')
const phases = tinyRecipe.phases.map((phase) => ({ ...phase, steps: 40 * phase.steps }))
writeFileSync(recipe, JSON.stringify({ ...tinyRecipe, phases }))

const bin = fileURLToPath(new URL('../../bin/afterthought.js', import.meta.url))
const environment = { ...process.env, AFTERTHOUGHT_SOURCE: '1' }

/** Starts the command; the second promise is its exit status, null if it was killed. */
function train(words: readonly string[]): { readonly kill: () => void; readonly status: Promise<number | null> } {
  const options = ['--backend', 'onnx:cpu', '--threads', '2', '--checkpoint-every', '1', '--json', '--quiet']
  const child = spawn(process.execPath, [bin, 'train', ...words, ...options], { env: environment, stdio: 'ignore' })
  const status = new Promise<number | null>((resolve) => child.on('exit', resolve))
  return { kill: () => child.kill('SIGKILL'), status }
}

describe('train', () => {
  it('ends the same bit by bit when it is killed at any moment and taken up again', { timeout: 300_000 }, async () => {
    const [whole, broken] = [join(folder, 'whole'), join(folder, 'broken')]
    expect(await train([recipe, '--out', whole]).status).toBe(0)
    let status: number | null = null
    let kills = 0
    while (status === null && kills < 6) {
      const { kill, status: ended } = train(
        existsSync(join(broken, 'state.safetensors')) ? ['--resume', broken] : [recipe, '--out', broken],
      )
      const killed = setTimeout(2500 + 2500 * Math.random(), undefined).then(kill)
      status = await ended
      if (status === null) kills++
      await killed
    }
    if (status === null) status = await train(['--resume', broken]).status
    expect(status).toBe(0)
    expect(kills).toBeGreaterThan(0)
    for (const file of ['state.safetensors', 'model/model.safetensors', 'early/model.safetensors']) {
      expect(readFileSync(join(broken, file)).equals(readFileSync(join(whole, file))), file).toBe(true)
    }
    const steps = (path: string): number[] =>
      readFileSync(join(path, 'log.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { step: number; loss?: number })
        .flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))
    expect(steps(broken)).toEqual(steps(whole))
    expect(readFileSync(join(broken, 'curves.svg'), 'utf8')).toContain('<svg')
    expect(await train([recipe, '--out', whole]).status, 'no run is written over').toBe(2)
  })

  it.each([
    ['Ctrl-C', 130, (child: ChildProcess) => child.kill('SIGINT')],
    ['the end of whoever reads its lines', 0, (child: ChildProcess) => child.stdout!.destroy()],
    ['both at once', 130, (child: ChildProcess) => child.stdout!.destroy() && child.kill('SIGINT')],
  ] as const)('writes a checkpoint after %s', async (name, expected, stop) => {
    const out = join(folder, name)
    const words = [bin, 'train', recipe, '--out', out, '--report-every', '1', '--json']
    const child = spawn(process.execPath, words, { env: environment })
    child.stdout.once('data', () => stop(child))
    const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect(status).toBe(expected)
    expect(stderr).toMatch(/^steps 1 to .*\nafterthought: interrupted\. Go on with .*\n$/)
    expect(existsSync(join(out, 'state.safetensors'))).toBe(true)
  })

  it('trains a model further on text, and takes that up again from anywhere', async () => {
    const base = join(folder, 'base')
    mkdirSync(base)
    for (const [name, content] of Object.entries(tinyFiles())) writeFileSync(join(base, name), content)
    const [path, sums, out] = ['text.json', 'sums.json', 'text-run'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    const { model, data, validation, ...stages } = tinyTextRecipe
    writeFileSync(path, JSON.stringify({ ...stages, epochs: 5, keepBest: true }))
    writeFileSync(sums, JSON.stringify(tinySums.records))
    expect(await train([path, '--out', out]).status, 'nothing to train on').toBe(2)
    expect(await train([recipe, '--out', out, '--data', sums]).status, 'no use for it').toBe(2)
    const asked = ['--model', relative(process.cwd(), base), '--data', sums, '--validation', sums]
    expect(await train([path, '--out', out, ...asked, '--steps', '3']).status).toBe(0)
    writeFileSync(sums, JSON.stringify(tinySums.records.slice(1)))
    expect(await train(['--resume', out]).status, 'other questions').toBe(1)
    writeFileSync(sums, JSON.stringify(tinySums.records))
    expect(await train(['--resume', out]).status).toBe(0)
    const log = readFileSync(join(out, 'log.jsonl'), 'utf8').trim().split('\n')
    const lines = log.map((line) => JSON.parse(line) as Record<string, number>)
    expect(lines.at(-1)).toMatchObject({ step: 10, validated: 5 })
    const competed = lines.filter(({ best }) => best !== undefined)
    expect(competed.map(({ step }) => step)).toEqual([8, 10])
    expect(competed[0]!.best).toBe(1)
    expect(competed[1]!.best).toBe(Number(competed[1]!.accuracy! > competed[0]!.accuracy!))
    expect(readFileSync(join(out, 'best/model.safetensors')).length).toBeGreaterThan(0)
    expect(JSON.parse(readFileSync(join(out, 'model/latent_config.json'), 'utf8'))).toMatchObject({ latents: 2 })
  })

  it('says where the log of a run is damaged', async () => {
    const out = join(folder, 'damaged')
    expect(await train([recipe, '--out', out, '--steps', '1']).status).toBe(0)
    writeFileSync(join(out, 'log.jsonl'), '{"step":1}\n{"ste')
    const resumed = spawnSync(process.execPath, [bin, 'train', '--resume', out], { env: environment, encoding: 'utf8' })
    expect(resumed.status).toBe(1)
    expect(resumed.stderr).toMatch(/log\.jsonl, line 2: not a line of a training log/)
  })

  it('refuses a recipe that is not there, and a command line without one', async () => {
    expect(await train(['no-such-recipe']).status).toBe(2)
    expect(await train([]).status).toBe(2)
  })
})
