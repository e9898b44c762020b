/**
 * Coconut's stages over a text data set (`coconut.ts`) as a course: from a model that writes its reasoning, or could, to
 * one that thinks it. The model gets three markers, unless it has them; everything else of its folder stays as it is.
 */

import { ArgumentError, CapacityError, ConfigError, type HostTensor } from '@afterthought/core'
import { type Dataset, type QuestionRecord, questionText, Random } from '@afterthought/core/data'
import {
  type DecoderConfig,
  type JsonObject,
  jsonOf,
  loadConfig,
  loadParameters,
  loadTokenizer,
  type ModelFolder,
  type Tokenizer,
} from '@afterthought/core/io'
import { learningRate } from './adamw.ts'
import {
  evaluationThoughts,
  hasMarkers,
  type MarkerIds,
  type MarkerInit,
  mostThoughts,
  stageAt,
  stageBatch,
  type TextSample,
  textObjective,
  withMarkers,
} from './coconut.ts'
import type { Course, Plan, Progress } from './course.ts'
import { jsonFile } from './json-file.ts'
import { refuseLateKeep } from './recipe-parts.ts'
import type { Batch } from './step.ts'
import { readTensors } from './stored-tensors.ts'
import { parseTextRecipe, type TextRecipe } from './text-recipe.ts'

const MARKERS = ['<|start-latent|>', '<|end-latent|>', '<|latent|>'] as const

/** The least width that columns are padded to; all are multiples of it. */
const LEAST_WIDTH = 32

/** What a recipe's names stand for. */
export interface TextMaterials {
  readonly base: ModelFolder
  readonly dataset: Dataset
}

export class TextCourse implements Course {
  readonly recipe: TextRecipe
  readonly config: DecoderConfig
  readonly steps: number
  /** Records that are other tokens in pieces than as one text: what is taught is then not what the model would write. */
  readonly apart: number
  private readonly samples: readonly TextSample[]
  private readonly markers: MarkerIds
  private readonly widths: readonly number[]
  private readonly readWeights: Grown['weights']
  private readonly folder: Readonly<Record<string, string>>
  private readonly stepsPerEpoch: number
  /** Tokens of the longest chain with its answer. */
  private readonly mostWritten: number
  private order: { readonly epoch: number; readonly indices: readonly number[] } | undefined

  private constructor(recipe: TextRecipe, parts: Parts) {
    this.recipe = recipe
    this.config = parts.config
    this.apart = parts.apart
    this.samples = parts.samples
    this.markers = parts.markers
    this.readWeights = parts.weights
    this.folder = parts.folder
    this.mostWritten = parts.samples.reduce((most, sample) => Math.max(most, writtenLength(sample)), 0)
    this.stepsPerEpoch = Math.ceil(parts.samples.length / recipe.batch)
    this.steps = (recipe.epochs - recipe.firstEpoch) * this.stepsPerEpoch
    this.widths = parts.widths
  }

  /**
   * Reads the model's configuration and tokenizer, and turns the questions into tokens.
   *
   * @throws ConfigError naming the key of the recipe, or if the model has no tokenizer; ArgumentError if the data asks not to
   *   be trained on or is not what the run began with; CapacityError if a question is longer than the model's positions
   */
  static async open(json: unknown, { base, dataset }: TextMaterials, where?: string): Promise<TextCourse> {
    const recipe = parseTextRecipe(json, where)
    refuseData(dataset, recipe.data)
    const tokenizer = await loadTokenizer(base)
    if (tokenizer === undefined) {
      throw new ConfigError('the model cannot read text', { where: base.id, expected: 'a tokenizer.json' })
    }
    const grown = await withMarkedVocabulary(base, tokenizer, recipe)
    const [eos] = grown.config.eosIds
    if (eos === undefined) {
      throw new ConfigError('an answer has no end', { where: `${base.id}/config.json`, expected: 'an eos_token_id' })
    }
    const samples = dataset.records.map((record) => sampleOf(record, tokenizer, eos))
    const sha256 = await digest(samples)
    if (recipe.sha256 !== undefined && recipe.sha256 !== sha256) {
      throw new ArgumentError('the questions are not those that the run began with', {
        where: recipe.data,
        expected: `sha256 ${recipe.sha256} of their tokens`,
        actual: sha256,
      })
    }
    const widths = widthsOf(samples, recipe, grown.config, base.id)
    const apart = dataset.records.filter((record, i) => !isWhole(record, samples[i]!, tokenizer)).length
    const course = new TextCourse({ ...recipe, sha256 }, { ...grown, samples, widths, apart })
    refuseLateKeep(recipe, course.steps, where)
    return course
  }

