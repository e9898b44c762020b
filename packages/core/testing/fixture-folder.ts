/**
 * A fixture folder: a tiny model, two references, and what an independent implementation computed with them.
 *
 *     config.json, model.safetensors, model_good.safetensors, model_bad.safetensors
 *     expected.safetensors    inputs and results by name: plain.*, batch.*, coconut.*, refine.*
 *     expected.json           eta, sign, prev_weight, n_new, latent_id, …
 *
 * Everything is read and held against config.json before anything is computed: a damaged folder is an error, and only a
 * wrong number is a failed check.
 */

import type { Backend } from '../src/backend.ts'
import { FormatError } from '../src/errors.ts'
import type { DecoderConfig } from '../src/io/config.ts'
import { jsonOf, type ModelFolder } from '../src/io/model-folder.ts'
import { openSafetensors } from '../src/io/safetensors.ts'
import { checkFinite } from '../src/io/stored-types.ts'
import type { ThoughtModels } from '../src/latent/programs.ts'
import { type LanguageModel, loadModel } from '../src/models/language-model.ts'
import { formatSpec, type HostTensor, type Shape, sameShape } from '../src/tensor/types.ts'

export interface Fixture {
  readonly id: string
  readonly models: Required<ThoughtModels>
  readonly expected: ReadonlyMap<string, HostTensor>
  /** η of the contrastive search. */
  readonly eta: number
  /** `code` for sign −1 (towards good), `paper` for +1. */
  readonly sign: 'code' | 'paper'
  /** α of the residual blend. */
  readonly alpha: number
  /** Tokens of every greedy answer. */
  readonly tokens: number
  /** `coconut.input_ids` taken apart: up to the first latent marker, the markers, and what follows them. */
  readonly prompt: readonly number[]
  readonly latents: number
  readonly endIds: readonly number[]
}

/** @throws FileError, FormatError, ConfigError, NumericError naming what is missing or damaged */
export async function openFixture(folder: ModelFolder, backend: Backend): Promise<Fixture> {
  const expected = await readExpected(folder)
  const json = await jsonOf(folder, 'expected.json')
  const number = (key: string, allowed: string, fits: (value: number) => boolean): number => {
    const value = json[key]
    if (typeof value === 'number' && Number.isFinite(value) && fits(value)) return value
    throw new FormatError(`bad ${key}`, {
      where: `${folder.id}/expected.json`,
      expected: allowed,
      actual: `${JSON.stringify(value)}`,
    })
  }
  const models = {
    main: await loadChecked(folder, backend, 'model.safetensors'),
    good: await loadChecked(folder, backend, 'model_good.safetensors'),
    bad: await loadChecked(folder, backend, 'model_bad.safetensors'),
  }
  const latentId = number('latent_id', 'a token id', Number.isInteger)
  const fixture = {
    id: folder.id,
    models,
    expected,
    eta: number('eta', 'a number other than 0', (value) => value !== 0),
    sign: number('sign', '-1 or 1', (value) => Math.abs(value) === 1) < 0 ? ('code' as const) : ('paper' as const),
    alpha: number('prev_weight', '0 … 1', (value) => value >= 0 && value <= 1),
    tokens: number('n_new', 'a whole number from 1 on', (value) => Number.isInteger(value) && value >= 1),
    ...takeApart(folder, expected, latentId),
  }
  checkShapes(fixture)
  return fixture
}

async function readExpected(folder: ModelFolder): Promise<Map<string, HostTensor>> {
  const { tensors } = await openSafetensors(await folder.open('expected.safetensors'))
  const values = new Map<string, HostTensor>()
  for (const [name, tensor] of tensors) {
    const data = await tensor.read()
    checkFinite(data, `${tensor.source.name}: tensor '${name}'`)
    values.set(name, { shape: tensor.shape, dtype: data instanceof Int32Array ? 'i32' : 'f32', data })
  }
  return values
}

/** Reads all weights once, so that damaged ones are an error here and not a NaN somewhere behind. */
async function loadChecked(folder: ModelFolder, backend: Backend, file: string): Promise<LanguageModel> {
  const model = await loadModel(folder, backend, { file })
  for (const parameter of model.parameters.values()) await parameter.read()
  return model
}

