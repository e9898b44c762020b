import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { FileError, FormatError, NumericError } from '../errors.ts'
import { openLocalFolder } from '../files/open.ts'
import { type HostTensor, sizeOf } from '../tensor/types.ts'
import { type DecoderConfig, parseConfig } from './config.ts'
import { loadConfig, memoryFolder } from './model-folder.ts'
import { countParameters, expectedParameters, loadParameters } from './parameters.ts'
import { openSafetensors, writeSafetensors } from './safetensors.ts'

const shape = { vocab_size: 11, bos_token_id: 1, eos_token_id: 2 }
const gpt2Json = {
  ...shape,
  model_type: 'gpt2',
  activation_function: 'gelu_new',
  n_embd: 4,
  n_layer: 2,
  n_head: 2,
  n_positions: 8,
  layer_norm_epsilon: 1e-5,
}
const llamaJson = {
  ...shape,
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 4,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  intermediate_size: 6,
  max_position_embeddings: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
}
const parse = (json: object): DecoderConfig => parseConfig(json, 'config.json')

/** Weights for `config` whose n-th tensor is filled with n. */
function weightsFor(config: DecoderConfig): Map<string, HostTensor> {
  const tensors = [...expectedParameters(config)].map(([name, shape], n): [string, HostTensor] => {
    return [name, { dtype: 'f32', shape, data: new Float32Array(sizeOf(shape)).fill(n) }]
  })
  return new Map(tensors)
}

const renamed = (tensors: Map<string, HostTensor>, rename: (name: string) => string): Map<string, HostTensor> =>
  new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]))

const folderOf = (tensors: Map<string, HostTensor>): ReturnType<typeof memoryFolder> =>
  memoryFolder('tiny', { 'model.safetensors': writeSafetensors(tensors) })

describe('expected parameters', () => {
  it('follow the family', () => {
    expect(Object.fromEntries(expectedParameters(parse({ ...gpt2Json, n_layer: 1 })))).toEqual({
      'wte.weight': [11, 4],
      'wpe.weight': [8, 4],
      'h.0.ln_1.weight': [4],
      'h.0.ln_1.bias': [4],
      'h.0.attn.c_attn.weight': [4, 12],
      'h.0.attn.c_attn.bias': [12],
      'h.0.attn.c_proj.weight': [4, 4],
      'h.0.attn.c_proj.bias': [4],
      'h.0.ln_2.weight': [4],
      'h.0.ln_2.bias': [4],
      'h.0.mlp.c_fc.weight': [4, 16],
      'h.0.mlp.c_fc.bias': [16],
      'h.0.mlp.c_proj.weight': [16, 4],
      'h.0.mlp.c_proj.bias': [4],
      'ln_f.weight': [4],
      'ln_f.bias': [4],
    })
    const qwen3 = expectedParameters(
      parse({ ...llamaJson, model_type: 'qwen3', head_dim: 6, tie_word_embeddings: false }),
    )
    expect(qwen3.get('model.layers.1.self_attn.q_proj.weight')).toEqual([12, 4])
    expect(qwen3.get('model.layers.1.self_attn.o_proj.weight')).toEqual([4, 12])
    expect(qwen3.get('model.layers.1.self_attn.k_norm.weight')).toEqual([6])
    expect(qwen3.get('lm_head.weight')).toEqual([11, 4])
    expect(qwen3.has('model.layers.0.self_attn.q_proj.bias')).toBe(false)
    const qwen2 = expectedParameters(parse({ ...llamaJson, model_type: 'qwen2' }))
    expect(qwen2.get('model.layers.0.self_attn.k_proj.bias')).toEqual([2])
    expect(qwen2.has('model.layers.0.self_attn.o_proj.bias')).toBe(false)
    const biased = expectedParameters(parse({ ...llamaJson, attention_bias: true, mlp_bias: true }))
    expect(biased.get('model.layers.0.self_attn.o_proj.bias')).toEqual([4])
    expect(biased.get('model.layers.0.mlp.up_proj.bias')).toEqual([6])
  })

  it('count as the published models do', () => {
    const small = { ...gpt2Json, vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 }
    expect(countParameters(parse(small))).toBe(124_439_808)
    const qwen = {
      ...llamaJson,
      model_type: 'qwen2',
      vocab_size: 151936,
      hidden_size: 896,
      num_hidden_layers: 24,
      num_attention_heads: 14,
      num_key_value_heads: 2,
      intermediate_size: 4864,
    }
    expect(countParameters(parse(qwen))).toBe(494_032_768)
  })
})

