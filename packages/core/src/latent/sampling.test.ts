import { describe, expect, it } from 'vitest'
import { Random } from '../data/random.ts'
import { reference } from '../reference/backend.ts'
import { trace } from '../tensor/trace.ts'
import { chooseToken, type SamplingOptions } from './sampling.ts'

const VOCABULARY = 11
const DRAWS = 400

/** Tokens for evenly spread uniform numbers, all drawn from the same logits. */
async function drawn(logits: readonly number[], options: SamplingOptions): Promise<Int32Array> {
  const backend = reference()
  const specs = {
    logits: { shape: [DRAWS, VOCABULARY], dtype: 'f32' },
    uniform: { shape: [DRAWS], dtype: 'f32' },
  } as const
  const graph = trace('draw', specs, (inputs) => ({
    outputs: { token: chooseToken(inputs.logits!, options, inputs.uniform) },
  }))
  const executable = await backend.compile(graph, new Map())
  const rows = Float32Array.from({ length: DRAWS * VOCABULARY }, (_, i) => logits[i % VOCABULARY]!)
  const { token } = await executable.run({
    logits: backend.upload({ ...specs.logits, data: rows }),
    uniform: backend.upload({ ...specs.uniform, data: Float32Array.from({ length: DRAWS }, (_, i) => i / DRAWS) }),
  })
  return (await backend.download(token!)) as Int32Array
}

/** Probabilities as the definitions say: sorted, cut, normalised, in doubles. */
function expected(
  logits: readonly number[],
  { temperature = 1, topK = VOCABULARY, topP = 1, minP = 0 }: SamplingOptions,
) {
  const weights = logits.map((logit) => Math.exp(logit / temperature))
  let kept = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]!).slice(0, topK)
  const mass = (ids: readonly number[]): number => ids.reduce((sum, id) => sum + weights[id]!, 0)
  const count = kept.findIndex((_, i) => mass(kept.slice(0, i + 1)) >= topP * mass(kept)) + 1
  kept = kept.slice(0, count).filter((id) => weights[id]! >= minP * weights[kept[0]!]!)
  return weights.map((weight, id) => (kept.includes(id) ? weight / mass(kept) : 0))
}

const random = new Random(17)
const logits = Array.from({ length: VOCABULARY }, () => 2 * random.normal())

describe('chooseToken', () => {
  it.each<[string, SamplingOptions]>([
    ['plain', {}],
    ['hot', { temperature: 3 }],
    ['cold', { temperature: 0.2 }],
    ['top-k', { topK: 3 }],
    ['top-k of more than there is', { topK: 50 }],
    ['top-p', { topP: 0.7 }],
    ['a tiny top-p keeps the best one', { topP: 1e-6 }],
    ['min-p', { minP: 0.1 }],
    ['all three', { temperature: 1.5, topK: 6, topP: 0.8, minP: 0.15 }],
  ])('%s: each token as often as its probability says, and no filtered one', async (_name, options) => {
    const tokens = await drawn(logits, options)
    expected(logits, options).forEach((probability, id) => {
      const share = tokens.filter((token) => token === id).length / DRAWS
      // The uniform numbers lie on a grid: every interval of the distribution holds its share up to one grid step.
      expect(Math.abs(share - probability)).toBeLessThan(1.01 / DRAWS)
      if (probability === 0) expect(share).toBe(0)
    })
  })

  it('draws by the running sum in the order of the vocabulary', async () => {
    const tokens = await drawn(logits, {})
    expect([...tokens].every((token, i) => i === 0 || token >= tokens[i - 1]!)).toBe(true)
  })

  it('gives a token that is kept even for the largest uniform number', async () => {
    const ends = await drawn([5, ...new Array<number>(VOCABULARY - 1).fill(-40)], { minP: 0.5 })
    expect(new Set(ends)).toEqual(new Set([0]))
  })
})
