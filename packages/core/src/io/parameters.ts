/**
 * Weights by canonical name: what a configuration calls for, held against what the files offer.
 *
 * Canonical names are Hugging Face's without wrapper prefixes: `h.0.attn.c_attn.weight` for GPT-2 (the hub's file has no
 * `transformer.`, others do), `model.layers.0.self_attn.q_proj.weight` for the Llama family. Shapes are as stored:
 * linear [out, in], GPT-2's Conv1D [in, out]. A file with a tensor missing, unknown or of another shape is refused
 * whole: it belongs to another model.
 */

import type { Parameter } from '../backend.ts'
import { FileError, FormatError } from '../errors.ts'
import { type Shape, sameShape, sizeOf } from '../tensor/types.ts'
import type { DecoderConfig } from './config.ts'
import { describe, isJsonObject } from './json.ts'
import { jsonOf, type ModelFolder } from './model-folder.ts'
import { openSafetensors, type StoredTensor } from './safetensors.ts'
import { checkFinite, hostDType } from './stored-types.ts'

const WEIGHTS = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'
const UNEMBEDDING = 'lm_head.weight'

/** Every parameter of a model: canonical name to shape, in the order of the forward pass. */
export function expectedParameters(config: DecoderConfig): ReadonlyMap<string, Shape> {
  const shapes = new Map<string, Shape>(config.family === 'gpt2' ? gpt2Shapes(config) : llamaShapes(config))
  if (!config.tied) shapes.set(UNEMBEDDING, [config.vocabSize, config.width])
  return shapes
}

/** Number of parameters of a model; a tied unembedding counts once. */
export function countParameters(config: DecoderConfig): number {
  let count = 0
  for (const shape of expectedParameters(config).values()) count += sizeOf(shape)
  return count
}

function* gpt2Shapes(config: DecoderConfig): Generator<[string, Shape]> {
  const { width, mlpWidth } = config
  yield ['wte.weight', [config.vocabSize, width]]
  yield ['wpe.weight', [config.maxPositions, width]]
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `h.${layer}`
    yield* withBias(`${block}.ln_1`, [width], width)
    yield* withBias(`${block}.attn.c_attn`, [width, 3 * width], 3 * width)
    yield* withBias(`${block}.attn.c_proj`, [width, width], width)
    yield* withBias(`${block}.ln_2`, [width], width)
    yield* withBias(`${block}.mlp.c_fc`, [width, mlpWidth], mlpWidth)
    yield* withBias(`${block}.mlp.c_proj`, [mlpWidth, width], width)
  }
  yield* withBias('ln_f', [width], width)
}

function* llamaShapes(config: DecoderConfig): Generator<[string, Shape]> {
  const { width, mlpWidth, headDim, attentionBias, mlpBias } = config
  const queries = config.heads * headDim
  const keys = config.kvHeads * headDim
  const qkvBias = attentionBias || config.qkvBias
  yield ['model.embed_tokens.weight', [config.vocabSize, width]]
  for (let layer = 0; layer < config.layers; layer++) {
    const block = `model.layers.${layer}`
    yield [`${block}.input_layernorm.weight`, [width]]
    yield* withBias(`${block}.self_attn.q_proj`, [queries, width], qkvBias && queries)
    yield* withBias(`${block}.self_attn.k_proj`, [keys, width], qkvBias && keys)
    yield* withBias(`${block}.self_attn.v_proj`, [keys, width], qkvBias && keys)
    if (config.qkNorm) {
      yield [`${block}.self_attn.q_norm.weight`, [headDim]]
      yield [`${block}.self_attn.k_norm.weight`, [headDim]]
    }
    yield* withBias(`${block}.self_attn.o_proj`, [width, queries], attentionBias && width)
    yield [`${block}.post_attention_layernorm.weight`, [width]]
    yield* withBias(`${block}.mlp.gate_proj`, [mlpWidth, width], mlpBias && mlpWidth)
    yield* withBias(`${block}.mlp.up_proj`, [mlpWidth, width], mlpBias && mlpWidth)
    yield* withBias(`${block}.mlp.down_proj`, [width, mlpWidth], mlpBias && width)
  }
  yield ['model.norm.weight', [width]]
}

function* withBias(name: string, weight: Shape, bias: number | false): Generator<[string, Shape]> {
  yield [`${name}.weight`, weight]
  if (bias !== false) yield [`${name}.bias`, [bias]]
}

/**
 * Finds, checks and names the weights of a model folder. Values stay in the file until a backend reads them.
 *
 * @param options.file another weights file of the folder, instead of model.safetensors or its shards
 * @returns canonical name to parameter, one for every entry of `expectedParameters(config)`
 * @throws FileError if there are no weights; FormatError if a file is damaged or does not belong to `config`. Reading a
 * parameter throws NumericError if a value is NaN or infinite
 */
