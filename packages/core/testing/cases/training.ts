/** Backward passes and training steps, so that training runs wherever inference does. */

import { gradient } from '../../src/autodiff/gradient.ts'
import { reference } from '../../src/reference/backend.ts'
import * as F from '../../src/tensor/functional.ts'
import type { Graph, Tensor } from '../../src/tensor/graph.ts'
import { constant, trace } from '../../src/tensor/trace.ts'
import type { HostTensor, TensorSpec } from '../../src/tensor/types.ts'
import { ConformanceError } from '../compare.ts'
import { differentiable, gradientProgram } from '../differentiable.ts'
import { RandomTensors } from '../tensors.ts'
import type { HostTensors } from '../trial.ts'
import { f32Tolerances, Trial } from '../trial.ts'
import type { Case } from './case.ts'

const BATCH = 2
const ROWS = 5
const WIDTH = 12
const HEADS = 3
const VOCABULARY = 17

type Values = Readonly<Record<string, Tensor>>

const blockWeights: Readonly<Record<string, readonly number[]>> = {
  embedding: [VOCABULARY, WIDTH],
  'norm1.weight': [WIDTH],
  'norm1.bias': [WIDTH],
  qkv: [WIDTH, 3 * WIDTH],
  output: [WIDTH, WIDTH],
  'norm2.weight': [WIDTH],
  gate: [2 * WIDTH, WIDTH],
  up: [2 * WIDTH, WIDTH],
  down: [WIDTH, 2 * WIDTH],
  bias: [WIDTH],
}

function drawWeights(): Record<string, HostTensor> {
  const random = new RandomTensors(91)
  const draw = ([name, shape]: [string, readonly number[]]): [string, HostTensor] => [
    name,
    /^norm.*weight$/.test(name) ? random.normal(shape, 0.1, 1) : random.normal(shape, 0.3),
  ]
  return Object.fromEntries(Object.entries(blockWeights).map(draw))
}

/** Additive causal mask [1, 1, T, T]. */
function causalMask(rows: number): Tensor {
  const slots = F.iota(rows)
  const causal = F.lessEqual(F.reshape(slots, [1, rows]), F.reshape(slots, [rows, 1]))
  return F.reshape(F.where(causal, 0, -1e30), [1, 1, rows, rows])
}

/** Mean cross-entropy of a small decoder of one block, embedding tied to the head. */
function blockLoss(weights: Values, ids: Tensor, labels: Tensor): Tensor {
  const embeds = F.gather(weights.embedding!, ids) // [B, T, D]
  const normal = F.layerNorm(embeds, weights['norm1.weight']!, weights['norm1.bias']!, 1e-5)
  const qkv = F.matmul(normal, weights.qkv!) // [B, T, 3D]
  const [q, k, v] = [0, 1, 2].map((part) => {
    const own = F.narrow(qkv, 2, part * WIDTH, (part + 1) * WIDTH)
    return F.transpose(F.reshape(own, [BATCH, ROWS, HEADS, WIDTH / HEADS]), [0, 2, 1, 3])
  }) as [Tensor, Tensor, Tensor] // [B, H, T, d]
  const angles = F.mul(F.cast(F.reshape(F.iota(ROWS), [1, ROWS, 1]), 'f32'), constant([1, 0.1])) // [1, T, d/2]
  const perRow = F.broadcastTo(angles, [BATCH, ROWS, 2])
  const turn = (x: Tensor): Tensor => F.rotary(x, F.cos(perRow), F.sin(perRow))
  const mixed = F.attention(turn(q), turn(k), v, causalMask(ROWS), (WIDTH / HEADS) ** -0.5)
  const merged = F.reshape(F.transpose(mixed, [0, 2, 1, 3]), [BATCH, ROWS, WIDTH])
  const x = F.add(embeds, F.matmul(merged, weights.output!))
  const inner = F.rmsNorm(x, weights['norm2.weight']!, 1e-6)
  const product = (name: string, value: Tensor): Tensor => F.matmul(value, weights[name]!, { transposeB: true })
  const gated = F.mul(F.silu(product('gate', inner)), F.gelu(product('up', inner), 'tanh'))
  const hidden = F.add(F.add(x, product('down', gated)), weights.bias!)
  const logits = F.matmul(F.reshape(hidden, [BATCH * ROWS, WIDTH]), weights.embedding!, { transposeB: true })
  return F.mean(F.crossEntropy(logits, labels), [0])
}

function batch(): { ids: HostTensor; labels: HostTensor } {
  const random = new RandomTensors(92)
  return { ids: random.integers([BATCH, ROWS], 0, VOCABULARY), labels: random.integers([BATCH * ROWS], -1, VOCABULARY) }
}

