import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { goldenTensor, maxError } from '../../testing/index.ts'
import { referenceResults } from '../../testing/trial.ts'
import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant, trace } from '../tensor/trace.ts'
import type { HostTensor, Shape } from '../tensor/types.ts'
import { gradient } from './gradient.ts'

/** Losses and gradients of the methods' own functions, stored as numbers; here spelled out in core's operations. */
const folder = new URL('../../../../../shared/goldens/', import.meta.url)

const golden = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))

/** The value and the gradients of a scalar function of named inputs. */
async function differentiate(
  inputs: Record<string, HostTensor>,
  wrt: readonly string[],
  objective: (values: Readonly<Record<string, Tensor>>) => Tensor,
): Promise<Record<string, HostTensor>> {
  const graph = trace('golden', inputs, (values) => {
    const value = objective(values)
    const gradients = gradient(
      value,
      wrt.map((name) => values[name]!),
    )
    return { outputs: { value, ...Object.fromEntries(wrt.map((name, i) => [name, gradients[i]!])) } }
  })
  return referenceResults(graph, inputs)
}

const axesOf = (shape: Shape): number[] => shape.map((_, axis) => axis)
const meanAll = (x: Tensor): Tensor => F.mean(x, axesOf(x.shape))
const sumAll = (x: Tensor): Tensor => F.reduceSum(x, axesOf(x.shape))

/** Mean of ½e² where |e| < 1, of |e| − ½ elsewhere. */
function smoothL1(a: Tensor, b: Tensor): Tensor {
  const error = F.sub(a, b)
  const size = F.abs(error)
  return meanAll(F.where(F.less(size, 1), F.mul(F.mul(error, error), 0.5), F.sub(size, 0.5)))
}

/** Unbiased standard deviation of all elements. */
function deviation(x: Tensor): Tensor {
  const count = x.shape.reduce((product, extent) => product * extent, 1)
  const centred = F.sub(x, F.mean(x, axesOf(x.shape), true))
  return F.sqrt(F.div(sumAll(F.mul(centred, centred)), count - 1))
}

/** Mean over the layers of smoothL1 over the teacher's deviation. */
function distillation(student: Tensor, teacher: Tensor): Tensor {
  const layers = Array.from({ length: student.shape[0]! }, (_, layer) => {
    const [s, t] = [student, teacher].map((states) => F.narrow(states, 0, layer, layer + 1)) as [Tensor, Tensor]
    return F.div(smoothL1(s, F.stopGradient(t)), F.stopGradient(deviation(t)))
  })
  return F.div(
    layers.reduce((total, layer) => F.add(total, layer)),
    layers.length,
  )
}

describe.runIf(existsSync(folder))('goldens', () => {
  it('CODI: layer-wise distillation and its gradient', async () => {
    const expected = golden('codi_distill')
    const inputs = { student: goldenTensor(expected, 'student'), teacher: goldenTensor(expected, 'teacher') }
    const results = await differentiate(inputs, ['student', 'teacher'], ({ student, teacher }) =>
      distillation(student!, teacher!),
    )
    expect(maxError(results.value!.data, goldenTensor(expected, 'loss').data)).toBeLessThan(1e-6)
    expect(maxError(results.student!.data, goldenTensor(expected, 'gStudent').data)).toBeLessThan(1e-7)
    expect(results.teacher!.data.every((slope) => slope === 0)).toBe(true)
  })

  it('HRPO: the gate between token and thought, value and gradients', async () => {
    const expected = golden('hrpo_gate')
    const names = ['embeds', 'residual', 'Wr', 'br', 'Wi', 'bi', 'Lambda', 'gout']
    const inputs = Object.fromEntries(names.map((name) => [name, goldenTensor(expected, name)]))
    let out: Tensor | undefined
    const gate = (values: Readonly<Record<string, Tensor>>): Tensor => {
      const { embeds, residual, Wr, br, Wi, bi, Lambda } = values as Record<string, Tensor>
      const linear = (weight: Tensor, bias: Tensor): Tensor =>
        F.sigmoid(F.add(F.matmul(embeds!, weight, { transposeB: true }), bias))
      const [r, i] = [linear(Wr!, br!), linear(Wi!, bi!)]
      const a = F.exp(F.mul(F.mul(F.softplus(F.neg(Lambda!)), r), -8))
      const left = F.sqrt(F.add(F.sub(1, F.mul(a, a)), 1e-8))
      out = F.add(F.mul(a, embeds!), F.mul(left, F.mul(i, residual!)))
      return sumAll(F.mul(out, values.gout!))
    }
    const results = await differentiate(inputs, ['embeds', 'Wr', 'Wi', 'Lambda'], gate)
    for (const [name, stored] of Object.entries({ embeds: 'gEmbeds', Wr: 'gWr', Wi: 'gWi', Lambda: 'gLambda' })) {
      expect(maxError(results[name]!.data, goldenTensor(expected, stored).data), name).toBeLessThan(2e-5)
    }
    const forward = trace('gate', inputs, (values) => {
      gate(values)
      return { outputs: { out: out! } }
    })
    const { out: values } = await referenceResults(forward, inputs)
    expect(maxError(values!.data, goldenTensor(expected, 'out').data)).toBeLessThan(1e-6)
  })

  it('HRPO: the policy loss, its KL term and the gradient with respect to the logits', async () => {
    const expected = golden('hrpo_grpo_loss')
    const names = ['old_logits', 'new_logits', 'mask', 'adv']
    const ids = goldenTensor(expected, 'ids')
    const inputs = Object.fromEntries(names.map((name) => [name, goldenTensor(expected, name)]))
    const [rows, columns, vocabulary] = inputs.new_logits!.shape as [number, number, number]
    const labels = constantIds(ids)
    const results = await differentiate(inputs, ['new_logits'], ({ old_logits, new_logits, mask, adv }) => {
      const logProbability = (logits: Tensor): Tensor => {
        const flat = F.reshape(logits, [rows * columns, vocabulary])
        return F.reshape(F.neg(F.crossEntropy(flat, constant(labels, [rows * columns], 'i32'))), [rows, columns])
      }
      const [now, before] = [logProbability(new_logits!), logProbability(old_logits!)]
      const ratio = F.exp(F.sub(now, F.stopGradient(now)))
      const gap = F.sub(before, now)
      const divergence = F.sub(F.sub(F.exp(gap), gap), 1)
      const gain = F.sub(F.mul(ratio, F.reshape(adv!, [rows, 1])), F.mul(divergence, 0.005))
      const perRow = F.div(F.reduceSum(F.mul(gain, mask!), [1]), F.reduceSum(mask!, [1]))
      return F.neg(meanAll(perRow))
    })
    expect(maxError(results.value!.data, goldenTensor(expected, 'loss').data)).toBeLessThan(1e-7)
    expect(maxError(results.new_logits!.data, goldenTensor(expected, 'gNew').data)).toBeLessThan(1e-7)
  })
})

