import { describe, expect, it } from 'vitest'
import { maxError, type RandomFamily, randomModel } from '../../testing/index.ts'
import type { Buffer } from '../backend.ts'
import { lower } from '../compile/lower.ts'
import { reference } from '../reference/backend.ts'
import type { Graph } from '../tensor/graph.ts'
import type { HostArray } from '../tensor/types.ts'
import { type ExportGraphOptions, exportGraph } from './export-graph.ts'
import type { ThoughtModels } from './programs.ts'
import { rollout } from './rollout.ts'

const backend = reference()
const trio = (family: RandomFamily): Required<ThoughtModels> => ({
  main: randomModel(family, backend, 1),
  good: randomModel(family, backend, 2),
  bad: randomModel(family, backend, 3),
})
const prompts = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5, 3],
  [5, 8, 9, 7, 9],
]

/** Runs a graph of a fixed batch on the rows; padding holds a token of its own. */
async function run(
  models: ThoughtModels,
  options: ExportGraphOptions,
  rows: readonly (readonly number[])[],
): Promise<Record<string, HostArray>> {
  const { graph, parameters } = exportGraph(models, { ...options, batch: rows.length })
  const program = await backend.compile(graph, parameters)
  const { promptLength } = options
  const padded = (fill: number, of: (row: readonly number[]) => readonly number[]): Buffer => {
    const data = Int32Array.from(
      rows.flatMap((row) => [...new Array<number>(promptLength - row.length).fill(fill), ...of(row)]),
    )
    return backend.upload({ shape: [rows.length, promptLength], dtype: 'i32', data })
  }
  const outputs = await program.run({
    input_ids: padded(36, (row) => row),
    attention_mask: padded(0, (row) => row.map(() => 1)),
  })
  const host: Record<string, HostArray> = {}
  for (const [name, buffer] of Object.entries(outputs)) host[name] = await backend.download(buffer)
  return host
}

describe('exportGraph', () => {
  const refinement = { search: { step: 0.2, refEmbeddings: 'main' }, residual: { alpha: 0.3 } } as const
  const settings: Record<string, Omit<ExportGraphOptions, 'promptLength'>> = {
    plain: { latents: 3, tokens: 4, endIds: [7, 11] },
    refined: { latents: 3, tokens: 4, endIds: [7], refinement },
    'without thoughts': { latents: 0, tokens: 2, endIds: [7, 11] },
  }

  for (const family of ['gpt2', 'llama'] as const) {
    for (const [name, options] of Object.entries(settings)) {
      it(`${family}, ${name}: as both plans, for ragged rows and for one`, async () => {
        const models = trio(family)
        for (const rows of [prompts, prompts.slice(1, 2)]) {
          const exported = await run(models, { ...options, promptLength: 9 }, rows)
          for (const plan of ['stepped', 'trajectory'] as const) {
            const wanted = await rollout(models, rows, { ...options, plan, stopIds: [], answerLogits: true })
            expect([...exported.tokens!]).toEqual(wanted.rows.flatMap(({ tokens }) => tokens))
            const thoughts = wanted.rows.flatMap((row) => row.thoughts.flatMap((thought) => [...thought]))
            expect(maxError(exported.thoughts ?? [], thoughts)).toBeLessThan(1e-5)
            const logits = wanted.rows.flatMap((row) => [...row.answerLogits!])
            expect(maxError(exported.answer_logits!, logits)).toBeLessThan(1e-4)
          }
        }
      })
    }
  }

  it('traces the batch as an extent that nothing else is a multiple of', () => {
    for (const family of ['gpt2', 'llama', 'qwen2', 'qwen3'] as const) {
      const options = { promptLength: 9, latents: 2, tokens: 2, endIds: [7], refinement }
      const any = exportGraph(trio(family), options)
      const other = exportGraph(trio(family), { ...options, batch: 1009 })
      expect(any.batch).not.toBe(1009)
      // What scales with the batch is a multiple of it in both graphs, and everything else is the same in both.
      expect(perRow(any.graph, any.batch)).toEqual(perRow(other.graph, 1009))
    }
  })

  it('refuses what a file cannot hold', () => {
    const models = trio('llama')
    const plain = { promptLength: 9, latents: 2 }
    const search = { step: 0.1 }
    expect(() => exportGraph(models, { ...plain, refinement: { search: { eta: 1, reduction: 'batchMean' } } })).toThrow(
      /batchMean/,
    )
    expect(() => exportGraph(models, { ...plain, refinement: { search, control: 'randomDirection' } })).toThrow(
      /random/,
    )
    expect(() => exportGraph({ main: models.main }, { ...plain, refinement: { search } })).toThrow(/good reference/)
    expect(() => exportGraph(models, { ...plain, promptLength: 63 })).toThrow(/positions/)
    expect(() => exportGraph(models, { ...plain, promptLength: 0 })).toThrow(/promptLength/)
    expect(() => exportGraph(models, { ...plain, endIds: [99] })).toThrow(/token id/)
  })
})

/** The shape of every value, with each multiple of the batch as a text. */
function perRow(graph: Graph, batch: number): (number | string)[][] {
  const scaled = (extent: number): number | string => (extent % batch === 0 ? `${extent / batch} B` : extent)
  return lower(graph, backend.ops).nodes.flatMap(({ outputs }) => outputs.map(({ shape }) => shape.map(scaled)))
}
