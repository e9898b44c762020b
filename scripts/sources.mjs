/** The TypeScript sources of the packages, as the checks of this folder read them. */

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export const packageNames = readdirSync(join(root, 'packages'))

/** `{ path, text }` of every file below `packages/NAME/src` that is not a test; paths are relative, with slashes. */
export function sourcesOf(name) {
  const folder = join(root, 'packages', name, 'src')
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => join(folder, file))
    .sort()
    .map((file) => ({ path: relative(root, file).split(sep).join('/'), text: readFileSync(file, 'utf8') }))
}
