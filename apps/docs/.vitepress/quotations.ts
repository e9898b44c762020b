/**
 * Code quoted from the sources by name, so that a page cannot drift from what it explains: a line
 *
 *     @code packages/core/src/latent/refine.ts blendWith
 *
 * becomes the declaration of that name with its comment, under a caption that says where it stands. A name that is gone
 * breaks the build.
 */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import type { MarkdownRenderer } from 'vitepress'

const line = /^@code (\S+) (\S+)$/gm
const root = new URL('../../../', import.meta.url)

export function quotations(md: MarkdownRenderer): void {
  md.core.ruler.before('normalize', 'quotations', (state) => {
    state.src = state.src.replace(line, (_, path: string, name: string) => quote(path, name))
  })
}

function quote(path: string, name: string): string {
  const text = readFileSync(fileURLToPath(new URL(path, root)), 'utf8')
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const found = declarationOf(source, name.split('.'))
  if (!found) throw new Error(`${path} has no declaration named ${name}`)
  const indentation = ' '.repeat(source.getLineAndCharacterOfPosition(found.getStart()).character)
  const code = dedent(indentation + found.getFullText().trim(), indentation)
  return `<p class="source">${path}</p>\n\n\`\`\`ts\n${code}\n\`\`\``
}

/** `name`, or `Class.member`. */
function declarationOf(source: ts.SourceFile, [name, member]: string[]): ts.Node | undefined {
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      if (statement.declarationList.declarations.some((declared) => declared.name.getText() === name)) return statement
    } else if ('name' in statement && (statement.name as ts.Identifier | undefined)?.text === name) {
      if (member === undefined) return statement
      const { members = [] } = statement as ts.ClassDeclaration
      return [...members].find((candidate) => candidate.name?.getText() === member)
    }
  }
  return undefined
}

function dedent(text: string, indentation: string): string {
  return text
    .split('\n')
    .map((row) => (row.startsWith(indentation) ? row.slice(indentation.length) : row))
    .join('\n')
}