export async function loadParameters(
  folder: ModelFolder,
  config: DecoderConfig,
  options: { readonly file?: string } = {},
): Promise<Map<string, Parameter>> {
  const files = options.file === undefined ? await weightFiles(folder) : [options.file]
  const stored = new Map<string, StoredTensor>()
  for (const file of files) {
    const { tensors } = await openSafetensors(await folder.open(file))
    for (const tensor of tensors.values()) addTensor(stored, tensor, config)
  }
  const where = files.length === 1 ? `${folder.id}/${files[0]}` : folder.id
  return matchParameters(stored, config, where)
}

/** model.safetensors, or the shards its index names. An index may only name files beside it. */
async function weightFiles(folder: ModelFolder): Promise<string[]> {
  if (await folder.has(WEIGHTS)) return [WEIGHTS]
  if (!(await folder.has(INDEX))) {
    throw new FileError('no weights', {
      where: folder.id,
      expected: `${WEIGHTS} or ${INDEX}`,
      hint: (await folder.has('pytorch_model.bin'))
        ? 'pytorch_model.bin is a pickle, which can run code: convert it to safetensors with Python'
        : undefined,
    })
  }
  const where = `${folder.id}/${INDEX}`
  const { weight_map: map } = await jsonOf(folder, INDEX)
  if (!isJsonObject(map)) throw new FormatError('no weight_map', { where, actual: describe(map) })
  const files = new Set(Object.values(map))
  for (const file of files) {
    if (!isPlainFileName(file)) {
      const expected = 'names of .safetensors files in the same folder'
      throw new FormatError('bad weight_map', { where, expected, actual: describe(file) })
    }
  }
  return [...(files as Set<string>)].sort()
}

/** Whether `name` is a .safetensors file that lies directly in a folder. */
export function isPlainFileName(name: unknown): name is string {
  return typeof name === 'string' && /^[^/\\\0:]+\.safetensors$/.test(name)
}

function addTensor(stored: Map<string, StoredTensor>, tensor: StoredTensor, config: DecoderConfig): void {
  const name = canonicalName(tensor.name, config)
  if (isBuffer(name) || (config.tied && name === UNEMBEDDING)) return
  const other = stored.get(name)
  if (other !== undefined) {
    const actual = `${describe(other.name)} and ${describe(tensor.name)}`
    throw new FormatError(`two tensors for ${describe(name)}`, { where: tensor.source.name, actual })
  }
  stored.set(name, tensor)
}

/** Wrappers around the model leave a prefix: Coconut's class `base_causallm.`, GPT-2's head class `transformer.`. */
function canonicalName(name: string, config: DecoderConfig): string {
  const bare = name.replace(/^base_causallm\./, '')
  return config.family === 'gpt2' ? bare.replace(/^transformer\./, '') : bare
}

/** Causal masks and rotary tables that older files carry. `attn.c_attn.bias` is a weight, `attn.bias` a mask. */
function isBuffer(name: string): boolean {
  return /^h\.\d+\.attn\.(bias|masked_bias)$/.test(name) || /^model\.(.+\.)?rotary_emb\.inv_freq$/.test(name)
}

function matchParameters(
  stored: ReadonlyMap<string, StoredTensor>,
  config: DecoderConfig,
  where: string,
): Map<string, Parameter> {
  const expected = expectedParameters(config)
  const embedding = config.family === 'gpt2' ? 'wte.weight' : 'model.embed_tokens.weight'
  const found = new Map<string, StoredTensor>()
  const missing: string[] = []
  const misshapen: string[] = []
  for (const [name, shape] of expected) {
    // An untied model without an unembedding of its own uses the embedding, as Hugging Face does.
    const tensor = stored.get(name) ?? (name === UNEMBEDDING ? stored.get(embedding) : undefined)
    if (tensor === undefined) missing.push(name)
    else if (!sameShape(tensor.shape, shape)) misshapen.push(`${name} [${tensor.shape}] for [${shape}]`)
    else found.set(name, tensor)
  }
  const unknown = [...stored.keys()].filter((name) => !expected.has(name))
  refuse(missing, 'missing tensors', where)
  refuse(unknown, 'unknown tensors', where)
  refuse(misshapen, 'tensors of another shape than config.json says', where)
  return new Map([...found].map(([name, tensor]) => [name, parameterOf(tensor)]))
}

function refuse(names: readonly string[], what: string, where: string): void {
  if (names.length === 0) return
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : ''
  throw new FormatError(`${what}: ${names.slice(0, 3).join(', ')}${rest}`, {
    where,
    hint: 'The weights belong to another config.json',
  })
}

/** @throws FormatError if the tensor does not hold floats */
function parameterOf(tensor: StoredTensor): Parameter {
  const { name, shape, source, offset, byteLength, dtype } = tensor
  const where = `${source.name}: tensor ${describe(name)}`
  if (hostDType(dtype) !== 'f32') {
    throw new FormatError('element type not supported for weights', {
      where,
      expected: 'F32, F16 or BF16',
      actual: dtype,
    })
  }
  const mappable = dtype === 'F32' && source.path !== undefined && offset % 4 === 0
  return {
    identity: `${source.identity}#${name}`,
    shape,
    dtype: 'f32',
    read: async () => {
      const data = await tensor.read()
      checkFinite(data, where)
      return data
    },
    ...(mappable && { location: { path: source.path!, offset, byteLength } }),
  }
}
