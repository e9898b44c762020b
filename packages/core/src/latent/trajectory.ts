/**
 * A trajectory: what can be seen of a rollout's thoughts. Norms, displacements, and what each thought says when it is read
 * through the unembedding, as if it were the state from which the next token is predicted.
 */

import type { LanguageModel } from '../models/language-model.ts'
import { withoutCache } from '../models/traced.ts'
import * as F from '../tensor/functional.ts'
import { trace } from '../tensor/trace.ts'
import type { RolloutRow } from './rollout.ts'

/** A token that a state points at. */
export interface TokenReading {
  readonly id: number
  /** As text, where there is a way to write it. */
  readonly token: string
  readonly logit: number
  readonly probability: number
}

export interface ThoughtRecord {
  /** Slot, counted from 1. */
  readonly t: number
  /** Euclidean norm of the thought as it was fed. */
  readonly norm: number
  /** Distance from what was fed one step before: the thought of the slot before, or the prompt's last embedding. */
  readonly displacement: number
  /** Distance from what the model proposed for the slot: what refinement, or a control, did. */
  readonly moved?: number
  /** Of the reading's distribution, in nats. */
  readonly entropy: number
  /** Most probable first. */
  readonly top: readonly TokenReading[]
  /** The references' states for the slot, read through the main model's unembedding. */
  readonly good?: readonly TokenReading[]
  readonly bad?: readonly TokenReading[]
  readonly vector: Float32Array
}

export interface ReadingOptions {
  /** Tokens per reading. Default 5. */
  readonly top?: number
  /** How a token is written. Default: the model's tokenizer, or the bare id. */
  readonly tokenText?: (id: number) => string
}

/** What vectors say through the unembedding. */
export interface StateReading {
  readonly entropy: number
  readonly top: readonly TokenReading[]
}

/**
 * Describes the thoughts of one row.
 *
 * @param prompt the row's prompt; its last token's embedding is where the first displacement is measured from
 */
export async function describeThoughts(
  model: LanguageModel,
  prompt: readonly number[],
  row: RolloutRow,
  options: ReadingOptions = {},
): Promise<ThoughtRecord[]> {
  const { thoughts, candidates, good, bad } = row
  if (thoughts.length === 0) return []
  const readings = await readStates(model, thoughts, options)
  const goodReadings = good && (await readStates(model, good, options))
  const badReadings = bad && (await readStates(model, bad, options))
  let before = await embeddingOf(model, prompt.at(-1)!)
  return thoughts.map((vector, i): ThoughtRecord => {
    const displacement = distance(vector, before)
    before = vector
    return {
      t: i + 1,
      norm: norm(vector),
      displacement,
      ...(candidates && { moved: distance(vector, candidates[i]!) }),
      ...readings[i]!,
      ...(goodReadings && { good: goodReadings[i]!.top }),
      ...(badReadings && { bad: badReadings[i]!.top }),
      vector,
    }
  })
}

/** Reads states ([D] each) through the unembedding: logits, softmax, the most probable tokens. */
export async function readStates(
  model: LanguageModel,
  states: readonly Float32Array[],
  { top = 5, tokenText = (id) => defaultText(model, id) }: ReadingOptions = {},
): Promise<StateReading[]> {
  const { backend, config } = model
  const count = Math.min(top, config.vocabSize)
  const hidden = { shape: [states.length, config.width], dtype: 'f32' } as const
  const program = await model.programs.get(
    `read|${hidden.shape}|${count}`,
    () =>
      trace('read', { hidden }, (inputs) => {
        const logits = withoutCache('main', config).logits(inputs.hidden!)
        const logProbabilities = F.logSoftmax(logits)
        const [values, ids] = F.topK(logits, count)
        const [best] = F.topK(logProbabilities, count)
        const entropy = F.neg(F.reduceSum(F.mul(F.exp(logProbabilities), logProbabilities), [1]))
        return { outputs: { values, ids, probabilities: F.exp(best), entropy } }
      }),
    () => model.weights('main'),
  )
  const data = new Float32Array(states.length * config.width)
  states.forEach((state, i) => data.set(state, i * config.width))
  const input = backend.upload({ ...hidden, data })
  const outputs = await program.run({ hidden: input })
  const [values, ids, probabilities, entropy] = [
    await backend.download(outputs.values!),
    await backend.download(outputs.ids!),
    await backend.download(outputs.probabilities!),
    await backend.download(outputs.entropy!),
  ]
  for (const buffer of [input, ...Object.values(outputs)]) buffer.dispose()
  return states.map((_, i) => ({
    entropy: entropy[i]!,
    top: Array.from({ length: count }, (_, j) => {
      const id = ids[i * count + j]!
      return {
        id,
        token: tokenText(id),
        logit: values[i * count + j]!,
        probability: probabilities[i * count + j]!,
      }
    }),
  }))
}

function defaultText(model: LanguageModel, id: number): string {
  return model.tokenizer?.decode([id]) ?? String(id)
}

async function embeddingOf(model: LanguageModel, id: number): Promise<Float32Array> {
  const ids = model.uploadIds([[id]], 1)
  const embeds = await model.embed(ids)
  const vector = (await model.backend.download(embeds)) as Float32Array
  for (const buffer of [ids, embeds]) buffer.dispose()
  return vector
}

function norm(vector: Float32Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0))
}