const constantIds = (ids: HostTensor): Int32Array => Int32Array.from(ids.data)

/** The small GPT of `train_traj`: pre-norm blocks, learned positions, fused qkv, erf GELU, tied head. */
interface Trajectory {
  readonly init: Readonly<Record<string, unknown>>
  readonly q: readonly (readonly number[])[]
  readonly chain: readonly (readonly number[])[]
}

interface Mode {
  readonly 'trace[ce_student,ce_teacher,kd,kv,total]': readonly (readonly number[])[]
  readonly gradnorm_step0: Readonly<Record<string, number>>
}

const [BOT, EOT, ANSWER, LATENT] = [5, 6, 7, 8]
const LATENTS = 3
const SWEEPS = 2
const WIDTH = 8

class SmallGpt {
  private readonly weights: Readonly<Record<string, Tensor>>

  constructor(weights: Readonly<Record<string, Tensor>>) {
    this.weights = weights
  }

  /** Columns of token ids → [B, T, D]. */
  embed(rows: readonly (readonly number[])[]): Tensor {
    return F.gather(
      this.weights['wte.weight']!,
      constant(Int32Array.from(rows.flat()), [rows.length, rows[0]!.length], 'i32'),
    )
  }

  /** (embeds [B, T, D]) → the states after embedding, first block and final norm. */
  states(embeds: Tensor): [Tensor, Tensor, Tensor] {
    const rows = embeds.shape[1]!
    const first = F.add(embeds, F.gather(this.weights['wpe.weight']!, F.iota(rows)))
    const second = this.block(first, 0)
    return [first, second, this.norm(this.block(second, 1), 'ln')]
  }

  /** (states [B, T, D], labels per column) → mean cross-entropy of the unembedding. */
  crossEntropy(states: Tensor, labels: readonly (readonly number[])[]): Tensor {
    const flat = F.reshape(states, [labels.flat().length, WIDTH])
    const logits = F.matmul(flat, this.weights['wte.weight']!, { transposeB: true })
    return meanAll(F.crossEntropy(logits, constant(Int32Array.from(labels.flat()), [labels.flat().length], 'i32')))
  }

  project(x: Tensor): Tensor {
    return this.norm(this.linear(F.gelu(this.linear(x, 'prj.0'), 'none'), 'prj.2'), 'prj.3')
  }

  private block(x: Tensor, index: number): Tensor {
    const [batch, rows] = x.shape as [number, number]
    const name = (part: string): string => `b.${index}.${part}`
    const qkv = this.linear(this.norm(x, name('l1')), name('qkv'))
    const heads = [0, 1, 2].map((part) => {
      const own = F.narrow(qkv, 2, part * WIDTH, (part + 1) * WIDTH)
      return F.transpose(F.reshape(own, [batch, rows, 2, WIDTH / 2]), [0, 2, 1, 3])
    }) as [Tensor, Tensor, Tensor]
    const slots = F.iota(rows)
    const causal = F.lessEqual(F.reshape(slots, [1, 1, 1, rows]), F.reshape(slots, [1, 1, rows, 1]))
    const mixed = F.attention(...heads, F.where(causal, 0, -1e9), 0.5)
    const merged = F.reshape(F.transpose(mixed, [0, 2, 1, 3]), [batch, rows, WIDTH])
    const middle = F.add(x, this.linear(merged, name('o')))
    const wide = F.gelu(this.linear(this.norm(middle, name('l2')), name('f1')), 'none')
    return F.add(middle, this.linear(wide, name('f2')))
  }