describe('loading', () => {
  const config = parse(gpt2Json)
  const llama = parse(llamaJson)
  const weights = weightsFor(config)
  const mask: [string, HostTensor] = [
    'h.0.attn.bias',
    { dtype: 'f32', shape: [1, 1, 8, 8], data: new Float32Array(64) },
  ]

  it.each([
    ['hub names with masks', new Map([...weights, mask])],
    ['transformer prefix', renamed(weights, (name) => `transformer.${name}`)],
    ['Coconut prefix', renamed(weights, (name) => `base_causallm.transformer.${name}`)],
    ['tied unembedding in the file', new Map([...weights, ['lm_head.weight', weights.get('wte.weight')!]])],
  ])('%s', async (_, tensors) => {
    const parameters = await loadParameters(folderOf(tensors as Map<string, HostTensor>), config)
    expect([...parameters.keys()]).toEqual([...expectedParameters(config).keys()])
    let n = 0
    for (const [name, parameter] of parameters) {
      expect(parameter.shape).toEqual(expectedParameters(config).get(name))
      expect((await parameter.read())[0]).toBe(n++)
    }
  })

  it('ignores rotary tables', async () => {
    const table: HostTensor = { dtype: 'f32', shape: [1], data: Float32Array.of(1) }
    const tensors = new Map([...weightsFor(llama), ['model.layers.0.self_attn.rotary_emb.inv_freq', table] as const])
    expect((await loadParameters(folderOf(tensors), llama)).size).toBe(expectedParameters(llama).size)
  })

  it('uses the embedding where an untied unembedding is absent', async () => {
    const untied = parse({ ...llamaJson, tie_word_embeddings: false })
    const parameters = await loadParameters(folderOf(weightsFor(llama)), untied)
    expect(parameters.get('lm_head.weight')!.identity).toBe(parameters.get('model.embed_tokens.weight')!.identity)
  })

  it('gives distinct identities to distinct bytes', async () => {
    const identities = new Set<string>()
    for (let i = 0; i < 2; i++) {
      for (const parameter of (await loadParameters(folderOf(weights), config)).values())
        identities.add(parameter.identity)
    }
    expect(identities.size).toBe(2 * weights.size)
  })

  it('reads shards', async () => {
    const half = (keep: number): Uint8Array => writeSafetensors(new Map([...weights].filter((_, i) => i % 2 === keep)))
    const map = Object.fromEntries([...weights.keys()].map((name, i) => [name, `part-${i % 2}.safetensors`]))
    const files = { 'part-0.safetensors': half(0), 'part-1.safetensors': half(1) }
    const index = JSON.stringify({ metadata: {}, weight_map: map })
    const folder = memoryFolder('sharded', { ...files, 'model.safetensors.index.json': index })
    expect((await loadParameters(folder, config)).size).toBe(weights.size)
    const incomplete = memoryFolder('sharded', { 'model.safetensors.index.json': index })
    await expect(loadParameters(incomplete, config)).rejects.toThrow(FileError)
  })

  it.each(['../secret.safetensors', '/etc/x.safetensors', 'a\\b.safetensors', 'model.bin', 7, null])(
    'refuses an index that names %s',
    async (file) => {
      const index = JSON.stringify({ weight_map: { 'wte.weight': file } })
      const folder = memoryFolder('sharded', { 'model.safetensors.index.json': index })
      await expect(loadParameters(folder, config)).rejects.toThrow('bad weight_map')
    },
  )

  it('takes another file', async () => {
    const folder = memoryFolder('tiny', { 'model_good.safetensors': writeSafetensors(weights) })
    expect((await loadParameters(folder, config, { file: 'model_good.safetensors' })).size).toBe(weights.size)
    await expect(loadParameters(folder, config)).rejects.toThrow(FileError)
    await expect(loadParameters(folder, config, { file: 'nowhere.safetensors' })).rejects.toThrow(FileError)
  })

  const without = new Map(weights)
  for (const name of ['wpe.weight', 'h.0.ln_1.bias', 'h.1.ln_1.bias', 'ln_f.bias']) without.delete(name)
  const vector: HostTensor = { dtype: 'f32', shape: [2], data: new Float32Array(2) }
  const refused: [string, Map<string, HostTensor>, string][] = [
    ['missing', without, 'missing tensors: wpe.weight, h.0.ln_1.bias, h.1.ln_1.bias and 1 more'],
    ['unknown', new Map([...weights, ['extra.weight', vector]]), 'unknown tensors: extra.weight'],
    [
      'a bias that looks like a mask',
      new Map([...weights, ['h.0.attn.q.bias', vector]]),
      'unknown tensors: h.0.attn.q.bias',
    ],
    ['another shape', new Map([...weights, ['ln_f.bias', vector]]), 'ln_f.bias [2] for [4]'],
    [
      'twice under two prefixes',
      new Map([...weights, ['transformer.ln_f.bias', weights.get('ln_f.bias')!]]),
      'two tensors for',
    ],
    [
      'integers',
      new Map([...weights, ['ln_f.bias', { dtype: 'i32', shape: [4], data: new Int32Array(4) }]]),
      'not supported for weights',
    ],
  ]
  it.each(refused)('refuses %s', async (_, tensors, message) => {
    const loading = loadParameters(folderOf(tensors), config)
    await expect(loading).rejects.toThrow(FormatError)
    await expect(loading).rejects.toThrow(message)
  })

  it.each([NaN, Infinity, -Infinity])('refuses %s when the tensor is read', async (value) => {
    const data = Float32Array.of(0, 1, value, 3)
    const parameters = await loadParameters(
      folderOf(new Map([...weights, ['ln_f.bias', { dtype: 'f32', shape: [4], data }]])),
      config,
    )
    const reading = parameters.get('ln_f.bias')!.read()
    await expect(reading).rejects.toThrow(NumericError)
    await expect(reading).rejects.toThrow(/ln_f\.bias.*at element 2/)
  })

  it('says what to do about pickles', async () => {
    await expect(loadParameters(memoryFolder('old', { 'pytorch_model.bin': '' }), config)).rejects.toThrow('pickle')
  })
})

