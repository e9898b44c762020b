/**
 * How every package is built: ES modules for Node 20 and later, one output file per entry plus shared chunks (so that a
 * class such as an error exists once, whichever entry it came through), and declarations from the built neighbours.
 */

import type { Options } from 'tsup'

export function packageBuild(entry: Record<string, string>): Options {
  return {
    entry,
    format: 'esm',
    target: 'es2022',
    platform: 'node',
    removeNodeProtocol: false,
    splitting: true,
    sourcemap: true,
    clean: true,
    // The `@afterthought/source` condition would pull the neighbours' sources into this package's declarations.
    dts: { compilerOptions: { customConditions: [] } },
  }
}
