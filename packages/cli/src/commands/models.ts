/** `afterthought models`: the models that are here, inside this package and in the cache shared with Hugging Face's tools. */

import { type Command, defineCommand } from '../command.ts'
import type { EmbeddedModel } from '../models.ts'
import { formatTable } from '../table.ts'

interface ListedModel {
  readonly id: string
  readonly folder: string
  readonly bytes: number
  readonly family: string
  readonly parameters: number
  /** In the hub's cache; the embedded ones are not. */
  readonly cached: boolean
  /** What an embedded model is for. */
  readonly purpose?: string
}

export const command: Command = defineCommand({
  description: 'Lists the models that run without a download: the embedded ones and those in the hub cache.',
  examples: [
    ['models', ''],
    ['models --json', 'for programs'],
  ],
  options: {},
  async run({ output }) {
    const { formatBytes } = await import('../models.ts')
    const { hubCacheRoot } = await import('@afterthought/core/files')
    const listed = await listModels((line) => output.warn(line))
    output.result(listed, () => {
      const rows = listed.map(({ id, family, parameters, bytes, cached, purpose }) => {
        const where = cached ? 'hub cache' : 'embedded'
        return [id, family, parameters.toLocaleString('en'), formatBytes(bytes), where, purpose ?? '']
      })
      const columns = [
        { title: 'model' },
        { title: 'family' },
        { title: 'parameters', align: 'right' },
        { title: 'size', align: 'right' },
        { title: 'where' },
        { title: '' },
      ] as const
      return [formatTable(columns, rows, output.colors.dim), `\nhub cache: ${hubCacheRoot()}`].join('\n')
    })
    return 0
  },
})

/** @param warn told of cached models that this library cannot read */
async function listModels(warn: (line: string) => void): Promise<ListedModel[]> {
  const { embeddedFolder, embeddedModels, purposes } = await import('../models.ts')
  const { listCached } = await import('@afterthought/core/files')
  const embedded = (Object.keys(embeddedModels) as EmbeddedModel[]).map((id) => {
    return { id, folder: embeddedFolder(id), cached: false, purpose: purposes[id] }
  })
  const cached = (await listCached()).map((model) => ({ ...model, cached: true }))
  const listed: ListedModel[] = []
  for (const model of [...embedded, ...cached]) {
    try {
      const { id, folder, cached } = model
      const bytes = 'bytes' in model ? model.bytes : await bytesOf(folder)
      const purpose = 'purpose' in model && { purpose: model.purpose }
      listed.push({ id, folder, bytes, ...(await describeModel(folder)), cached, ...purpose })
    } catch (error) {
      warn(`${model.id} is left out: ${(error as Error).message}`)
    }
  }
  return listed
}

async function describeModel(folder: string): Promise<{ family: string; parameters: number }> {
  const { countParameters, loadConfig } = await import('@afterthought/core/io')
  const { openFolder } = await import('@afterthought/core/files')
  const config = await loadConfig(await openFolder(folder))
  return { family: config.family, parameters: countParameters(config) }
}

async function bytesOf(folder: string): Promise<number> {
  const { readdir, stat } = await import('node:fs/promises')
  const sizes = (await readdir(folder)).map(async (name) => (await stat(`${folder}/${name}`)).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
