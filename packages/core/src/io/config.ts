/**
 * config.json to {@link DecoderConfig}: one strict reading of the Hugging Face keys of GPT-2, Llama, Qwen2 and Qwen3.
 *
 * The defaults inside Hugging Face's classes differ from the shipped configurations (Qwen2's class says rope_theta 1e4,
 * its models 1e6), so a missing architecture key is an error, never a guess. Switches that later releases added, and
 * that are absent from older files, keep the meaning they had before. A switch this library does not implement is
 * refused rather than ignored: a model that runs slightly wrong is worse than one that does not run.
 */

import { ConfigError } from '../errors.ts'
import { type Bounds, ConfigReader } from './config-reader.ts'

/** Llama 3's stretching of slow rotary frequencies. */
export interface RopeScaling {
  readonly factor: number
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  readonly originalMaxPositions: number
}

export interface RopeConfig {
  /** The base of the frequencies. */
  readonly theta: number
  readonly scaling?: RopeScaling
}

export type FamilyName = 'gpt2' | 'llama' | 'qwen2' | 'qwen3'

/** What a decoder is, independent of the spelling of its configuration file. */
export interface DecoderConfig {
  readonly family: FamilyName
  /** Rows of the embedding (V); may exceed what the tokenizer knows. */
  readonly vocabSize: number
  /** Width of the hidden state (D). */
  readonly width: number
  readonly layers: number
  /** Query heads (H). */
  readonly heads: number
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number
  /** Width of one head; `heads · headDim` need not be `width` (Qwen3). */
  readonly headDim: number
  /** Inner width of the MLP. */
  readonly mlpWidth: number
  readonly maxPositions: number
  readonly normEpsilon: number
  /** Whether the unembedding is the embedding. */
  readonly tied: boolean
  /** Tokens that end a text; empty if the file names none. */
  readonly eosIds: readonly number[]
  readonly bosId?: number
  readonly padId?: number
  /** Biases on the query, key, value and output projections. */
  readonly attentionBias: boolean
  /** Biases on query, key and value only (Qwen2). */
  readonly qkvBias: boolean
  /** RMS norms on the heads of query and key before the rotation (Qwen3). */
  readonly qkNorm: boolean
  readonly mlpBias: boolean
  /** Absent where positions are learned (GPT-2). */
  readonly rope?: RopeConfig
}

const LAYERS: Bounds = { min: 1, max: 1024 }
const WIDTH: Bounds = { min: 1, max: 65_536 }
const HEADS: Bounds = { min: 1, max: 4096 }
const MLP: Bounds = { min: 1, max: 1_048_576 }
const VOCABULARY: Bounds = { min: 1, max: 4_194_304 }
/** Beyond 2²⁴ an f32 cannot tell neighbouring positions apart. */
const POSITIONS: Bounds = { min: 1, max: 16_777_216 }
const EPSILON: Bounds = { min: 1e-12, max: 0.1 }
const THETA: Bounds = { min: 1, max: 1e12 }
const FACTOR: Bounds = { min: 1e-3, max: 1e6 }

/**
 * Reads the parsed JSON of a config.json.
 *
 * @param where the file, for error messages
 * @throws ConfigError naming key, expectation and value
 */
export function parseConfig(json: unknown, where: string): DecoderConfig {
  const reader = new ConfigReader(json, where)
  if (reader.has('quantization_config')) {
    throw new ConfigError('quantized weights are not supported', {
      where: `${where}: quantization_config`,
      hint: 'Use the original float weights; backends can quantize them while loading',
    })
  }
  const family = reader.choice('model_type', ['gpt2', 'llama', 'qwen2', 'qwen3'])
  return family === 'gpt2' ? parseGpt2(reader) : parseLlama(reader, family)
}

