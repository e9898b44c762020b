/** Files that come with the package. They lie one folder above this module, in the sources as in the build. */

import { fileURLToPath } from 'node:url'

export function asset(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url))
}
