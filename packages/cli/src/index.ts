/**
 * Entry of the `afterthought` command: this process's streams and signals around `main`.
 *
 * Reading order: main → commands → command → arguments, options → settings; models, backend → commands/solve; output.
 */

import { text } from 'node:stream/consumers'
import { main } from './main.ts'

const interrupted = new AbortController()

/** The first Ctrl-C lets the work end cleanly; the second, or work that does not end, does not wait. */
process.on('SIGINT', () => {
  if (interrupted.signal.aborted) process.exit(130)
  interrupted.abort()
  setTimeout(() => process.exit(130), 3000).unref()
})

/** What was thrown outside of the work, where nobody waited for it: still one line, and a stack only on demand. */
process.on('uncaughtException', (error) => {
  const { AFTERTHOUGHT_DEBUG } = process.env
  process.stderr.write(`afterthought: ${AFTERTHOUGHT_DEBUG === '1' ? error.stack : error.message}\n`)
  process.exit(1)
})

/** A reader that went away (`| head`) wants no more; a full disk is an error like any other. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`afterthought: cannot write the result: ${error.message}\n`)
  process.exit(1)
})
process.stderr.on('error', () => undefined)

process.exitCode = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: interrupted.signal,
  readInput: () => text(process.stdin),
})
