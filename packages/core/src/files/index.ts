/** Files and folders on this machine, and the hub: for Node, Bun and Deno. */

export type { OpenFolderOptions } from './hub.ts'
export { openFolder } from './hub.ts'
export type { CachedModel } from './hub-cache.ts'
export { hubCacheRoot, listCached } from './hub-cache.ts'
export { openFile, systemWords } from './open.ts'
export { makeFolder, writeFileAtomically } from './write.ts'
