/**
 * A model folder as Hugging Face lays it out: config.json, model.safetensors (or shards and their index), tokenizer.json,
 * tokenizer_config.json, generation_config.json. Where the folder lies is somebody else's business: on a disk (files/),
 * in memory, behind URLs.
 */

import { FileError } from '../errors.ts'
import { type DecoderConfig, parseConfig, parseGenerationEos } from './config.ts'
import { bytesSource, type FileSource } from './file-source.ts'
import { decodeText, type JsonObject, parseJsonObject } from './json.ts'

export interface ModelFolder {
  /** Path or hub name, for messages. */
  readonly id: string
  has(name: string): Promise<boolean>
  /** @throws FileError if there is no such file, FormatError if it is not UTF-8 */
  text(name: string): Promise<string>
  /** @throws FileError if there is no such file */
  open(name: string): Promise<FileSource>
}

/** Text beyond this is not read into memory: no honest JSON of a model folder comes near it. */
const MAX_TEXT_BYTES = 256 * 2 ** 20

/** A folder in memory: for tests, and for browsers that fetched or were given the files. */
export function memoryFolder(id: string, files: Readonly<Record<string, Uint8Array | string>>): ModelFolder {
  const sources = new Map<string, FileSource>()
  for (const [name, content] of Object.entries(files)) {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    sources.set(name, bytesSource(bytes, `${id}/${name}`))
  }
  return sourceFolder(id, sources)
}

/** A folder of given sources, as the files a visitor dropped on a page (see `blobSource`). */
export function sourceFolder(id: string, sources: ReadonlyMap<string, FileSource>): ModelFolder {
  const open = async (name: string): Promise<FileSource> => {
    const source = sources.get(name)
    if (source === undefined) throw missingFile(id, name)
    return source
  }
  return {
    id,
    has: async (name) => sources.has(name),
    open,
    text: async (name) => textOf(await open(name)),
  }
}

/** The whole of a small text file. @throws FileError if it is absurdly large, FormatError if it is not UTF-8 */
export async function textOf(source: FileSource): Promise<string> {
  if (source.size > MAX_TEXT_BYTES) {
    const expected = `at most ${MAX_TEXT_BYTES} bytes`
    throw new FileError('text file too large', { where: source.name, expected, actual: `${source.size}` })
  }
  return decodeText(await source.read(0, source.size), source.name)
}

export function missingFile(id: string, name: string): FileError {
  return new FileError('no such file', { where: `${id}/${name}`, hint: `Is ${id} a model folder?` })
}

/** A JSON file of the folder. @throws FileError, FormatError */
export async function jsonOf(folder: ModelFolder, name: string): Promise<JsonObject> {
  return parseJsonObject(await folder.text(name), `${folder.id}/${name}`)
}

/** As {@link jsonOf}, or undefined if the folder has no such file. */
export async function optionalJsonOf(folder: ModelFolder, name: string): Promise<JsonObject | undefined> {
  return (await folder.has(name)) ? jsonOf(folder, name) : undefined
}

/**
 * Reads config.json; the end tokens of generation_config.json, where there is one, replace those of config.json.
 *
 * @throws FileError if there is no config.json; FormatError if it is not JSON; ConfigError naming the key
 */
export async function loadConfig(folder: ModelFolder): Promise<DecoderConfig> {
  const config = parseConfig(
    await jsonOf(folder, 'config.json').catch(rethrowMissing(folder)),
    `${folder.id}/config.json`,
  )
  const generation = await optionalJsonOf(folder, 'generation_config.json')
  if (generation === undefined) return config
  const eosIds = parseGenerationEos(generation, `${folder.id}/generation_config.json`, config.vocabSize)
  return eosIds === undefined ? config : { ...config, eosIds }
}

function rethrowMissing(folder: ModelFolder): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof FileError)) throw cause
    throw new FileError('not a model folder', { where: folder.id, expected: 'a config.json', cause })
  }
}
