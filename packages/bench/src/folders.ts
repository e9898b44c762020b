/** Where measurements keep what is worth keeping between runs: random models, and the Python peers' packages. */

import { homedir } from 'node:os'
import { join } from 'node:path'

/** `$XDG_CACHE_HOME/afterthought/NAME`, by default under `~/.cache` (on Windows: the local application data). */
export function cacheFolder(name: string, environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = environment
  const base = XDG_CACHE_HOME || (process.platform === 'win32' && LOCALAPPDATA) || join(homedir(), '.cache')
  return join(base, 'afterthought', name)
}
