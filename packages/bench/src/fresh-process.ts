/**
 * What a process pays for a model, in a process of its own: argv is a model folder, threads, and a workload as JSON. One
 * line of JSON comes back, a {@link FreshStart}.
 */

import { readFile } from 'node:fs/promises'
import { onnx } from '@afterthought/backend-onnx'
import { derivedBackend, loadModel, rollout } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import type { Workload } from './contender.ts'

export interface FreshStart {
  /** From the folder to a session that can take its first token, with the backend open. */
  readonly startMs: number
  /** Memory of the whole process after a rollout with the defaults, mapped weights included once. */
  readonly processBytes: number
  /** Of these, what came with the model: not the runtimes of JavaScript and ONNX, which were there before it. */
  readonly modelBytes: number
}

const [folder, threads, workload] = process.argv.slice(2) as [string, string, string]
const backend = await onnx({ provider: 'cpu', threads: Number(threads) })
let ready = 0
const watched = derivedBackend(backend, {
  async compile(graph, parameters) {
    const executable = await backend.compile(graph, parameters)
    ready ||= performance.now()
    return executable
  },
})
const emptyBytes = await memoryInUse()
const started = performance.now()
const model = await loadModel(await openFolder(folder), watched)
const { prompt, latents, tokens } = JSON.parse(workload) as Workload
const cache = model.createCache(1, prompt.length)
await model.forward(cache, model.uploadIds([[prompt[0]!]], 1), { logits: 'last' })
cache.dispose()
await rollout({ main: model }, [prompt], { latents, tokens, stopIds: [] })
const processBytes = await memoryInUse()
const result: FreshStart = { startMs: ready - started, processBytes, modelBytes: processBytes - emptyBytes }
process.stdout.write(`${JSON.stringify(result)}\n`)
await backend.dispose()

/**
 * Every session maps the weights anew, and the resident size counts a page once per mapping; the proportional size counts
 * it once. Where a system does not tell that one, the resident size stands in.
 */
async function memoryInUse(): Promise<number> {
  const text = await readFile('/proc/self/smaps_rollup', 'utf8').catch(() => '')
  const proportional = /^Pss:\s+(\d+) kB$/m.exec(text)?.[1]
  return proportional === undefined ? process.memoryUsage.rss() : Number(proportional) * 1024
}