/** AdamW (Loshchilov and Hutter, 2019) on one weight, without weight decay. */
function adamStep(weight: Tensor, slope: Tensor, mean: Tensor, square: Tensor, step: Tensor): Record<string, Tensor> {
  const blend = (old: Tensor, fresh: Tensor, rate: number): Tensor => F.add(F.mul(old, rate), F.mul(fresh, 1 - rate))
  const correction = (rate: number): Tensor => F.sub(1, F.exp(F.mul(step, Math.log(rate))))
  const [m, v] = [blend(mean, slope, 0.9), blend(square, F.mul(slope, slope), 0.99)]
  const direction = F.div(F.div(m, correction(0.9)), F.add(F.sqrt(F.div(v, correction(0.99))), 1e-8))
  return { weight: F.sub(weight, F.mul(direction, 0.02)), mean: m, square: v }
}

const zerosLike = ({ shape, data }: HostTensor): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(data.length),
})

/** Weights, moments and step count in and out, in place. */
function trainingState(): Record<string, HostTensor> {
  const state: Record<string, HostTensor> = { step: { shape: [], dtype: 'f32', data: Float32Array.of(0) } }
  for (const [name, weight] of Object.entries(drawWeights())) {
    state[`weight ${name}`] = weight
    state[`mean ${name}`] = zerosLike(weight)
    state[`square ${name}`] = zerosLike(weight)
  }
  return state
}

function traceTraining(state: Readonly<Record<string, TensorSpec>>, data: HostTensors): Graph {
  return trace('training step', { ...state, ...data }, (inputs) => {
    const names = Object.keys(blockWeights)
    const weights = Object.fromEntries(names.map((name) => [name, inputs[`weight ${name}`]!]))
    const loss = blockLoss(weights, inputs.ids!, inputs.labels!)
    const gradients = gradient(
      loss,
      names.map((name) => weights[name]!),
    )
    const step = F.add(inputs.step!, 1)
    const next: Record<string, Tensor> = { step }
    names.forEach((name, i) => {
      const [mean, square] = [inputs[`mean ${name}`]!, inputs[`square ${name}`]!]
      for (const [part, value] of Object.entries(adamStep(weights[name]!, gradients[i]!, mean, square, step))) {
        next[`${part} ${name}`] = value
      }
    })
    return { outputs: { loss, ...next }, aliases: Object.fromEntries(Object.keys(next).map((name) => [name, name])) }
  })
}

/** Losses of five steps; the state never leaves the backend. */
async function train(trial: Trial, graph: Graph, state: HostTensors, data: HostTensors): Promise<HostTensor[]> {
  const executable = await trial.compile(graph)
  const buffers = trial.uploadAll({ ...state, ...data })
  const losses: HostTensor[] = []
  for (let i = 0; i < 5; i++) {
    const { loss } = await trial.run(executable, buffers)
    losses.push(await trial.download(loss!))
  }
  return losses
}

export const trainingCases: readonly Case[] = [
  ...[...new Set(differentiable().map(({ op }) => op))].map(
    (op): Case => ({
      name: `gradient: ${op}`,
      async run(trial) {
        for (const step of differentiable().filter((other) => other.op === op)) {
          const { graph, inputs } = gradientProgram(step)
          await trial.agree(graph, 'model', inputs)
        }
      },
    }),
  ),
  {
    name: 'training: loss and gradients of a transformer block',
    async run(trial) {
      const weights = drawWeights()
      const inputs = { ...weights, ...batch() }
      const graph = trace('block gradients', inputs, (values) => {
        const names = Object.keys(weights)
        const loss = blockLoss(values, values.ids!, values.labels!)
        const gradients = gradient(
          loss,
          names.map((name) => values[name]!),
        )
        return { outputs: { loss, ...Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]!])) } }
      })
      await trial.agree(graph, 'model', inputs)
    },
  },
  {
    name: 'training: five steps of AdamW in place',
    async run(trial) {
      const state = trainingState()
      const data = batch()
      const graph = traceTraining(state, data)
      const losses = await train(trial, graph, state, data)
      const expected = await train(new Trial(reference(), f32Tolerances), graph, state, data)
      losses.forEach((loss, i) => trial.expect(loss, expected[i]!, 'model', `the loss of step ${i}`))
      const [first, last] = [losses[0]!.data[0]!, losses.at(-1)!.data[0]!]
      if (!(last < first)) {
        throw new ConformanceError('the loss must fall', { expected: `less than ${first}`, actual: `${last}` })
      }
    },
  },
]
