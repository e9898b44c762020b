import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ViteUserConfig } from 'vitest/config'

/** Vite's conditions for servers, behind ours: tests run on the sources, nothing has to be built first. */
const conditions = ['@afterthought/source', 'module', 'node', 'development|production']

/** Converted weights of tests are not left in the user's cache. */
const cache = mkdtempSync(join(tmpdir(), 'afterthought-cache-'))
process.once('exit', () => rmSync(cache, { recursive: true, force: true }))

const config: ViteUserConfig = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // A software adapter for the WebGPU tests, where there is no GPU.
    globalSetup: ['scripts/gpu-setup.mjs'],
    include: ['packages/*/{src,test,testing}/**/*.test.ts', 'apps/docs/playground/**/*.test.ts'],
    // Worker threads and child processes of the tests start from TypeScript sources too.
    execArgv: ['--import', 'tsx', '--conditions=@afterthought/source'],
    env: { XDG_CACHE_HOME: cache },
    // A shared machine with two cores is slow at times; a hang still ends.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
}

export default config
