/**
 * A GPT-2 trajectory as an ONNX graph written by hand: prompt → T thoughts → N greedy tokens, unrolled, shapes static.
 *
 * This is the floor of the trajectory suite: what ONNX Runtime itself needs for the work. It shares nothing with the
 * library's tracing and conversion but the file format's writer, and it uses ONNX Runtime's own fused operators.
 */

import { type Attribute, type ExternalData, float, int, ModelBuilder, string } from '@afterthought/backend-onnx/model'
import type { Workload } from '../contender.ts'
import type { Gpt2Shape } from '../random-gpt2.ts'

/** Where a weight of the model lies, by its name in the checkpoint. */
export interface StoredWeight {
  readonly shape: readonly number[]
  readonly data: ExternalData
}

type Attributes = Readonly<Record<string, Attribute>>

interface LayerCache {
  readonly k: string
  readonly v: string
}

/** Input `ids` i64 [1, S]; outputs `thoughts` f32 [1, T, D] and `tokens` i64 [1, N]. */
export function floorGraph(
  shape: Gpt2Shape,
  weights: ReadonlyMap<string, StoredWeight>,
  workload: Workload,
): Uint8Array {
  return new FloorGraph(shape, weights).write(workload)
}

class FloorGraph {
  private readonly model = new ModelBuilder()
  private readonly shape: Gpt2Shape
  private readonly constants = new Map<string, string>()
  /** Per layer: [1, H, S, d]. */
  private cache: readonly LayerCache[] = []
  private length = 0

  constructor(shape: Gpt2Shape, weights: ReadonlyMap<string, StoredWeight>) {
    this.shape = shape
    for (const [name, { shape: extents, data }] of weights) this.model.externalInitializer(name, 'f32', extents, data)
  }

  write({ prompt, latents, tokens }: Workload): Uint8Array {
    const { model } = this
    model.input('ids', 'i64', [1, prompt.length])
    let hidden = this.forward(this.op('Gather', ['wte.weight', 'ids']), prompt.length) // [1, 1, D]
    const thoughts: string[] = []
    for (let t = 0; t < latents; t++) {
      thoughts.push(hidden)
      hidden = this.forward(hidden, 1)
    }
    const answer = [this.greedy(hidden)] // [1, 1]
    while (answer.length < tokens) {
      hidden = this.forward(this.op('Gather', ['wte.weight', answer.at(-1)!]), 1)
      answer.push(this.greedy(hidden))
    }
    model.node('Concat', thoughts, ['thoughts'], { attributes: { axis: int(1) } })
    model.output('thoughts', 'f32', [1, latents, this.shape.width])
    model.node('Concat', answer, ['tokens'], { attributes: { axis: int(1) } })
    model.output('tokens', 'i64', [1, tokens])
    return model.build('floor').encode()
  }

  /** Hidden state of the last of `rows` new rows, after the final norm: [1, rows, D] → [1, 1, D]. */
  private forward(embeds: string, rows: number): string {
    const { layers } = this.shape
    const positions = this.integers(Array.from({ length: rows }, (_, i) => this.length + i))
    let x = this.op('Add', [embeds, this.op('Gather', ['wpe.weight', positions])])
    const grown: LayerCache[] = []
    for (let layer = 0; layer < layers; layer++) {
      const { mixed, cache } = this.attention(this.norm(x, `h.${layer}.ln_1`), layer)
      grown.push(cache)
      x = this.op('Add', [x, this.linear(mixed, `h.${layer}.attn.c_proj`)])
      const wide = this.linear(this.norm(x, `h.${layer}.ln_2`), `h.${layer}.mlp.c_fc`)
      const active = this.op('Gelu', [wide], { approximate: string('tanh') })
      x = this.op('Add', [x, this.linear(active, `h.${layer}.mlp.c_proj`)])
    }
    this.cache = grown
    this.length += rows
    return this.norm(this.lastOf(x, rows), 'ln_f')
  }

  private attention(x: string, layer: number): { readonly mixed: string; readonly cache: LayerCache } {
    const { heads, width } = this.shape
    const qkv = this.linear(x, `h.${layer}.attn.c_attn`) // [1, T, 3D]
    const parts = this.model.node('Split', [qkv, this.integers([width, width, width])], 3, {
      attributes: { axis: int(2) },
    })
    const past = this.cache[layer]
    const [mixed, k, v] = this.model.node(
      'MultiHeadAttention',
      past ? [...parts, '', '', '', past.k, past.v] : parts,
      3,
      { domain: 'com.microsoft', attributes: { num_heads: int(heads), unidirectional: int(1) } },
    ) as [string, string, string]
    return { mixed, cache: { k, v } }
  }

  /** The most probable token: [1, 1, D] → [1, 1]. */
  private greedy(hidden: string): string {
    const row = this.op('Reshape', [hidden, this.integers([1, this.shape.width])])
    const logits = this.op('Gemm', [row, 'wte.weight'], { transB: int(1) }) // [1, V]
    return this.op('ArgMax', [logits], { axis: int(1), keepdims: int(1) })
  }

  private linear(x: string, name: string): string {
    return this.op('Add', [this.op('MatMul', [x, `${name}.weight`]), `${name}.bias`])
  }

  private norm(x: string, name: string): string {
    const attributes = { axis: int(-1), epsilon: float(1e-5) }
    return this.op('LayerNormalization', [x, `${name}.weight`, `${name}.bias`], attributes)
  }

  private lastOf(x: string, rows: number): string {
    if (rows === 1) return x
    return this.op('Slice', [x, this.integers([rows - 1]), this.integers([rows]), this.integers([1])])
  }

  private op(name: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.model.node(name, inputs, 1, { attributes })[0]!
  }

  /** A constant list of int64. */
  private integers(values: readonly number[]): string {
    const key = `${values}`
    const known = this.constants.get(key)
    if (known !== undefined) return known
    const name = this.model.name()
    this.model.initializer(name, 'i64', [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer))
    this.constants.set(key, name)
    return name
  }
}
