/**
 * The toy of the training specification: a pre-norm GPT with learned positions, erf GELU and a tied head, taught to follow
 * a function table by CODI (sequential thoughts), PCCoT (Jacobi sweeps) or KaVa (keys and values matched too). Shared by
 * the tests of training on every backend.
 */

import { constant, F, type HostTensor, type Shape, sizeOf, type Tensor } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { deviation, meanOf, type Objective, smoothL1, stateDistillation, tokenLoss } from '@afterthought/train'

export interface ToySize {
  readonly vocabulary: number
  readonly width: number
  readonly heads: number
  readonly layers: number
  readonly positions: number
}

/** Token ids of the markers: begin and end of thoughts, answer, latent. */
export interface ToyTask {
  readonly markers: readonly [bot: number, eot: number, answer: number, latent: number]
  readonly thoughts: number
}

type Weights = (name: string) => Tensor
interface States {
  readonly all: readonly Tensor[]
  readonly keys: readonly Tensor[]
  readonly values: readonly Tensor[]
}

/** Names and shapes, linears as [out, in]. */
export function toyShapes({ vocabulary, width, layers, positions }: ToySize, projected: boolean): Map<string, Shape> {
  const shapes = new Map<string, Shape>([
    ['wte.weight', [vocabulary, width]],
    ['wpe.weight', [positions, width]],
  ])
  const linear = (name: string, out: number, inside: number): void => {
    shapes.set(`${name}.weight`, [out, inside]).set(`${name}.bias`, [out])
  }
  const norm = (name: string): void => void shapes.set(`${name}.weight`, [width]).set(`${name}.bias`, [width])
  for (let i = 0; i < layers; i++) {
    norm(`b.${i}.l1`)
    norm(`b.${i}.l2`)
    linear(`b.${i}.qkv`, 3 * width, width)
    linear(`b.${i}.o`, width, width)
    linear(`b.${i}.f1`, 4 * width, width)
    linear(`b.${i}.f2`, width, 4 * width)
  }
  norm('ln')
  if (!projected) return shapes
  linear('prj.0', width, width)
  linear('prj.2', width, width)
  norm('prj.3')
  return shapes
}

/** Matrices N(0, deviation), biases 0, norms 1. */
export function toyWeights(
  shapes: ReadonlyMap<string, Shape>,
  seed: number,
  deviation: number,
): Map<string, HostTensor> {
  const random = new Random(seed)
  return new Map(
    [...shapes].map(([name, shape]) => {
      const data = new Float32Array(sizeOf(shape))
      if (shape.length === 2) for (let i = 0; i < data.length; i++) data[i] = random.normal(0, deviation)
      else if (name.endsWith('weight')) data.fill(1)
      return [name, { shape, dtype: 'f32', data }]
    }),
  )
}

class Toy {
  private readonly weights: Weights
  private readonly size: ToySize

  constructor(weights: Weights, size: ToySize) {
    this.weights = weights
    this.size = size
  }

  embed(ids: Tensor): Tensor {
    return F.gather(this.weights('wte.weight'), ids)
  }

  /** The same tokens in every row: [B, N, D]. */
  tokens(batch: number, ids: readonly number[]): Tensor {
    const rows = new Array(batch).fill(ids).flat() as number[]
    return this.embed(constant(Int32Array.from(rows), [batch, ids.length], 'i32'))
  }

  states(embeds: Tensor): States {
    const [, rows] = embeds.shape as [number, number, number]
    const all = [F.add(embeds, F.gather(this.weights('wpe.weight'), F.iota(rows)))]
    const keys: Tensor[] = []
    const values: Tensor[] = []
    for (let i = 0; i < this.size.layers; i++) {
      const x = all.at(-1)!
      const [q, k, v] = this.heads(this.linear(this.norm(x, `b.${i}.l1`), `b.${i}.qkv`))
      keys.push(k)
      values.push(v)
      const slots = F.iota(rows)
      const causal = F.lessEqual(F.reshape(slots, [1, 1, 1, rows]), F.reshape(slots, [1, 1, rows, 1]))
      const mixed = F.attention(q, k, v, F.where(causal, 0, -1e9), q.shape[3]! ** -0.5)
      const merged = F.reshape(F.transpose(mixed, [0, 2, 1, 3]), x.shape)
      const middle = F.add(x, this.linear(merged, `b.${i}.o`))
      const wide = F.gelu(this.linear(this.norm(middle, `b.${i}.l2`), `b.${i}.f1`), 'none')
      all.push(F.add(middle, this.linear(wide, `b.${i}.f2`)))
    }
    all.push(this.norm(all.pop()!, 'ln'))
    return { all, keys, values }
  }

  logits(states: Tensor): Tensor {
    return F.matmul(states, this.weights('wte.weight'), { transposeB: true })
  }

  project(x: Tensor): Tensor {
    return this.norm(this.linear(F.gelu(this.linear(x, 'prj.0'), 'none'), 'prj.2'), 'prj.3')
  }

  private heads(qkv: Tensor): [Tensor, Tensor, Tensor] {
    const [batch, rows] = qkv.shape as [number, number, number]
    const { width, heads } = this.size
    return [0, 1, 2].map((part) => {
      const own = F.narrow(qkv, 2, part * width, (part + 1) * width)
      return F.transpose(F.reshape(own, [batch, rows, heads, width / heads]), [0, 2, 1, 3])
    }) as [Tensor, Tensor, Tensor]
  }

