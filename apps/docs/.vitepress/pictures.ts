/**
 * Pictures inside pages: a line `@picture NAME` becomes the drawing of that name, which scripts/pictures.ts makes from a
 * run before the site is built. Inline, so that it follows the site's light and dark.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'

const line = /^@picture (\S+)(?: (.+))?$/gm

export function pictures(md: MarkdownRenderer): void {
  md.core.ruler.before('normalize', 'pictures', (state) => {
    state.src = state.src.replace(line, (_, name: string, caption?: string) => {
      const svg = readFileSync(fileURLToPath(new URL(`./pictures/${name}.svg`, import.meta.url)), 'utf8').trim()
      const text = caption === undefined ? '' : `<figcaption>${md.renderInline(caption)}</figcaption>`
      return `<figure class="picture"><div class="scroll" tabindex="0" v-pre>${svg}</div>${text}</figure>\n`
    })
  })
}