function parseGpt2(reader: ConfigReader): DecoderConfig {
  reader.choice('activation_function', ['gelu_new', 'gelu_pytorch_tanh'])
  reader.insist('scale_attn_weights', true)
  reader.insist('scale_attn_by_inverse_layer_idx', false)
  reader.insist('reorder_and_upcast_attn', false)
  reader.insist('add_cross_attention', false)
  const width = reader.integer('n_embd', WIDTH)
  const heads = reader.integer('n_head', HEADS)
  const vocabSize = reader.integer('vocab_size', VOCABULARY)
  return {
    family: 'gpt2',
    vocabSize,
    width,
    layers: reader.integer('n_layer', LAYERS),
    heads,
    kvHeads: heads,
    headDim: divide(reader, 'n_head', heads, 'n_embd', width),
    mlpWidth: reader.integer('n_inner', MLP, 4 * width),
    maxPositions: reader.integer('n_positions', POSITIONS),
    normEpsilon: reader.number('layer_norm_epsilon', EPSILON),
    tied: reader.boolean('tie_word_embeddings', true),
    ...specialTokens(reader, vocabSize),
    attentionBias: true,
    qkvBias: true,
    qkNorm: false,
    mlpBias: true,
  }
}

function parseLlama(reader: ConfigReader, family: 'llama' | 'qwen2' | 'qwen3'): DecoderConfig {
  reader.choice('hidden_act', ['silu', 'swish'])
  const width = reader.integer('hidden_size', WIDTH)
  const layers = reader.integer('num_hidden_layers', LAYERS)
  const heads = reader.integer('num_attention_heads', HEADS)
  const kvHeads = reader.integer('num_key_value_heads', HEADS, family === 'llama' ? heads : undefined)
  divide(reader, 'num_key_value_heads', kvHeads, 'num_attention_heads', heads)
  const vocabSize = reader.integer('vocab_size', VOCABULARY)
  const headDim = parseHeadDim(reader, family, width, heads)
  refuseSlidingWindows(reader, layers)
  return {
    family,
    vocabSize,
    width,
    layers,
    heads,
    kvHeads,
    headDim,
    mlpWidth: reader.integer('intermediate_size', MLP),
    maxPositions: reader.integer('max_position_embeddings', POSITIONS),
    normEpsilon: reader.number('rms_norm_eps', EPSILON),
    tied: reader.boolean('tie_word_embeddings', false),
    ...specialTokens(reader, vocabSize),
    attentionBias: family !== 'qwen2' && reader.boolean('attention_bias', false),
    qkvBias: family === 'qwen2',
    qkNorm: family === 'qwen3',
    mlpBias: family === 'llama' && reader.boolean('mlp_bias', false),
    rope: parseRope(reader),
  }
}

function parseHeadDim(reader: ConfigReader, family: FamilyName, width: number, heads: number): number {
  const derived = reader.has('head_dim') || family === 'qwen3' ? undefined : width / heads
  if (derived !== undefined) divide(reader, 'num_attention_heads', heads, 'hidden_size', width)
  const headDim = reader.integer('head_dim', WIDTH, derived)
  if (headDim % 2 !== 0) throw reader.error('head_dim', 'an even number (rotary halves)', headDim)
  return headDim
}

function divide(reader: ConfigReader, key: string, divisor: number, ofKey: string, dividend: number): number {
  if (dividend % divisor !== 0) throw reader.error(key, `a divisor of ${ofKey} ${dividend}`, divisor)
  return dividend / divisor
}

/** Qwen restricts attention to a window only where the switch is on, and only from layer `max_window_layers` on. */
function refuseSlidingWindows(reader: ConfigReader, layers: number): void {
  if (reader.boolean('use_sliding_window', false) && reader.has('sliding_window')) {
    const first = reader.integer('max_window_layers', { min: 0, max: LAYERS.max }, 0)
    if (first < layers) throw reader.error('use_sliding_window', 'false (windows are not supported)', true)
  }
  const types = reader.get('layer_types')
  if (types === undefined) return
  if (!Array.isArray(types) || !types.every((type) => type === 'full_attention')) {
    throw reader.error('layer_types', '"full_attention" in every layer', types)
  }
}