function takeApart(
  folder: ModelFolder,
  expected: ReadonlyMap<string, HostTensor>,
  latentId: number,
): Pick<Fixture, 'prompt' | 'latents' | 'endIds'> {
  const ids = [...expectedTensor(folder.id, expected, 'coconut.input_ids').data]
  const first = ids.indexOf(latentId)
  const last = ids.lastIndexOf(latentId)
  if (first < 1 || ids.slice(first, last).some((id) => id !== latentId)) {
    throw new FormatError('bad coconut.input_ids', {
      where: `${folder.id}/expected.safetensors`,
      expected: `a prompt and then one run of latent markers ${latentId}`,
      actual: `${ids}`,
    })
  }
  return { prompt: ids.slice(0, first), latents: last - first + 1, endIds: ids.slice(last + 1) }
}

/** @throws FormatError if there is no such tensor */
function expectedTensor(id: string, expected: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const tensor = expected.get(name)
  if (tensor) return tensor
  throw new FormatError(`the fixture has no tensor '${name}'`, {
    where: `${id}/expected.safetensors`,
    hint: 'It is incomplete, or of another format',
  })
}

function checkShapes(fixture: Fixture): void {
  const { id, expected, models } = fixture
  const shapeOf = (name: string): Shape => expectedTensor(id, expected, name).shape
  const [length = 0] = shapeOf('plain.input_ids')
  const [rows = 0, columns = 0] = shapeOf('batch.input_ids')
  const shapes = expectedShapes(fixture, models.main.config, { length, rows, columns })
  for (const [name, shape] of Object.entries(shapes)) {
    const tensor = expectedTensor(id, expected, name)
    const spec = { shape, dtype: isInteger(name) ? 'i32' : 'f32' } as const
    if (tensor.dtype === spec.dtype && sameShape(tensor.shape, shape)) continue
    throw new FormatError('a tensor that does not go with config.json and the inputs', {
      where: `${id}/expected.safetensors: '${name}'`,
      expected: formatSpec(spec),
      actual: formatSpec(tensor),
    })
  }
}

function isInteger(name: string): boolean {
  return /(_ids|_mask|greedy)$/.test(name)
}

/** Every tensor of the format that a model of this family has. */
function expectedShapes(
  { prompt, latents, endIds, tokens }: Omit<Fixture, 'expected'>,
  { width, layers, kvHeads, headDim, vocabSize, rope }: DecoderConfig,
  { length, rows, columns }: { readonly length: number; readonly rows: number; readonly columns: number },
): Record<string, Shape> {
  const filled = prompt.length + latents + endIds.length
  const whole = (chapter: string): Record<string, Shape> => ({
    [`${chapter}.inputs_embeds`]: [filled, width],
    [`${chapter}.last_hidden`]: [filled, width],
    [`${chapter}.logits`]: [filled, vocabSize],
    [`${chapter}.greedy`]: [tokens],
  })
  const perSlot = ['raw', 'good', 'bad', 'good_solo', 'bad_solo', 'grad_detached', 'grad_full', 'crfs', 'refined']
  return {
    'plain.input_ids': [length],
    'plain.hidden_states': [layers + 1, length, width],
    'plain.last_hidden': [length, width],
    'plain.logits': [length, vocabSize],
    'plain.cache_k': [layers, kvHeads, length, headDim],
    'plain.cache_v': [layers, kvHeads, length, headDim],
    ...(rope && { 'plain.inv_freq': [headDim / 2] }),
    'plain.greedy': [tokens],
    'batch.input_ids': [rows, columns],
    'batch.attention_mask': [rows, columns],
    'batch.position_ids': [rows, columns],
    'batch.last_hidden': [rows, columns, width],
    'batch.logits_last': [rows, vocabSize],
    'coconut.thoughts': [latents, width],
    ...whole('coconut'),
    ...Object.fromEntries(perSlot.map((name) => [`refine.${name}`, [latents, width]])),
    'refine.loss': [latents],
    'refine.crfs_plus_sign_step0': [width],
    ...whole('refine'),
  }
}