  firstWeights(): Promise<ReadonlyMap<string, HostTensor>> {
    return this.readWeights()
  }

  start(): Progress {
    return { thoughts: 0, mass: 0 }
  }

  plan(step: number): Plan {
    const { stages, resets, schedule } = this.recipe
    const stage = this.stageAt(step)
    const thoughts = mostThoughts(stages, stage)
    const first = { never: false, stage: stage !== this.stageAt(step - 1), epoch: step % this.stepsPerEpoch === 0 }
    return {
      phase: stage,
      task: stages.mode,
      objective: textObjective(this.config, thoughts),
      rate: learningRate(schedule, step + 1, this.steps),
      thoughts,
      resets: step > 0 && first[resets],
    }
  }

  /** Every question once an epoch, in an order of its own; the last batch is filled up with the epoch's first ones. */
  batches(step: number): readonly Batch[] {
    const { stages, seed, batch, accumulate } = this.recipe
    const epoch = this.epochAt(step)
    const order = this.orderOf(epoch)
    const random = new Random(seed, 2 * step + 1)
    const from = (step % this.stepsPerEpoch) * batch
    const drawn = Array.from({ length: batch }, (_, i) => this.samples[order[(from + i) % order.length]!]!)
    const size = batch / accumulate
    return Array.from({ length: accumulate }, (_, i) => {
      const rows = drawn.slice(i * size, (i + 1) * size)
      return stageBatch(rows, stages, epoch, random, this.markers, this.widths)
    })
  }

  observe(): Progress {
    return this.start()
  }

  competes(done: number): boolean {
    const formAt = (step: number): number => Math.min(this.stageAt(step), this.recipe.stages.maxStage + 1)
    const ends = done % this.stepsPerEpoch === 0
    return this.recipe.keepBest && ends && formAt(done - 1) === formAt(this.steps - 1)
  }

  files(done: number): Readonly<Record<string, string>> {
    const { stages } = this.recipe
    const { start, end, latent } = this.markers
    const latents = evaluationThoughts(stages, this.stageAt(Math.max(0, done - 1)), Number.POSITIVE_INFINITY)
    const tokens = this.mostWritten
    const marked = { format: 'text', latents, startIds: [start], endIds: [end], latentId: latent, tokens }
    const plain = { format: 'text', latents, startIds: [], endIds: [], tokens }
    return { ...this.folder, 'latent_config.json': jsonFile(hasMarkers(stages) ? marked : plain) }
  }

  private epochAt(step: number): number {
    return this.recipe.firstEpoch + Math.floor(step / this.stepsPerEpoch)
  }

  private stageAt(step: number): number {
    return stageAt(this.recipe.stages, this.epochAt(step))
  }

  private orderOf(epoch: number): readonly number[] {
    if (this.order?.epoch !== epoch) {
      const random = new Random(this.recipe.seed, 2 * epoch)
      this.order = { epoch, indices: random.shuffle([...this.samples.keys()]) }
    }
    return this.order.indices
  }
}

/** The model with its markers. */
interface Grown {
  readonly config: DecoderConfig
  /** Read when asked for: a run that goes on has its own. */
  readonly weights: () => Promise<ReadonlyMap<string, HostTensor>>
  readonly markers: MarkerIds
  /** Texts of the folder, weights and latent_config.json left out. */
  readonly folder: Readonly<Record<string, string>>
}

interface Parts extends Grown {
  readonly samples: readonly TextSample[]
  /** Columns that the halves of a batch are padded to, before the slots and from them on. Ascending. */
  readonly widths: readonly number[]
  readonly apart: number
}

function refuseData({ canary, records }: Dataset, where: string): void {
  if (canary !== undefined) {
    throw new ArgumentError('the data asks never to be trained on', { where, actual: canary })
  }
  if (records.length === 0) throw new ArgumentError('there are no questions', { where, expected: 'at least one' })
}

