/**
 * One question, thought through twice: as the model does it by itself, and with the change that the page asks for. The
 * same few calls that the page shows as code.
 */

import {
  type Backend,
  describeThoughts,
  type LanguageModel,
  loadModel,
  type RolloutOptions,
  rollout,
} from '@afterthought/core'
import {
  type EncodedQuestion,
  frontiers,
  generateProsqa,
  hopDistances,
  type TaskPrompt,
  taskOf,
} from '@afterthought/core/data'
import { memoryFolder } from '@afterthought/core/io'
import { MOST_LATENTS, type PlaygroundState, refinementOf } from './state.ts'
import type { QuestionView, ResultView, ThinkingView } from './view.ts'

const files: Readonly<Record<string, readonly string[]>> = {
  main: ['config.json', 'latent_config.json', 'tokenizer.json', 'model.safetensors'],
  'main-early': ['config.json', 'latent_config.json', 'tokenizer.json', 'model.safetensors'],
  good: ['config.json', 'tokenizer.json', 'model.safetensors'],
  bad: ['config.json', 'tokenizer.json', 'model.safetensors'],
}

/** Reads a file of the embedded models, as `main/config.json`. */
export type ReadModelFile = (path: string) => Promise<Uint8Array>

/** The shipped models on one backend, read when they are first asked for. */
export class Thinker {
  readonly backend: Backend
  private readonly read: ReadModelFile
  private readonly models = new Map<string, Promise<LanguageModel>>()

  constructor(backend: Backend, read: ReadModelFile) {
    this.backend = backend
    this.read = read
  }

  /** @throws ArgumentError if the question is not in ProsQA's language */
  async think(state: PlaygroundState, signal?: AbortSignal): Promise<ResultView> {
    const main = await this.model(state.model)
    const prompt = taskOf(main).encode(state.question)
    const before = await this.run(state, prompt, {}, signal)
    const change = await this.changeOf(state, signal)
    const after = change ? await this.run(state, prompt, change, signal) : before
    return { question: viewQuestion(prompt.graph!), before, after }
  }

  model(name: string): Promise<LanguageModel> {
    const model = this.models.get(name) ?? this.load(name)
    this.models.set(name, model)
    // What could not be fetched is fetched again the next time.
    model.catch(() => this.models.delete(name))
    return model
  }

  private async load(name: string): Promise<LanguageModel> {
    const contents = await Promise.all(
      files[name]!.map(async (file) => [file, await this.read(`${name}/${file}`)] as const),
    )
    return loadModel(memoryFolder(name, Object.fromEntries(contents)), this.backend)
  }

  private async run(
    { model, latents, seed }: PlaygroundState,
    prompt: TaskPrompt,
    change: Pick<RolloutOptions, 'replace' | 'refinement'>,
    signal?: AbortSignal,
  ): Promise<ThinkingView> {
    const main = await this.model(model)
    const references = change.refinement?.search ? { good: await this.model('good'), bad: await this.model('bad') } : {}
    const started = performance.now()
    const { rows } = await rollout({ main, ...references }, [prompt.promptIds], {
      latents,
      endIds: prompt.endIds,
      stopIds: [],
      answerLogits: true,
      record: true,
      seed,
      ...(signal && { signal }),
      ...change,
    })
    const ms = performance.now() - started
    const row = rows[0]!
    const records = await describeThoughts(main, prompt.promptIds, row, {
      top: main.config.vocabSize,
      tokenText: (id) => prompt.tokenText(id),
    })
    const probabilities = softmax(row.answerLogits!)
    return {
      answer: prompt.answer(row.tokens),
      answerId: row.tokens[0]!,
      optionProbabilities: [probabilities[prompt.optionIds![0]]!, probabilities[prompt.optionIds![1]]!],
      thoughts: records.map(({ vector: _, ...thought }) => thought),
      ms,
    }
  }

  private async changeOf(
    state: PlaygroundState,
    signal?: AbortSignal,
  ): Promise<Pick<RolloutOptions, 'replace' | 'refinement'> | undefined> {
    const { slots } = state
    if (state.latents === 0) return undefined
    if (slots === 'other-question') return { replace: await this.foreignThoughts(state, signal) }
    if (slots !== 'own') return { replace: slots }
    const refinement = refinementOf(state)
    return refinement && { refinement }
  }

  /** [1, T, D]: what the model thinks of another question. */
  private async foreignThoughts(
    { model, latents, seed }: PlaygroundState,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const main = await this.model(model)
    const { promptIds, endIds } = taskOf(main).encode(newQuestion(seed + 1))
    const { rows } = await rollout({ main }, [promptIds], { latents, endIds, stopIds: [], ...(signal && { signal }) })
    const vectors = rows[0]!.thoughts
    const joined = new Float32Array(vectors.length * main.config.width)
    vectors.forEach((vector, t) => joined.set(vector, t * main.config.width))
    return joined
  }
}

/** A question of ProsQA's kind; equal seeds give equal questions. */
export function newQuestion(seed: number): string {
  return generateProsqa({ count: 1, seed, hops: [3, 4] })[0]!.question
}

function viewQuestion(graph: EncodedQuestion): QuestionView {
  const { answerText: _, ...question } = graph
  const hops = hopDistances(graph)
  const reached = graph.optionIds.filter((id) => hops[id]! >= 0)
  return {
    ...question,
    hops,
    frontiers: frontiers(graph, MOST_LATENTS),
    target: reached.length === 1 ? reached[0] : undefined,
  }
}

function softmax(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b))
  const powers = Array.from(logits, (logit) => Math.exp(logit - most))
  const sum = powers.reduce((a, b) => a + b)
  return powers.map((power) => power / sum)
}
