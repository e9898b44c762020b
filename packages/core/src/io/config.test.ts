import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.ts'
import { parseConfig, ropeInverseFrequencies } from './config.ts'

const gpt2 = {
  model_type: 'gpt2',
  activation_function: 'gelu_new',
  vocab_size: 97,
  n_embd: 48,
  n_layer: 3,
  n_head: 4,
  n_positions: 64,
  layer_norm_epsilon: 1e-5,
  bos_token_id: 96,
  eos_token_id: 96,
}
const llama = {
  model_type: 'llama',
  hidden_act: 'silu',
  vocab_size: 101,
  hidden_size: 64,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 112,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
}
const qwen2 = { ...llama, model_type: 'qwen2', rope_theta: 1e6, sliding_window: null, use_sliding_window: false }
const qwen3 = { ...qwen2, model_type: 'qwen3', head_dim: 20, hidden_size: 48 }
const scaling = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}

const parse = (json: unknown): ReturnType<typeof parseConfig> => parseConfig(json, 'config.json')

describe('families', () => {
  it('GPT-2', () => {
    expect(parse(gpt2)).toEqual({
      family: 'gpt2',
      vocabSize: 97,
      width: 48,
      layers: 3,
      heads: 4,
      kvHeads: 4,
      headDim: 12,
      mlpWidth: 192,
      maxPositions: 64,
      normEpsilon: 1e-5,
      tied: true,
      eosIds: [96],
      bosId: 96,
      attentionBias: true,
      qkvBias: true,
      qkNorm: false,
      mlpBias: true,
    })
    expect(parse({ ...gpt2, n_inner: 100, tie_word_embeddings: false })).toMatchObject({ mlpWidth: 100, tied: false })
  })

  it('Llama, Qwen2, Qwen3', () => {
    const base = { vocabSize: 101, layers: 3, heads: 4, kvHeads: 2, mlpWidth: 112, tied: false, eosIds: [] }
    expect(parse(llama)).toMatchObject({
      ...base,
      family: 'llama',
      width: 64,
      headDim: 16,
      attentionBias: false,
      qkvBias: false,
      qkNorm: false,
      mlpBias: false,
      rope: { theta: 10000 },
    })
    expect(parse(qwen2)).toMatchObject({ ...base, family: 'qwen2', qkvBias: true, attentionBias: false, qkNorm: false })
    expect(parse(qwen3)).toMatchObject({ ...base, family: 'qwen3', headDim: 20, qkvBias: false, qkNorm: true })
    expect(parse({ ...llama, attention_bias: true, mlp_bias: true })).toMatchObject({
      attentionBias: true,
      mlpBias: true,
    })
    expect(parse({ ...llama, num_key_value_heads: null })).toMatchObject({ kvHeads: 4 })
  })

  it('special tokens: number, list, nothing; none outside the vocabulary', () => {
    expect(parse({ ...llama, eos_token_id: 2, pad_token_id: -1 })).toMatchObject({ eosIds: [2] })
    expect(parse({ ...llama, eos_token_id: [2, 7, 128001] })).toMatchObject({ eosIds: [2, 7] })
    expect(parse({ ...llama, eos_token_id: null, bos_token_id: 50256 })).not.toHaveProperty('bosId')
  })
})

describe('rotary spellings', () => {
  const expected = {
    theta: 10000,
    scaling: { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 },
  }
  const { rope_type: _, ...unnamed } = scaling
  it.each([
    ['rope_scaling', { ...llama, rope_scaling: scaling }],
    ['type', { ...llama, rope_scaling: { ...unnamed, type: 'llama3' } }],
    ['rope_parameters', { ...llama, rope_theta: undefined, rope_parameters: { ...scaling, rope_theta: 10000 } }],
  ])('%s', (_name, json) => {
    expect(parse(json).rope).toEqual(expected)
  })
  it('default', () => {
    expect(parse({ ...llama, rope_scaling: null }).rope).toEqual({ theta: 10000 })
    const joint = { ...llama, rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 5 } }
    expect(parse(joint).rope).toEqual({ theta: 5 })
  })
})