async function withMarkedVocabulary(base: ModelFolder, tokenizer: Tokenizer, recipe: TextRecipe): Promise<Grown> {
  const config = await loadConfig(base)
  const configJson = await jsonOf(base, 'config.json')
  const tokenizerJson = await jsonOf(base, 'tokenizer.json')
  const others = await textsOf(base, ['tokenizer_config.json', 'generation_config.json', 'chat_template.jinja'])
  const folderOf = (model: JsonObject, words: JsonObject): Record<string, string> => ({
    ...others,
    'config.json': jsonFile(model),
    'tokenizer.json': jsonFile(words),
  })
  const known = MARKERS.map((marker) => tokenizer.idOf(marker))
  const isNew = known.includes(undefined)
  const ids = isNew ? MARKERS.map((_, i) => config.vocabSize + i) : (known as number[])
  const [start, end, latent] = ids as [number, number, number]
  const markers = { start, end, latent }
  if (!hasMarkers(recipe.stages) || !isNew) {
    return { config, weights: () => weightsOf(base, config), markers, folder: folderOf(configJson, tokenizerJson) }
  }
  const vocabSize = config.vocabSize + MARKERS.length
  const init = markerInit(recipe, tokenizer)
  const added = MARKERS.map((content, i) => ({ id: ids[i]!, content, ...ORDINARY }))
  const before = Array.isArray(tokenizerJson.added_tokens) ? tokenizerJson.added_tokens : []
  return {
    config: { ...config, vocabSize },
    weights: async () => withMarkers(await weightsOf(base, config), MARKERS.length, init),
    markers,
    folder: folderOf(
      { ...configJson, vocab_size: vocabSize },
      { ...tokenizerJson, added_tokens: [...before, ...added] },
    ),
  }
}

const weightsOf = async (base: ModelFolder, config: DecoderConfig): Promise<Map<string, HostTensor>> =>
  readTensors(await loadParameters(base, config))

async function textsOf(folder: ModelFolder, names: readonly string[]): Promise<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const name of names) if (await folder.has(name)) texts[name] = await folder.text(name)
  return texts
}

/** An added token that is nothing special to a tokenizer. */
const ORDINARY = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false }

function markerInit({ markers }: TextRecipe, tokenizer: Tokenizer): MarkerInit {
  if (markers === 'mean') return markers
  const copyOf = tokenizer.idOf(markers.copyOf)
  if (copyOf !== undefined) return { copyOf }
  throw new ConfigError('no such token', {
    where: 'recipe: markers',
    expected: 'a token of the model',
    actual: JSON.stringify(markers.copyOf),
    hint: 'Begin with "mean" instead',
  })
}

/** The pieces that Coconut tokenises apart. */
const pieces = ({ question, steps, answer }: QuestionRecord): readonly string[] => [
  questionText(question),
  ...steps.map((step) => `${step}\n`),
  `### ${answer}`,
]

function sampleOf(record: QuestionRecord, tokenizer: Tokenizer, eos: number): TextSample {
  const [question, ...rest] = pieces(record).map((text, i) => tokenizer.encode(text, { addSpecial: i === 0 }))
  return { question: question!, steps: rest.slice(0, -1), answer: [...rest.at(-1)!, eos] }
}

/** Whether the pieces are the tokens of the whole text. */
function isWhole(record: QuestionRecord, { question, steps, answer }: TextSample, tokenizer: Tokenizer): boolean {
  return `${tokenizer.encode(pieces(record).join(''))}` === `${[...question, ...steps.flat(), ...answer.slice(0, -1)]}`
}

const writtenLength = ({ steps, answer }: TextSample): number => steps.flat().length + answer.length

/**
 * Half an octave apart: every pair of widths is a program of its own, and what one holds is a matter of gigabytes.
 *
 * @throws CapacityError if a batch may be longer than the model's positions
 */
function widthsOf(
  samples: readonly TextSample[],
  { stages, data }: TextRecipe,
  { maxPositions }: DecoderConfig,
  where: string,
): readonly number[] {
  const most = (lengthOf: (sample: TextSample) => number): number => {
    const longest = samples.reduce((length, sample) => Math.max(length, lengthOf(sample)), 0)
    return Math.ceil(longest / LEAST_WIDTH) * LEAST_WIDTH
  }
  const before = most(({ question }) => question.length + 1)
  const slots = stages.maxStage * stages.thoughtsPerStep
  const behind = most((sample) => slots + 1 + writtenLength(sample))
  if (before + behind > maxPositions) {
    throw new CapacityError('questions and chains are longer than the model', {
      where,
      expected: `at most ${maxPositions} positions`,
      actual: `up to ${before} before the thoughts and ${behind} from there on`,
      hint: `Leave the longest records of ${data} out`,
    })
  }
  const greatest = Math.max(before, behind)
  const widths = [LEAST_WIDTH]
  for (let octave = 2 * LEAST_WIDTH; octave < greatest; octave *= 2) widths.push(octave, 1.5 * octave)
  const needed = widths.filter((width) => width < greatest)
  return [...new Set([...needed, before, behind])].sort((a, b) => a - b)
}

/** SHA-256 of the samples' tokens, with marks between pieces and between samples. */
async function digest(samples: readonly TextSample[]): Promise<string> {
  const tokens: number[] = []
  for (const { question, steps, answer } of samples) {
    for (const piece of [question, ...steps, answer]) tokens.push(...piece, -1)
    tokens.push(-2)
  }
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', Int32Array.from(tokens)))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
