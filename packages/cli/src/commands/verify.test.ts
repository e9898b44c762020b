import { existsSync } from 'node:fs'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../main.ts'

const fixture = new URL('../../../../../shared/fixtures/llama-tiny', import.meta.url)

async function verify(...words: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (written[name] += text) })
  const status = await main(['verify', ...words], {
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    environment: {},
    signal: new AbortController().signal,
    readInput: async () => '',
  })
  return { status, ...written }
}

describe.runIf(existsSync(fixture))('afterthought verify', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'afterthought-verify-'))
    await cp(fileURLToPath(fixture), folder, { recursive: true })
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('holds on both backends, and says so as a table', async () => {
    for (const backend of ['reference', 'onnx:cpu']) {
      const { status, stdout } = await verify(folder, '--backend', backend)
      expect(stdout).toContain(`on ${backend}: all 51 checks hold`)
      expect(status).toBe(0)
    }
  })

  it('ends with 1 and JSON of every check if one does not hold', async () => {
    const path = join(folder, 'expected.json')
    const json = await readFile(path, 'utf8')
    await writeFile(path, json.replace('"eta": 4.0', '"eta": 5.0'))
    const { status, stdout } = await verify(folder, '--backend', 'reference', '--json')
    await writeFile(path, json)
    const report = JSON.parse(stdout) as { ok: boolean; checks: { name: string; ok: boolean }[] }
    expect([status, report.ok]).toEqual([1, false])
    expect(report.checks.find(({ name }) => name === 'refine.crfs')).toMatchObject({ ok: false, tolerance: 5e-4 })
    expect(report.checks.find(({ name }) => name === 'plain.logits')).toMatchObject({ ok: true })
  })

  it('reports a folder that is no fixture', async () => {
    await rm(join(folder, 'model_bad.safetensors'))
    const { status, stdout } = await verify(folder, '--backend', 'reference', '--json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'FILE', where: expect.stringContaining('model_bad') } })
  })
})
