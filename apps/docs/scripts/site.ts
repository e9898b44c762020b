/** The built site: its files, and a server for it. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import sirv from 'sirv'

export const siteFolder = fileURLToPath(new URL('../dist/', import.meta.url))

export interface HtmlPage {
  /** Address inside the site, as `/guide/models`. */
  readonly address: string
  readonly html: string
}

/** Every page of the build. @throws Error if there is none */
export function htmlPages(): HtmlPage[] {
  if (!existsSync(siteFolder)) throw new Error('the site is not built: npm run docs:build')
  return readdirSync(siteFolder, { recursive: true })
    .map((file) => String(file).split(sep).join('/'))
    .filter((file) => file.endsWith('.html'))
    .sort()
    .map((file) => ({
      address: `/${file.replace(/(?:^|(?<=\/))index\.html$|\.html$/, '')}`,
      html: readFileSync(join(siteFolder, file), 'utf8'),
    }))
}

export interface ServedSite extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly address: string
}

/** Serves the build on this machine, as any host of static files would. */
export async function serveSite(): Promise<ServedSite> {
  const server = createServer(sirv(siteFolder, { onNoMatch: (_, response) => response.writeHead(404).end() }))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