  private linear(x: Tensor, name: string): Tensor {
    return F.add(F.matmul(x, this.weights[`${name}.weight`]!, { transposeB: true }), this.weights[`${name}.bias`]!)
  }

  private norm(x: Tensor, name: string): Tensor {
    return F.layerNorm(x, this.weights[`${name}.weight`]!, this.weights[`${name}.bias`]!, 1e-5)
  }
}

const lastColumn = (x: Tensor): Tensor => F.narrow(x, 1, x.shape[1]! - 1, x.shape[1]!)

/** Each thought is the projected last state of all that went before. */
function sequentialThoughts(model: SmallGpt, prompt: Tensor): Tensor {
  let sequence = prompt
  for (let i = 0; i < LATENTS; i++) {
    sequence = F.concat([sequence, model.project(lastColumn(model.states(sequence)[2]))], 1)
  }
  return sequence
}

/** All thoughts at once, again and again: each from the state before it in the last sweep. The last sweep only fills a cache. */
function jacobiThoughts(model: SmallGpt, prompt: Tensor): Tensor {
  const length = prompt.shape[1]!
  const placeholders = model.embed(new Array(prompt.shape[0]!).fill(new Array(LATENTS).fill(LATENT)))
  const shifted = (states: Tensor): Tensor => model.project(F.narrow(states, 1, length - 1, length - 1 + LATENTS))
  let thoughts = shifted(model.states(F.concat([prompt, placeholders], 1))[2])
  for (let sweep = 1; sweep < SWEEPS; sweep++) {
    const fresh = shifted(model.states(F.concat([prompt, thoughts], 1))[2])
    thoughts = F.concat([F.narrow(thoughts, 1, 0, 1), F.narrow(fresh, 1, 1, LATENTS)], 1)
  }
  return F.concat([prompt, thoughts], 1)
}

/** Student, teacher and distillation losses of one batch. */
function losses(
  model: SmallGpt,
  { q, chain }: Trajectory,
  think: (model: SmallGpt, prompt: Tensor) => Tensor,
): Tensor[] {
  const thoughts = think(model, model.embed(q.map((row) => [...row, BOT])))
  const student = model.states(F.concat([thoughts, model.embed(q.map(() => [EOT, ANSWER]))], 1)).map(lastColumn)
  const answers = chain.map((row) => [row[3]!])
  const full = q.map((row, i) => [...row, ...chain[i]!.slice(0, 3), ANSWER])
  const teacher = model.states(model.embed(full))
  const targets = chain.map((row) => [...row.slice(0, 3), ANSWER, row[3]!])
  const teacherLoss = model.crossEntropy(F.narrow(teacher[2], 1, 5, 10), targets)
  const stack = (states: readonly Tensor[]): Tensor =>
    F.concat(
      states.map((state) => F.reshape(state, [1, ...state.shape])),
      0,
    )
  const distilled = distillation(stack(student), F.stopGradient(stack(teacher.map(lastColumn))))
  return [model.crossEntropy(student[2]!, answers), teacherLoss, distilled]
}

describe.runIf(existsSync(folder))('a training step through latent thoughts', () => {
  for (const [mode, think] of Object.entries({ codi: sequentialThoughts, pccot: jacobiThoughts })) {
    it(`${mode}: losses and the norm of every gradient`, async () => {
      const stored = golden('train_traj') as Trajectory & Readonly<Record<string, Mode>>
      const weights = Object.fromEntries(
        Object.keys(stored.init).map((name) => [name, goldenTensor(stored.init, name)]),
      )
      const names = Object.keys(weights)
      const graph = trace(mode, weights, (values) => {
        const parts = losses(new SmallGpt(values), stored, think)
        const total = parts.reduce((sum, part) => F.add(sum, part))
        const gradients = gradient(
          total,
          names.map((name) => values[name]!),
        )
        const slopes = Object.fromEntries(names.map((name, i) => [name, gradients[i]!]))
        return { outputs: { ...slopes, student: parts[0]!, teacher: parts[1]!, distilled: parts[2]!, total } }
      })
      const results = await referenceResults(graph, weights)
      const [student, teacher, distilled, , total] = stored[mode]!['trace[ce_student,ce_teacher,kd,kv,total]'][0]!
      for (const [name, value] of Object.entries({ student, teacher, distilled, total })) {
        expect(results[name]!.data[0], name).toBeCloseTo(value!, 5)
      }
      for (const [name, norm] of Object.entries(stored[mode]!.gradnorm_step0)) {
        const error = Math.abs(Math.hypot(...results[name]!.data) - norm)
        expect(error, `gradient of ${name}`).toBeLessThan(1e-4 + 1e-4 * norm)
      }
    })
  }
})