/** Three spellings: rope_theta + rope_scaling; older files write `type` for `rope_type`; newer ones rope_parameters. */
function parseRope(reader: ConfigReader): RopeConfig {
  reader.insist('partial_rotary_factor', 1)
  const joint = reader.object('rope_parameters')
  const theta = (joint?.has('rope_theta') ? joint : reader).number('rope_theta', THETA)
  const options = joint ?? reader.object('rope_scaling')
  if (options === undefined) return { theta }
  options.insist('partial_rotary_factor', 1)
  const type = options.choice(options.has('rope_type') ? 'rope_type' : 'type', ['default', 'llama3'])
  return type === 'default' ? { theta } : { theta, scaling: parseScaling(options) }
}

function parseScaling(options: ConfigReader): RopeScaling {
  const lowFreqFactor = options.number('low_freq_factor', FACTOR)
  const highFreqFactor = options.number('high_freq_factor', FACTOR)
  if (highFreqFactor <= lowFreqFactor) {
    throw options.error('high_freq_factor', `more than low_freq_factor ${lowFreqFactor}`, highFreqFactor)
  }
  return {
    factor: options.number('factor', { min: 1, max: FACTOR.max }),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions: options.integer('original_max_position_embeddings', POSITIONS),
  }
}

function specialTokens(reader: ConfigReader, vocabSize: number): Pick<DecoderConfig, 'eosIds' | 'bosId' | 'padId'> {
  const bosId = tokenIds(reader, 'bos_token_id', vocabSize)[0]
  const padId = tokenIds(reader, 'pad_token_id', vocabSize)[0]
  return {
    eosIds: tokenIds(reader, 'eos_token_id', vocabSize),
    ...(bosId !== undefined && { bosId }),
    ...(padId !== undefined && { padId }),
  }
}

/**
 * A number, a list or nothing. Ids beyond the vocabulary are left out: small models made from a class's defaults carry
 * GPT-2's 50256, and some old files write −1 for "none".
 */
function tokenIds(reader: ConfigReader, key: string, vocabSize: number): number[] {
  const value = reader.get(key) ?? []
  const ids = Array.isArray(value) ? value : [value]
  if (ids.length > 1000 || !ids.every((id) => Number.isSafeInteger(id))) {
    throw reader.error(key, 'an integer or a list of integers', value)
  }
  return ids.filter((id) => id >= 0 && id < vocabSize)
}

/**
 * The `eos_token_id` of a generation_config.json, which lists more end tokens than config.json for chat models.
 *
 * @returns undefined if the file names none
 * @throws ConfigError
 */
export function parseGenerationEos(json: unknown, where: string, vocabSize: number): number[] | undefined {
  const reader = new ConfigReader(json, where)
  return reader.has('eos_token_id') ? tokenIds(reader, 'eos_token_id', vocabSize) : undefined
}

/**
 * Inverse rotary frequencies θ_i = base^(−2i/d), stretched as Llama 3 prescribes where the configuration says so:
 * wavelengths beyond `original / low` are divided by `factor`, those below `original / high` kept, the band between
 * blended linearly.
 *
 * @returns radians per position, [headDim / 2]
 * @throws ConfigError if the model has no rotary positions
 */
export function ropeInverseFrequencies(config: DecoderConfig): Float32Array {
  const { rope, headDim } = config
  if (rope === undefined) throw new ConfigError(`${config.family} has no rotary positions`)
  const stretch = rope.scaling
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = rope.theta ** ((-2 * i) / headDim)
    return stretch === undefined ? frequency : stretched(frequency, stretch)
  })
}

function stretched(frequency: number, scaling: RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling
  const periods = (originalMaxPositions * frequency) / (2 * Math.PI) // within the original context
  if (periods < lowFreqFactor) return frequency / factor
  if (periods > highFreqFactor) return frequency
  const kept = (periods - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return ((1 - kept) * frequency) / factor + kept * frequency
}
