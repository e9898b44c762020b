/**
 * Puts the embedded models beside the site's own files, as `models/prosqa/NAME/FILE`: served from the packages while
 * somebody writes, emitted once when the site is built.
 */

import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { UserConfig } from 'vitepress'

/** A plugin of VitePress's own Vite, which is older than the workspace's. */
type Plugin = Exclude<
  NonNullable<NonNullable<UserConfig['vite']>['plugins']>[number],
  false | null | undefined | readonly unknown[] | Promise<unknown>
>

const folder = fileURLToPath(new URL('../../../packages/cli/models/prosqa/', import.meta.url))
const models = ['main', 'main-early', 'good', 'bad']

export function modelFiles(): Plugin {
  let isClientBuild = false
  return {
    name: 'afterthought:model-files',
    configResolved(config) {
      isClientBuild = config.command === 'build' && !config.build.ssr
    },
    configureServer({ middlewares, config }) {
      middlewares.use((request, response, next) => {
        const path = request.url?.slice(config.base.length).match(/^models\/prosqa\/([\w-]+\/[\w.-]+)$/)?.[1]
        if (path === undefined || !existsSync(folder + path)) return next()
        createReadStream(folder + path).pipe(response)
      })
    },
    buildStart() {
      if (!isClientBuild) return
      for (const name of models) {
        for (const file of readdirSync(`${folder}${name}`)) {
          const fileName = `models/prosqa/${name}/${file}`
          this.emitFile({ type: 'asset', fileName, source: readFileSync(`${folder}${name}/${file}`) })
        }
      }
    },
  }
}
