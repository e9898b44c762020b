import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../main.ts'

const question = 'Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?'

async function trace(...words: string[]): Promise<{ status: number; stdout: string }> {
  let stdout = ''
  const status = await main(['trace', '--backend', 'reference', '--quiet', ...words], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: () => true },
    environment: {},
    signal: new AbortController().signal,
    readInput: async () => `${question}\n`,
  })
  return { status, stdout }
}

describe('afterthought trace', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'afterthought-trace-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('is one JSON document, with vectors only where they are asked for', async () => {
    const plain = JSON.parse((await trace(question, '--latents', '2', '--json')).stdout)
    expect(plain).toMatchObject({ question, answer: 'Tom is a lorpus.' })
    expect(plain.thoughts).toHaveLength(2)
    expect(plain.thoughts[0].top).toHaveLength(5)
    expect(plain.thoughts[0].frontier).toEqual(['wumpus'])
    expect(plain.thoughts[0].vector).toBeUndefined()
    const { stdout } = await trace('-', '--latents', '2', '--step', '0.01', '--top', '3', '--vectors', '--json')
    const { thoughts } = JSON.parse(stdout)
    expect(thoughts[1].vector).toHaveLength(128)
    expect(Math.hypot(...thoughts[1].vector)).toBeCloseTo(thoughts[1].norm, 4)
    for (const reading of [thoughts[0].top, thoughts[0].good, thoughts[0].bad]) expect(reading).toHaveLength(3)
  })

  it('writes a page and a drawing, refined beside plain', async () => {
    const [html, svg] = [join(folder, 'new', 'trace.html'), join(folder, 'trace.svg')]
    const { status, stdout } = await trace(
      question,
      '--alpha',
      '0.3',
      '--latents',
      '2',
      '--html',
      html,
      '--svg',
      svg,
      '--json',
    )
    expect(status).toBe(0)
    expect(JSON.parse(stdout).files).toEqual({ html, svg })
    for (const text of [await readFile(html, 'utf8'), await readFile(svg, 'utf8')]) {
      expect(text).toContain('<title id="')
      expect(text).toContain('Thought 2')
      expect(text).toContain('alpha 0.3')
      expect(text).toContain('plain')
    }
  })
})
