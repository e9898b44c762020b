import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel, reference, rollout } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { peers, runBench, suites } from './index.ts'
import { floor } from './peers/floor.ts'
import { randomGpt2 } from './random-gpt2.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bench-'))
  vi.stubEnv('XDG_CACHE_HOME', root)
  vi.stubEnv('AFTERTHOUGHT_PEERS', join(root, 'no such environment'))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

test('the floor computes what the reference backend computes', async () => {
  const folder = await randomGpt2({ layers: 2, heads: 3, width: 24, vocabSize: 97, positions: 31 }, 1, root)
  const backend = reference()
  const model = await loadModel(await openFolder(folder), backend)
  await using contender = await floor.open(folder, 1)
  for (const workload of [
    { prompt: [5, 90, 13, 13, 0, 71, 2], latents: 3, tokens: 5 },
    { prompt: [42], latents: 1, tokens: 1 },
  ]) {
    const { rows } = await rollout({ main: model }, [workload.prompt], { ...workload, stopIds: [] })
    const { tokens, thoughts, ms } = await contender.run(workload)
    expect(tokens).toEqual(rows[0]!.tokens)
    expect(thoughts).toHaveLength(workload.latents)
    thoughts.forEach((thought, t) => {
      for (let i = 0; i < 24; i++) expect(thought[i]).toBeCloseTo(rows[0]!.thoughts[t]![i]!, 4)
    })
    expect(ms).toBeGreaterThan(0)
  }
  await backend.dispose()
})

test('trajectory: all rows that are relied on, the same numbers as the floor, missing peers named', async () => {
  const seen: string[] = []
  const report = await runBench('trajectory', { profile: 'quick', threads: 1, onRow: ({ name }) => seen.push(name) })
  const rows = new Map(report.rows.map((row) => [row.name, row]))
  expect([...rows.keys()]).toEqual(seen)
  expect(seen).toEqual([
    ...['session start', 'memory', 'memory of the process', 'prepacked/mapped', 'trajectory/stepped'],
    ...['floor', 'hf', 'coconut'].flatMap((peer) => [`20+3+3/${peer}`, `20+3+5/${peer}`]),
    ...['refined/plain', 'int4/f32', 'int8/f32'],
  ])
  for (const { name, ours, theirs, ratio } of report.rows) {
    for (const spread of [ours, theirs, ratio]) {
      if (!spread) continue
      expect(spread.min, name).toBeGreaterThan(0)
      expect(spread.median, name).toBeGreaterThanOrEqual(spread.min)
      expect(spread.max, name).toBeGreaterThanOrEqual(spread.median)
    }
  }
  for (const name of ['prepacked/mapped', 'trajectory/stepped', '20+3+3/floor', '20+3+5/floor']) {
    const { agreement } = rows.get(name)!
    expect(agreement!.tokens, name).toBe(name.includes('+5') ? 5 : 3)
    expect(agreement!.thoughts, name).toBeLessThan(1e-4)
  }
  for (const peer of ['hf', 'coconut']) {
    const row = rows.get(`20+3+5/${peer}`)!
    expect(row.peer).toBe(peer)
    expect(row.ratio).toBeUndefined()
    expect(row.skipped).toMatch(/^python3 -m venv .*no such environment.*pip install -r .*requirements\.txt"$/)
  }
  expect(report.suite).toBe('trajectory')
  expect(report.machine).toMatchObject({ threads: 1, versions: { node: process.versions.node } })
  expect(report.machine.versions['onnxruntime-node']).toMatch(/^1\.\d+\.\d+$/)
})

test('decode: a given model, no peers', async () => {
  const model = await randomGpt2({ layers: 1, heads: 2, width: 32, vocabSize: 53, positions: 16 }, 3, root)
  const { rows } = await runBench('decode', { profile: 'quick', threads: 1, peers: [], model })
  expect(rows.map(({ name, ours }) => [name, ours.unit])).toEqual([
    ['int8/f32', 'ms/token'],
    ['int4/f32', 'ms/token'],
  ])
})

test('webgpu: what a dispatch costs, and the block as jax-js computes it', async () => {
  const { rows } = await runBench('webgpu', { profile: 'quick', threads: 1 })
  expect(rows.map(({ name, ours }) => [name, ours.unit.slice(0, 2)])).toEqual([
    ['dispatch', 'µs'],
    ['block/jax-js', 'ms'],
    ['prefill64/jax-js', 'ms'],
  ])
  expect(rows[0]!.ours.min).toBeGreaterThan(0)
  expect(rows[0]!.setting).toMatch(/^20\+6\+8 of 2 layers, \d{3} dispatches, \S/)
  for (const { name, agreement, ratio } of rows.slice(1)) {
    expect(agreement!.thoughts, name).toBeLessThan(1e-5)
    expect(ratio!.min, name).toBeGreaterThan(0)
  }
})

test('unknown names are refused with the known ones', async () => {
  await expect(runBench('nothing')).rejects.toThrow(
    /unknown suite; expected trajectory, decode, train, webgpu, got nothing/,
  )
  await expect(runBench('decode', { peers: ['floor'] })).rejects.toThrow(/unknown peer; expected hf, got floor/)
})

test('suites name peers that exist', () => {
  for (const suite of Object.values(suites)) for (const peer of suite.peers) expect(peers).toHaveProperty(peer)
})
