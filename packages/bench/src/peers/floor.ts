/**
 * The floor: a hand-written graph on bare ONNX Runtime, in the faster of its two ways to hold the weights.
 *
 * Prepacked weights are what ONNX Runtime computes fastest with; mapped ones start at once and share memory. Which of them
 * a machine likes better is tried out, so that the floor is an honest one.
 */

import { dirname } from 'node:path'
import { openFile, openFolder } from '@afterthought/core/files'
import { loadConfig, openSafetensors } from '@afterthought/core/io'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Contender, Peer, Run, Workload } from '../contender.ts'
import { fastest } from '../fastest.ts'
import { onnxRuntimeVersion } from '../machine.ts'
import type { Gpt2Shape } from '../random-gpt2.ts'
import { floorGraph, type StoredWeight } from './floor-graph.ts'

export const floor: Peer = {
  summary: 'a hand-written ONNX graph of the whole trajectory on bare onnxruntime-node',
  missing: () => undefined,
  open: async (folder, threads) => {
    const model = await readModel(folder)
    return fastest([new Floor(model, threads, true), new Floor(model, threads, false)])
  },
}

interface FloorModel {
  readonly shape: Gpt2Shape
  readonly weights: ReadonlyMap<string, StoredWeight>
  /** Folder of the weights file. */
  readonly root: string
}

async function readModel(folder: string): Promise<FloorModel> {
  const { layers, heads, width, vocabSize, maxPositions } = await loadConfig(await openFolder(folder))
  const file = await openFile(`${folder}/model.safetensors`)
  const { tensors } = await openSafetensors(file)
  const weights = new Map<string, StoredWeight>()
  for (const { name, shape, offset, byteLength } of tensors.values()) {
    weights.set(name, { shape, data: { location: 'model.safetensors', offset, byteLength } })
  }
  return { shape: { layers, heads, width, vocabSize, positions: maxPositions }, weights, root: dirname(file.path!) }
}

class Floor implements Contender {
  readonly versions: Readonly<Record<string, string>> = { 'onnxruntime-node': onnxRuntimeVersion() }
  private readonly model: FloorModel
  private readonly threads: number
  private readonly prepack: boolean
  /** One graph per numbers of thoughts and tokens. */
  private readonly sessions = new Map<string, Promise<InferenceSession>>()

  constructor(model: FloorModel, threads: number, prepack: boolean) {
    this.model = model
    this.threads = threads
    this.prepack = prepack
  }

  async run(workload: Workload): Promise<Run> {
    const session = await this.session(workload)
    const started = performance.now()
    const ids = new Tensor('int64', BigInt64Array.from(workload.prompt, BigInt), [1, workload.prompt.length])
    const { tokens, thoughts } = await session.run({ ids })
    const ms = performance.now() - started
    const { width } = this.model.shape
    const data = thoughts!.data as Float32Array
    return {
      ms,
      tokens: Array.from(tokens!.data as BigInt64Array, Number),
      thoughts: Array.from({ length: workload.latents }, (_, t) => data.slice(t * width, (t + 1) * width)),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions.values()) await (await session).release()
    this.sessions.clear()
  }

  private session(workload: Workload): Promise<InferenceSession> {
    const { shape, weights, root } = this.model
    const key = `${workload.prompt.length}+${workload.latents}+${workload.tokens}`
    const known = this.sessions.get(key)
    if (known) return known
    const session = InferenceSession.create(floorGraph(shape, weights, workload), {
      executionProviders: ['cpu'],
      intraOpNumThreads: this.threads,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
      extra: {
        session: {
          disable_prepacking: this.prepack ? '0' : '1',
          model_external_initializers_file_folder_path: root,
        },
      },
    })
    this.sessions.set(key, session)
    return session
  }
}
