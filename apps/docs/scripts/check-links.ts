/**
 * Every link of the built site leads somewhere: pages, files and anchors. (VitePress refuses dead links between Markdown
 * pages by itself; this reads what came out.) Links to other sites are only looked at: checks need no network.
 *
 *     node --import tsx scripts/check-links.ts
 */

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { htmlPages, siteFolder } from './site.ts'

const MOST_MODEL_BYTES = 5_000_000

const pages = htmlPages()
const anchors = new Map(
  pages.map(({ address, html }) => [
    address,
    new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => unescaped(id!))),
  ]),
)
const problems: string[] = []
let links = 0

for (const { address, html } of pages) {
  for (const [, target = ''] of html.matchAll(/\s(?:href|src)="([^"]*)"/g)) {
    const url = new URL(unescaped(target), `http://site${address}`)
    if (url.host !== 'site') {
      if (!/^(https:|mailto:|data:)$/.test(url.protocol)) problems.push(`${address}: ${target} is not https`)
      continue
    }
    links += 1
    const wrong = problemOf(decodeURIComponent(url.pathname), decodeURIComponent(url.hash.slice(1)))
    if (wrong) problems.push(`${address}: ${target}: ${wrong}`)
  }
  if (!/<title>[^<]+<\/title>/.test(html)) problems.push(`${address}: no title`)
}

for (const name of ['main', 'main-early', 'good', 'bad']) {
  const { size } = statSync(join(siteFolder, 'models/prosqa', name, 'model.safetensors'))
  if (size > MOST_MODEL_BYTES) problems.push(`model ${name}: ${size} bytes, at most ${MOST_MODEL_BYTES}`)
}

function problemOf(path: string, anchor: string): string | undefined {
  const known = anchors.get(path) ?? anchors.get(path.replace(/\.html$/, ''))
  if (known === undefined) return existsSync(join(siteFolder, path)) ? undefined : 'no such page'
  return anchor === '' || known.has(anchor) ? undefined : `no anchor ${anchor}`
}

function unescaped(text: string): string {
  return text
    .replace(/&amp;/g, '&')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
}

for (const problem of problems) console.log(problem)
console.log(`${links} links on ${pages.length} pages, ${problems.length} of them wrong`)
process.exitCode = problems.length === 0 && links > 0 ? 0 : 1
