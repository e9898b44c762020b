/**
 * What thoughts are made of, after Reasoning by Superposition (arXiv 2505.12514; specs of Coconut, part II): the inner
 * product of each thought with the embeddings of a graph's nodes, and what the second layer attends to at the place where
 * the thought is proposed, both averaged over groups of nodes by their distance from the person.
 *
 *     node --import tsx --conditions=@afterthought/source packages/bench/scripts/superposition.ts PROSQA_TEST_FILE
 *
 * With a tied head the inner product is the model's own logit for the node. Attention is summed over heads and over the
 * three tokens of a fact (`s t |`), and a fact belongs to the group of its source. Written to report/superposition.json.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onnx } from '@afterthought/backend-onnx'
import { type Backend, type LanguageModel, loadModel, rollout } from '@afterthought/core'
import {
  childrenOf,
  distancesFrom,
  encodeProsqa,
  parseProsqaItems,
  prosqaTokens,
  shortestPathLevels,
  UNREACHABLE,
} from '@afterthought/core/data'
import { openFolder } from '@afterthought/core/files'
import { parseSafetensors, ropeInverseFrequencies } from '@afterthought/core/io'
import { modelOf, reportFolder, seeds } from './report-models.ts'

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('usage: superposition.ts PROSQA_TEST_FILE')
const THOUGHTS = 6
const LAYER = 1

const groups = ['not reachable', 'reachable', 'frontier', 'optimal'] as const
type Group = (typeof groups)[number]

/** Sums and counts by thought and group. */
class Means {
  private readonly sums = Array.from({ length: THOUGHTS }, () => new Map<Group, { sum: number; count: number }>())

  add(t: number, group: Group, value: number): void {
    const cell = this.sums[t]!.get(group) ?? { sum: 0, count: 0 }
    this.sums[t]!.set(group, { sum: cell.sum + value, count: cell.count + 1 })
  }

  rows(): Record<Group, { mean: number; count: number }>[] {
    return this.sums.map(
      (cells) =>
        Object.fromEntries(
          [...cells].map(([group, { sum, count }]) => [group, { mean: Number((sum / count).toFixed(3)), count }]),
        ) as Record<Group, { mean: number; count: number }>,
    )
  }
}

type Matrix = Float32Array

/** Weights in f32 by name. */
async function weightsOf(path: string): Promise<Map<string, Matrix>> {
  const { tensors } = await parseSafetensors(readFileSync(join(path, 'model.safetensors')), path)
  const read = [...tensors].map(
    async ([name, tensor]): Promise<[string, Matrix]> => [name, (await tensor.read()) as Matrix],
  )
  return new Map(await Promise.all(read))
}

/** y = W·x, W [out, in]. */
function times(w: Matrix, x: ArrayLike<number>, out: number): Float64Array {
  const y = new Float64Array(out)
  for (let i = 0; i < out; i++) for (let j = 0; j < x.length; j++) y[i]! += w[i * x.length + j]! * x[j]!
  return y
}

/** Attention of one layer from column `from` to columns 0 … from, summed over heads, from that layer's input states. */
function attentionFrom(model: LanguageModel, weights: Map<string, Matrix>, states: Matrix, from: number): number[] {
  const { width, heads, headDim, normEpsilon } = model.config
  const frequencies = ropeInverseFrequencies(model.config)
  const name = `model.layers.${LAYER}`
  const scale = weights.get(`${name}.input_layernorm.weight`)!
  const projected = (column: number, part: 'q_proj' | 'k_proj'): Float64Array => {
    const x = states.subarray(column * width, (column + 1) * width)
    const size = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / width + normEpsilon)
    const y = times(
      weights.get(`${name}.self_attn.${part}.weight`)!,
      x.map((value, i) => (value / size) * scale[i]!),
      heads * headDim,
    )
    const half = headDim / 2
    return y.map((value, i) => {
      const [head, place] = [Math.floor(i / headDim), i % headDim]
      const angle = column * frequencies[place % half]!
      const other = y[head * headDim + ((place + half) % headDim)]!
      return value * Math.cos(angle) + (place < half ? -other : other) * Math.sin(angle)
    })
  }
  const query = projected(from, 'q_proj')
  const keys = Array.from({ length: from + 1 }, (_, column) => projected(column, 'k_proj'))
  const total = new Array<number>(from + 1).fill(0)
  for (let head = 0; head < heads; head++) {
    const scores = keys.map((key) => {
      let sum = 0
      for (let i = head * headDim; i < (head + 1) * headDim; i++) sum += key[i]! * query[i]!
      return sum / Math.sqrt(headDim)
    })
    const greatest = Math.max(...scores)
    const powers = scores.map((score) => Math.exp(score - greatest))
    const all = powers.reduce((sum, power) => sum + power)
    powers.forEach((power, column) => {
      total[column]! += power / all
    })
  }
  return total
}