describe('refusals name the key', () => {
  const cases: [string, unknown, string][] = [
    ['no object', [], 'object'],
    ['unknown type', { ...llama, model_type: 'mamba9' }, 'model_type'],
    ['no type', { ...llama, model_type: undefined }, 'model_type'],
    ['no heads', { ...llama, num_attention_heads: 0 }, 'num_attention_heads'],
    ['absurd layers', { ...llama, num_hidden_layers: 1e9 }, 'num_hidden_layers'],
    ['negative width', { ...llama, hidden_size: -64 }, 'hidden_size'],
    ['null width', { ...llama, hidden_size: null }, 'hidden_size'],
    ['text for a number', { ...llama, rope_theta: 'x' }, 'rope_theta'],
    ['missing theta', { ...llama, rope_theta: undefined }, 'rope_theta'],
    ['absurd vocabulary', { ...llama, vocab_size: 5e6 }, 'vocab_size'],
    ['fractional vocabulary', { ...llama, vocab_size: 5.5 }, 'vocab_size'],
    [
      'infinite epsilon',
      JSON.parse(JSON.stringify({ ...llama, rms_norm_eps: 0 }).replace('"rms_norm_eps":0', '"rms_norm_eps":1e999')),
      'rms_norm_eps',
    ],
    ['kv heads', { ...llama, num_key_value_heads: 3 }, 'num_key_value_heads'],
    ['missing kv heads', { ...qwen2, num_key_value_heads: undefined }, 'num_key_value_heads'],
    ['head width', { ...llama, hidden_size: 66 }, 'num_attention_heads'],
    ['odd head width', { ...llama, head_dim: 15 }, 'head_dim'],
    ['qwen3 without head_dim', { ...qwen3, head_dim: undefined }, 'head_dim'],
    ['activation', { ...llama, hidden_act: 'gelu' }, 'hidden_act'],
    ['gpt2 activation', { ...gpt2, activation_function: 'relu' }, 'activation_function'],
    ['gpt2 heads', { ...gpt2, n_head: 5 }, 'n_head'],
    ['unscaled attention', { ...gpt2, scale_attn_weights: false }, 'scale_attn_weights'],
    ['layer scaling', { ...gpt2, scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
    ['reordered attention', { ...gpt2, reorder_and_upcast_attn: true }, 'reorder_and_upcast_attn'],
    ['windows', { ...qwen2, use_sliding_window: true, sliding_window: 64, max_window_layers: 2 }, 'use_sliding_window'],
    ['layer types', { ...qwen3, layer_types: ['full_attention', 'sliding_attention'] }, 'layer_types'],
    ['rope type', { ...llama, rope_scaling: { rope_type: 'yarn', factor: 2 } }, 'yarn'],
    ['untyped rope', { ...llama, rope_scaling: { factor: 2 } }, 'type'],
    ['rope without factor', { ...llama, rope_scaling: { ...scaling, factor: undefined } }, 'factor'],
    ['rope band', { ...llama, rope_scaling: { ...scaling, high_freq_factor: 1 } }, 'high_freq_factor'],
    ['partial rotary', { ...llama, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['tied by text', { ...llama, tie_word_embeddings: 'yes' }, 'tie_word_embeddings'],
    ['eos by text', { ...llama, eos_token_id: '2' }, 'eos_token_id'],
    ['quantized', { ...llama, quantization_config: { bits: 4 } }, 'quantization_config'],
  ]
  it.each(cases)('%s', (_, json, key) => {
    expect(() => parse(json)).toThrow(ConfigError)
    expect(() => parse(json)).toThrow(key)
    expect(() => parse(json)).toThrow('config.json')
  })

  it('lets an unused window be', () => {
    expect(parse({ ...qwen2, use_sliding_window: true, sliding_window: 64, max_window_layers: 3 }).layers).toBe(3)
    expect(parse({ ...qwen2, sliding_window: 64 }).layers).toBe(3)
  })
})

describe('inverse frequencies', () => {
  it('without scaling are powers of the base', () => {
    const frequencies = ropeInverseFrequencies(parse({ ...llama, head_dim: 4, rope_theta: 10000 }))
    expect(Array.from(frequencies)).toEqual([1, Math.fround(0.01)])
  })

  it('with scaling keep the fast, divide the slow, blend between', () => {
    const config = parse({ ...llama, rope_scaling: scaling }) // head width 16
    const plain = Array.from({ length: 8 }, (_, i) => 10000 ** (-i / 8))
    const scaled = ropeInverseFrequencies(config)
    const ratio = plain.map((value, i) => scaled[i]! / value)
    expect(ratio[0]).toBeCloseTo(1, 6)
    for (const i of [1, 2]) {
      const wavelength = (2 * Math.PI) / plain[i]!
      const kept = (64 / wavelength - 1) / 3
      expect(ratio[i]).toBeCloseTo((1 - kept) / 8 + kept, 6)
    }
    for (let i = 3; i < 8; i++) expect(ratio[i]).toBeCloseTo(1 / 8, 6)
  })

  it('do not exist for learned positions', () => {
    expect(() => ropeInverseFrequencies(parse(gpt2))).toThrow(ConfigError)
  })
})

const golden = new URL('../../../../../shared/fixtures/rope_inv_freq.json', import.meta.url)
describe.runIf(existsSync(golden))('inverse frequencies of real models', () => {
  const models = existsSync(golden) ? JSON.parse(readFileSync(golden, 'utf8')) : {}
  it.each(Object.keys(models))('%s', (name) => {
    const { inv_freq: expected, ...rope } = models[name]
    const actual = ropeInverseFrequencies(parse({ ...llama, ...rope }))
    expect(actual.length).toBe(expected.length)
    for (const [i, value] of actual.entries()) {
      expect(Math.abs(value - expected[i])).toBeLessThan(1e-6)
      expect(Math.abs(value / expected[i] - 1)).toBeLessThan(1e-5)
    }
  })
})
