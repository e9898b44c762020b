/** Weights before training. */

import { type HostTensor, sizeOf } from '@afterthought/core'
import type { Random } from '@afterthought/core/data'
import { type DecoderConfig, expectedParameters } from '@afterthought/core/io'

export interface Initialization {
  /** Deviation of every matrix; by default 1 / √inputs. */
  readonly deviation?: number
  /** Deviation of token embeddings. Default that of other matrices. */
  readonly embedding?: number
  /** Factor on the matrices that write into the residual stream. Default 1. */
  readonly residual?: number
  /** Value of the final norm's weight: with a tied head, thoughts and tokens then have one scale. Default 1. */
  readonly finalNorm?: number
}

const isEmbedding = (name: string): boolean => /(^wte|^wpe|embed_tokens)\.weight$/.test(name)
const isResidual = (name: string): boolean => /(c_proj|o_proj|down_proj)\.weight$/.test(name)
const isFinalNorm = (name: string): boolean => /^(ln_f|model\.norm)\.weight$/.test(name)

/** Matrices normal, biases 0, norms 1. */
export function initialWeights(
  config: DecoderConfig,
  random: Random,
  { deviation, embedding, residual = 1, finalNorm = 1 }: Initialization = {},
): Map<string, HostTensor> {
  const entries = [...expectedParameters(config)].map(([name, shape]): [string, HostTensor] => {
    const data = new Float32Array(sizeOf(shape))
    if (shape.length === 1) data.fill(name.endsWith('.bias') ? 0 : isFinalNorm(name) ? finalNorm : 1)
    else {
      const inputs = config.family === 'gpt2' && !isEmbedding(name) ? shape[0]! : shape[1]!
      const own = (deviation ?? inputs ** -0.5) * (isResidual(name) ? residual : 1)
      const spread = isEmbedding(name) ? (embedding ?? own) : own
      for (let i = 0; i < data.length; i++) data[i] = random.normal(0, spread)
    }
    return [name, { shape, dtype: 'f32', data }]
  })
  return new Map(entries)
}
