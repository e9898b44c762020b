/**
 * Text to token ids and back: tokenizer.json through `@huggingface/tokenizers`, chat templates through
 * `@huggingface/jinja`. Both are imported when a folder needs them, so a program over ids carries neither.
 */

import { ArgumentError, ConfigError, FormatError } from '../errors.ts'
import { describe, isJsonObject, type JsonObject } from './json.ts'
import { jsonOf, type ModelFolder, optionalJsonOf } from './model-folder.ts'

export interface ChatMessage {
  readonly role: string
  readonly content: string
}

export interface Tokenizer {
  /**
   * @param options.addSpecial put the model's own start and end tokens around the text; default true
   * @throws ArgumentError if the vocabulary cannot spell the text and has no token for the unknown
   */
  encode(text: string, options?: { readonly addSpecial?: boolean }): number[]
  /**
   * Ids that the tokenizer does not know are left out: embeddings are often padded beyond the vocabulary.
   *
   * @param options.skipSpecial leave out special tokens; default false
   */
  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string
  /** The id of exactly this token, or undefined if there is none. */
  idOf(token: string): number | undefined
  /**
   * A conversation as the model was trained on it, up to where its answer begins.
   *
   * @throws ConfigError if the model has no chat template, or the template refuses the messages
   */
  chat(messages: readonly ChatMessage[]): number[]
}

/**
 * The tokenizer of a model folder, or undefined if it has no tokenizer.json.
 *
 * @throws FormatError if tokenizer.json or the chat template is damaged
 */
export async function loadTokenizer(folder: ModelFolder): Promise<Tokenizer | undefined> {
  if (!(await folder.has('tokenizer.json'))) return undefined
  const json = await jsonOf(folder, 'tokenizer.json')
  const config = (await optionalJsonOf(folder, 'tokenizer_config.json')) ?? {}
  const render = await loadTemplate(folder, config)
  const { Tokenizer: HubTokenizer } = await import('@huggingface/tokenizers')
  const where = `${folder.id}/tokenizer.json`
  const inner = attempt(() => new HubTokenizer(json, withUnknownToken(json, config)), 'unusable tokenizer', where)
  const encode: Tokenizer['encode'] = (text, { addSpecial = true } = {}) => {
    const { ids, tokens } = inner.encode(text, { add_special_tokens: addSpecial })
    const unknown = tokens.find((_: string, i: number) => ids[i] === undefined)
    if (unknown !== undefined) {
      throw new ArgumentError('the text holds what the tokenizer has no token for', {
        where,
        actual: describe(unknown),
      })
    }
    return ids
  }
  return {
    encode,
    decode: (ids, { skipSpecial = false } = {}) => {
      const known = ids.filter((id) => inner.id_to_token(id) !== undefined)
      return known.length === 0 ? '' : inner.decode(known, { skip_special_tokens: skipSpecial })
    },
    idOf: (token) => inner.token_to_id(token),
    // The template writes the special tokens itself.
    chat: (messages) => encode(render(messages), { addSpecial: false }),
  }
}

/** The library looks for a word-level model's unknown token beside the tokenizer, the file has it inside. */
function withUnknownToken(json: JsonObject, config: JsonObject): JsonObject {
  const model = isJsonObject(json.model) ? json.model : {}
  return model.type === 'WordLevel' ? { ...config, unk_token: model.unk_token } : config
}

type Render = (messages: readonly ChatMessage[]) => string

async function loadTemplate(folder: ModelFolder, config: JsonObject): Promise<Render> {
  const where = folder.id
  const source = (await folder.has('chat_template.jinja'))
    ? await folder.text('chat_template.jinja')
    : templateOf(config.chat_template)
  if (source === undefined) {
    return () => {
      throw new ConfigError('the model has no chat template', { where, hint: 'Give the prompt as plain text' })
    }
  }
  const { Template } = await import('@huggingface/jinja')
  const template = attempt(() => new Template(source), 'unusable chat template', where)
  const tokens = specialTokens(config)
  return (messages) => {
    try {
      return template.render({ ...tokens, messages, add_generation_prompt: true })
    } catch (cause) {
      throw new ConfigError('the chat template refused the messages', {
        where,
        actual: (cause as Error).message,
        cause,
      })
    }
  }
}

/** One template, or a list of named ones of which `default` is for conversation. */
function templateOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return undefined
  const named = value.filter(isJsonObject).find((entry) => entry.name === 'default')
  return typeof named?.template === 'string' ? named.template : undefined
}

/** Names that templates use: `bos_token`, `eos_token`, … Older files write an object with a `content`. */
function specialTokens(config: JsonObject): Record<string, string> {
  const tokens: Record<string, string> = {}
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue
    const content = isJsonObject(value) ? value.content : value
    if (typeof content === 'string') tokens[key] = content
  }
  return tokens
}

function attempt<T>(make: () => T, message: string, where: string): T {
  try {
    return make()
  } catch (cause) {
    throw new FormatError(message, { where, actual: (cause as Error).message, cause })
  }
}
