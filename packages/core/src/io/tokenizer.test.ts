import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ArgumentError, ConfigError, FormatError } from '../errors.ts'
import { openLocalFolder } from '../files/open.ts'
import { memoryFolder } from './model-folder.ts'
import { loadTokenizer, type Tokenizer } from './tokenizer.ts'

const added = (id: number, content: string): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})
const tokenizerJson = JSON.stringify({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [added(3, '<s>'), added(4, '</s>')],
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [3], tokens: ['<s>'] } },
  },
  decoder: null,
  model: { type: 'WordLevel', vocab: { '?': 0, every: 1, cat: 2, '<s>': 3, '</s>': 4, user: 5 }, unk_token: '?' },
})
const template =
  '{{ bos_token }}{% for m in messages %} {{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}cat{% endif %}'
const tokenizerConfig = { bos_token: { content: '<s>' }, eos_token: '</s>', pad_token: null, chat_template: template }

const load = (files: Record<string, string>): Promise<Tokenizer | undefined> =>
  loadTokenizer(memoryFolder('words', files))
const question = [{ role: 'user', content: 'every' }]

describe('tokenizer', () => {
  it('is absent where there is no tokenizer.json', async () => {
    expect(await load({})).toBeUndefined()
  })

  it('encodes, decodes and looks up', async () => {
    const tokenizer = (await load({ 'tokenizer.json': tokenizerJson }))!
    expect(tokenizer.encode('every cat dog')).toEqual([3, 1, 2, 0])
    expect(tokenizer.encode('every cat </s>', { addSpecial: false })).toEqual([1, 2, 4])
    expect(tokenizer.decode([3, 1, 2])).toBe('<s> every cat')
    expect(tokenizer.decode([3, 1, 2], { skipSpecial: true })).toBe('every cat')
    expect(tokenizer.decode([])).toBe('')
    expect(tokenizer.decode([1, 77, 2])).toBe('every cat')
    expect(tokenizer.idOf('cat')).toBe(2)
    expect(tokenizer.idOf('</s>')).toBe(4)
    expect(tokenizer.idOf('dog')).toBeUndefined()
  })

  it('does not invent a token for the unknown', async () => {
    const tokenizer = (await load({ 'tokenizer.json': tokenizerJson.replace('"unk_token":"?"', '"unk_token":null') }))!
    expect(() => tokenizer.encode('every dog')).toThrow(ArgumentError)
    expect(() => tokenizer.encode('every dog')).toThrow('dog')
  })

  it('refuses a damaged file', async () => {
    await expect(load({ 'tokenizer.json': '{"model":' })).rejects.toThrow(FormatError)
    await expect(load({ 'tokenizer.json': '{}' })).rejects.toThrow(FormatError)
    await expect(load({ 'tokenizer.json': '{"model":{"type":"Nonsense"}}' })).rejects.toThrow(FormatError)
  })
})

describe('chat', () => {
  const withConfig = (config: object): Record<string, string> => ({
    'tokenizer.json': tokenizerJson,
    'tokenizer_config.json': JSON.stringify(config),
  })

  it('renders the template once, special tokens included', async () => {
    const expected = [3, 5, 1, 2]
    expect((await load(withConfig(tokenizerConfig)))!.chat(question)).toEqual(expected)
    const named = [
      { name: 'tool_use', template: 'cat' },
      { name: 'default', template },
    ]
    expect((await load(withConfig({ ...tokenizerConfig, chat_template: named })))!.chat(question)).toEqual(expected)
    const file = { ...withConfig({ ...tokenizerConfig, chat_template: undefined }), 'chat_template.jinja': template }
    expect((await load(file))!.chat(question)).toEqual(expected)
  })

  it('says when there is none, when it is broken, when it refuses', async () => {
    const none = (await load({ 'tokenizer.json': tokenizerJson }))!
    expect(() => none.chat(question)).toThrow(ConfigError)
    await expect(load(withConfig({ chat_template: '{% for %}' }))).rejects.toThrow(FormatError)
    const refusing = (await load(withConfig({ chat_template: "{{ raise_exception('users only') }}" })))!
    expect(() => refusing.chat(question)).toThrow(/users only/)
    expect(() => refusing.chat(question)).toThrow(ConfigError)
  })
})

const shared = new URL('../../../../../shared/', import.meta.url)
describe.runIf(existsSync(shared))('ProsQA', () => {
  it('word-level tokens', async () => {
    const folder = await openLocalFolder(fileURLToPath(new URL('models/prosqa/main', shared)))
    const tokenizer = (await loadTokenizer(folder))!
    expect(['<eos>', '|', '[Q]', '[R]', '[A]', '<latent>'].map(tokenizer.idOf)).toEqual([40, 41, 42, 43, 44, 45])
    const ids = [40, 0, 1, 41, 2, 39, 42, 1, 5, 43, 0, 45, 44]
    expect(tokenizer.encode(tokenizer.decode(ids), { addSpecial: false })).toEqual(ids)
  })
})

/** A real chat model, where one has been built: AFTERTHOUGHT_SMOLLM2 names its folder. */
const smollm2 = process.env.AFTERTHOUGHT_SMOLLM2 ?? ''
const cases = new URL('models/smollm2-135m/expected.json', shared)
describe.runIf(existsSync(smollm2) && existsSync(cases))('SmolLM2', () => {
  it('agrees with the Python tokenizer and template', async () => {
    const tokenizer = (await loadTokenizer(await openLocalFolder(smollm2)))!
    for (const { question, input_ids, greedy_ids, greedy_text } of JSON.parse(readFileSync(cases, 'utf8')).cases) {
      expect(tokenizer.chat([{ role: 'user', content: question }])).toEqual(input_ids)
      expect(tokenizer.decode(greedy_ids)).toBe(greedy_text)
    }
  })
})
