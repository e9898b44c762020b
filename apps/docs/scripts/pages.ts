/** The pages as the checks read them: files, and the fenced code blocks in them. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const pagesFolder = fileURLToPath(new URL('../pages/', import.meta.url))

export interface CodeBlock {
  /** Page and line, as `guide/models.md:12`. */
  readonly where: string
  readonly language: string
  /** The words behind the language. */
  readonly marks: readonly string[]
  readonly code: string
}

/** Every page that somebody wrote; the API's come from TypeDoc. */
export function writtenPages(): string[] {
  return readdirSync(pagesFolder, { recursive: true })
    .map((file) => String(file).split(sep).join('/'))
    .filter((file) => file.endsWith('.md') && !file.startsWith('api/'))
    .sort()
}

const fence = /^```(\w+)(?:[ \t]+([^\n]*))?\n([\s\S]*?)^```$/gm

export function codeBlocks(page: string): CodeBlock[] {
  const text = readFileSync(join(pagesFolder, page), 'utf8')
  return [...text.matchAll(fence)].map(({ 0: _, 1: language = '', 2: marks = '', 3: code = '', index }) => ({
    where: `${page}:${text.slice(0, index).split('\n').length}`,
    language,
    marks: marks.split(/\s+/).filter((mark) => mark !== ''),
    code,
  }))
}