describe('configuration of a folder', () => {
  it('takes end tokens from generation_config.json', async () => {
    const files = { 'config.json': JSON.stringify(llamaJson) }
    expect((await loadConfig(memoryFolder('a', files))).eosIds).toEqual([2])
    const chat = { ...files, 'generation_config.json': '{"eos_token_id":[2,3]}' }
    expect((await loadConfig(memoryFolder('a', chat))).eosIds).toEqual([2, 3])
    expect((await loadConfig(memoryFolder('a', { ...files, 'generation_config.json': '{}' }))).eosIds).toEqual([2])
  })

  it('names what is wrong', async () => {
    await expect(loadConfig(memoryFolder('a', {}))).rejects.toThrow(FileError)
    await expect(loadConfig(memoryFolder('a', { 'config.json': '{' }))).rejects.toThrow(FormatError)
    await expect(loadConfig(memoryFolder('a', { 'config.json': '{"a":1,"a":2}' }))).rejects.toThrow('twice')
  })
})

const shared = new URL('../../../../../shared/', import.meta.url)
describe.runIf(existsSync(shared))('shared models', () => {
  const cases: [string, string | undefined, string][] = [
    ...['gpt2', 'llama', 'qwen2', 'qwen3'].flatMap((family): [string, string | undefined, string][] =>
      [undefined, 'model_good.safetensors', 'model_bad.safetensors'].map((file) => [
        `fixtures/${family}-tiny`,
        file,
        family,
      ]),
    ),
    ...['main', 'main-early', 'good', 'bad'].map((name): [string, undefined, string] => [
      `models/prosqa/${name}`,
      undefined,
      'llama',
    ]),
    ['models/stories260k', undefined, 'llama'],
  ]
  it.each(cases)('%s %s', async (path, file, family) => {
    const folder = await openLocalFolder(fileURLToPath(new URL(path, shared)))
    const config = await loadConfig(folder)
    expect(config.family).toBe(family)
    const parameters = await loadParameters(folder, config, file === undefined ? {} : { file })
    expect([...parameters.keys()]).toEqual([...expectedParameters(config).keys()])
    for (const { shape, read, location } of parameters.values()) {
      const values = (await read()) as Float32Array
      expect(values.length).toBe(sizeOf(shape))
      if (location === undefined) continue
      const bytes = readFileSync(location.path).subarray(location.offset, location.offset + location.byteLength)
      expect(Buffer.from(values.buffer, values.byteOffset, values.byteLength).equals(bytes)).toBe(true)
    }
  })

  it('counts ProsQA models as their README does', async () => {
    const folder = await openLocalFolder(fileURLToPath(new URL('models/prosqa/main', shared)))
    expect(countParameters(await loadConfig(folder))).toBe(334_464)
  })

  it('narrow copies stay near their F32 originals', async () => {
    const folder = await openLocalFolder(fileURLToPath(new URL('fixtures/gpt2-tiny', shared)))
    const [wide, narrow] = await Promise.all(
      ['model.safetensors', 'model_bad.safetensors'].map(async (file) => openSafetensors(await folder.open(file))),
    )
    const name = 'transformer.wte.weight'
    const bad = narrow!.tensors.get(name) ?? narrow!.tensors.get('wte.weight')!
    expect(bad.dtype).toBe('F16')
    const original = (await wide!.tensors.get(name)!.read()) as Float32Array
    const deviation = ((await bad.read()) as Float32Array).map((value, i) => Math.abs(value - original[i]!))
    expect(Math.max(...deviation)).toBeLessThan(2 * Math.max(...original.map(Math.abs)))
  })
})
