/**
 * Models by name: the embedded ones, folders, and the hub's; and a session that holds those of one command on a backend.
 */

import { type Backend, type LanguageModel, loadModel, type ThoughtModels } from '@afterthought/core'
import { openFolder } from '@afterthought/core/files'
import type { ModelFolder } from '@afterthought/core/io'
import type { Values } from './arguments.ts'
import { asset } from './assets.ts'
import { type BackendValues, openBackend } from './backend.ts'
import type { modelOptions } from './options.ts'
import type { Output } from './output.ts'

export type ModelValues = Values<typeof modelOptions>

/** The trio that comes with the package, and its early sibling. `./prosqa` names a folder of that name instead. */
export const embeddedModels: Readonly<Record<EmbeddedModel, string>> = {
  prosqa: 'main',
  'prosqa-early': 'main-early',
  'prosqa-good': 'good',
  'prosqa-bad': 'bad',
}

export type EmbeddedModel = 'prosqa' | 'prosqa-early' | 'prosqa-good' | 'prosqa-bad'

const DEFAULT_MODEL = 'prosqa'

/** The models that think; their references are the embedded ones unless others are named. */
const thinkers: readonly string[] = ['prosqa', 'prosqa-early']

/** What an embedded model is for, in a few words. */
export const purposes: Readonly<Record<EmbeddedModel, string>> = {
  prosqa: 'thinks in six latent steps; the default',
  'prosqa-early': 'the same run, stopped early',
  'prosqa-good': 'writes its reasoning in tokens; the good reference',
  'prosqa-bad': 'the same run, stopped early; the bad reference',
}

export function embeddedFolder(name: EmbeddedModel): string {
  return asset(`models/prosqa/${embeddedModels[name]}`)
}

const isEmbedded = (name: string): name is EmbeddedModel => Object.hasOwn(embeddedModels, name)

/**
 * The folder of an embedded model, of a path, or of a hub name (downloaded unless HF_HUB_OFFLINE is set).
 *
 * @throws FileError
 */
export async function openModelFolder(name: string, output: Output): Promise<ModelFolder> {
  if (isEmbedded(name)) return { ...(await openFolder(embeddedFolder(name))), id: name }
  return openFolder(name, {
    onDownload: (file) => output.note(`downloading ${name}/${file.name} (${formatBytes(file.bytes)})`),
  })
}

/** The models of one command, on one backend. */
export interface Session {
  readonly backend: Backend
  readonly models: ThoughtModels
  /** Milliseconds until the backend and the models were there. */
  readonly loadMs: number
}

/**
 * Opens backend and models, works with them, and closes them again.
 *
 * @throws FileError, FormatError, ConfigError, BackendUnavailableError and whatever `work` throws
 */
export async function withSession<T>(
  values: ModelValues & BackendValues,
  output: Output,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const started = performance.now()
  const names = namesOf(values)
  // Folders first: a misspelt one should not cost the start of a runtime.
  const folders = await Promise.all(Object.values(names).map((name) => openModelFolder(name, output)))
  const backend = await openBackend(values, (line) => output.note(line))
  try {
    const loaded = await Promise.all(folders.map((folder) => loadModel(folder, backend)))
    const models = Object.fromEntries(Object.keys(names).map((role, i) => [role, loaded[i]!]))
    const session = { backend, models: models as unknown as ThoughtModels, loadMs: performance.now() - started }
    try {
      return await work(session)
    } finally {
      await Promise.all(loaded.map((model: LanguageModel) => model.dispose()))
    }
  } finally {
    await backend.dispose()
  }
}

/** The thoughts that a model takes unless told otherwise; said where the model itself does not say. */
export function defaultLatents({ latent, id }: LanguageModel, asked: number | undefined, output: Output): number {
  if (latent === undefined && asked === undefined) {
    output.note(`${id} has no latent_config.json: no thoughts unless --latents asks for some`)
  }
  return latent?.latents ?? 0
}

/** Roles to names. References are optional: only the contrastive search asks for them. */
function namesOf({ model: main = DEFAULT_MODEL, good, bad }: ModelValues): Record<string, string> {
  const defaults = thinkers.includes(main) ? { good: 'prosqa-good', bad: 'prosqa-bad' } : {}
  return { main, ...defaults, ...(good !== undefined && { good }), ...(bad !== undefined && { bad }) }
}

/** 1,339,960 bytes as "1.3 MB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`
}