/** Where thought t + 1 should point: nodes by their distance from the person. */
function groupOf(distance: number, optimal: boolean, t: number): Group {
  if (distance === UNREACHABLE || distance > t) return 'not reachable'
  if (distance < t) return 'reachable'
  return optimal ? 'optimal' : 'frontier'
}

async function analysed(path: string, backend: Backend): Promise<object> {
  const model = await loadModel(await openFolder(path), backend)
  const weights = await weightsOf(path)
  const table = weights.get('model.embed_tokens.weight')!
  const { width } = model.config
  const [products, attention] = [new Means(), new Means()]
  const items = parseProsqaItems(JSON.parse(readFileSync(file!, 'utf8')), file!)
  for (const { question, idx_to_symbol: names, target } of items) {
    const { promptIds, symbols, edges, personId } = encodeProsqa(question)
    const { rows } = await rollout({ main: model }, [promptIds], {
      latents: THOUGHTS,
      endIds: [prosqaTokens.answer],
      tokens: 1,
      record: true,
    })
    const { thoughts } = rows[0]!
    const distances = distancesFrom([personId], childrenOf(symbols.length, edges))
    const levels = shortestPathLevels(symbols.length, edges, personId, symbols.indexOf(names[target]!))
    const embeds = new Float32Array((promptIds.length + THOUGHTS - 1) * width)
    promptIds.forEach((id, i) => embeds.set(table.subarray(id * width, (id + 1) * width), i * width))
    thoughts.slice(0, -1).forEach((thought, i) => embeds.set(thought, (promptIds.length + i) * width))
    const shape = [1, promptIds.length + THOUGHTS - 1, width]
    const input = backend.upload({ shape, dtype: 'f32', data: embeds })
    const cache = model.createCache(1, shape[1]!)
    const { hiddenStates } = await model.forward(cache, input, { hiddenStates: true })
    const states = (await backend.download(hiddenStates![LAYER]!)) as Matrix
    for (let t = 0; t < THOUGHTS; t++) {
      const group = (node: number): Group => groupOf(distances[node]!, levels[t + 1]?.includes(node) ?? false, t + 1)
      symbols.forEach((_, node) => {
        const row = table.subarray(node * width, (node + 1) * width)
        products.add(
          t,
          group(node),
          thoughts[t]!.reduce((sum, value, i) => sum + value * row[i]!, 0),
        )
      })
      const weight = attentionFrom(model, weights, states, promptIds.length - 1 + t)
      edges.forEach(([source], edge) => {
        // Facts whose source is t facts away are what thought t + 1 is read from; the last fact has no separator.
        if (edge === edges.length - 1) return
        const at = groupOf(distances[source]!, levels[t]?.includes(source) ?? false, t)
        attention.add(t, at, weight[1 + 3 * edge]! + weight[2 + 3 * edge]! + weight[3 + 3 * edge]!)
      })
    }
    cache.dispose()
    for (const buffer of [input, ...hiddenStates!]) buffer.dispose()
  }
  return { products: products.rows(), attention: attention.rows() }
}

const backend = await onnx({ provider: 'cpu' })
const result: Record<string, object> = {}
for (const seed of seeds) {
  result[seed] = await analysed(modelOf(seed, 'main'), backend)
  console.log(seed, JSON.stringify(result[seed]))
}
writeFileSync(join(reportFolder, 'superposition.json'), `${JSON.stringify(result, undefined, 1)}\n`)
await backend.dispose()