  private linear(x: Tensor, name: string): Tensor {
    return F.add(F.matmul(x, this.weights(`${name}.weight`), { transposeB: true }), this.weights(`${name}.bias`))
  }

  private norm(x: Tensor, name: string): Tensor {
    return F.layerNorm(x, this.weights(`${name}.weight`), this.weights(`${name}.bias`), 1e-5)
  }
}

const columns = (x: Tensor, from: number, to: number): Tensor => F.narrow(x, 1, from, to)
const last = (x: Tensor): Tensor => columns(x, x.shape[1]! - 1, x.shape[1]!)

/** Each thought is the projected last state of all that went before. */
function sequential(toy: Toy, prompt: Tensor, { thoughts }: ToyTask): Tensor {
  let sequence = prompt
  for (let i = 0; i < thoughts; i++) {
    sequence = F.concat([sequence, toy.project(last(toy.states(sequence).all.at(-1)!))], 1)
  }
  return sequence
}

/** All thoughts at once, twice over: each from the state before it in the last sweep. */
function jacobi(toy: Toy, prompt: Tensor, { thoughts, markers }: ToyTask): Tensor {
  const [batch, length] = prompt.shape as [number, number, number]
  const placeholders = toy.tokens(batch, new Array(thoughts).fill(markers[3]))
  const shifted = (sequence: Tensor): Tensor =>
    toy.project(columns(toy.states(sequence).all.at(-1)!, length - 1, length - 1 + thoughts))
  const first = shifted(F.concat([prompt, placeholders], 1))
  const second = shifted(F.concat([prompt, first], 1))
  return F.concat([prompt, columns(first, 0, 1), columns(second, 1, thoughts)], 1)
}

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((total, term) => F.add(total, term))

/** Batch: `q` i32 [B, Q] and `chain` i32 [B, thoughts + 1], whose last column is the answer. */
export function toyObjective(mode: 'codi' | 'pccot' | 'kava', size: ToySize, task: ToyTask): Objective {
  const { markers, thoughts } = task
  const [bot, eot, ask] = markers
  return {
    key: `toy ${mode} ${JSON.stringify([size, task])}`,
    terms(weights, { q, chain }) {
      const toy = new Toy(weights, size)
      const [batch, length] = q!.shape as [number, number]
      const prompt = F.concat([toy.embed(q!), toy.tokens(batch, [bot])], 1)
      const thinking = (mode === 'pccot' ? jacobi : sequential)(toy, prompt, task)
      const student = toy.states(F.concat([thinking, toy.tokens(batch, [eot, ask])], 1))
      const table = F.cast(chain!, 'f32')
      const answer = F.cast(columns(table, thoughts, thoughts + 1), 'i32')
      const steps = toy.embed(F.cast(columns(table, 0, thoughts), 'i32'))
      const teacher = toy.states(F.concat([toy.embed(q!), steps, toy.tokens(batch, [ask])], 1))
      const asked = F.broadcastTo(constant([ask], [1, 1]), [batch, 1])
      const parts = [columns(table, 0, thoughts), asked, columns(table, thoughts, thoughts + 1)]
      const targets = F.cast(F.concat(parts, 1), 'i32')
      const taught = columns(teacher.all.at(-1)!, length - 1, length + thoughts + 1)
      const student_ = tokenLoss(toy.logits(last(student.all.at(-1)!)), answer)
      const teacher_ = tokenLoss(toy.logits(taught), targets)
      const kd = stateDistillation(student.all.map(last), teacher.all.map(last))
      const kv = mode === 'kava' ? keyLoss(student, teacher, length, thoughts) : constant(0)
      const right = F.equal(F.argmax(toy.logits(last(student.all.at(-1)!)), 2), answer)
      const accuracy = meanOf(F.cast(right, 'f32'))
      return { student: student_, teacher: teacher_, kd, kv, loss: sum([student_, teacher_, kd, kv]), accuracy }
    },
  }
}

/** Keys and values of thoughts against those of the chain's tokens, in units of the teacher's deviation. */
function keyLoss(student: States, teacher: States, length: number, thoughts: number): Tensor {
  const slots = (x: Tensor, from: number): Tensor => F.narrow(x, 2, from, from + thoughts)
  const matched = (own: Tensor, other: Tensor): Tensor => {
    const target = F.stopGradient(slots(other, length))
    return F.div(meanOf(smoothL1(slots(own, length + 1), target)), deviation(target))
  }
  const layers = student.keys.map((keys, i) =>
    F.add(matched(keys, teacher.keys[i]!), matched(student.values[i]!, teacher.values[i]!)),
  )
  return F.div(sum(layers), 2 * layers.length)
}

/** The answer right after the question, without thoughts or chain. Batch as above. */
export function answerOnlyObjective(size: ToySize, task: ToyTask): Objective {
  return {
    key: `toy no chain ${JSON.stringify([size, task])}`,
    terms(weights, { q, chain }) {
      const toy = new Toy(weights, size)
      const batch = q!.shape[0]!
      const state = last(toy.states(F.concat([toy.embed(q!), toy.tokens(batch, [task.markers[2]])], 1)).all.at(-1)!)
      const answer = F.cast(columns(F.cast(chain!, 'f32'), task.thoughts, task.thoughts + 1), 'i32')
      const right = F.equal(F.argmax(toy.logits(state), 2), answer)
      return { loss: tokenLoss(toy.logits(state), answer), accuracy: meanOf(F.cast(right, 'f32')) }
    },
  }
}
