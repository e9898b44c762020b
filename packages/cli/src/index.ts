/**
 * Entry of the `afterthought` command: this process's streams and signals around `main`.
 *
 * Reading order: main → commands → command → arguments, options → settings; models, backend → commands/solve; output.
 */

import { text } from 'node:stream/consumers'
import { main, OUTPUT_CLOSED } from './main.ts'

/** How long work may take to end after Ctrl-C: a training run finishes its step and writes a checkpoint. */
const PATIENCE_MS = 15_000

const stopped = new AbortController()

let interrupts = 0

/** The first Ctrl-C lets the work end cleanly; the second, or work that does not end, does not wait. */
process.on('SIGINT', () => {
  interrupts++
  if (interrupts > 1) die()
  stopped.abort()
  setTimeout(die, PATIENCE_MS).unref()
})

/** By the signal itself: `process.exit` during a computation makes ONNX Runtime end the process with a crash. */
function die(): void {
  process.removeAllListeners('SIGINT')
  process.kill(process.pid, 'SIGINT')
}

/** What was thrown outside of the work, where nobody waited for it: still one line, and a stack only on demand. */
process.on('uncaughtException', (error) => {
  const { AFTERTHOUGHT_DEBUG } = process.env
  process.stderr.write(`afterthought: ${AFTERTHOUGHT_DEBUG === '1' ? error.stack : error.message}\n`)
  process.exit(1)
})

/** The status if the output could not be written. */
let unwritten: number | undefined

/** Whether that counts, and not what the work itself says: Ctrl-C ends `train | tee` from both sides. */
const outputDecides = (): boolean => unwritten === 1 || (unwritten === 0 && interrupts === 0)

/** A reader that went away (`| head`) wants no more; a full disk is an error like any other. Both end the work cleanly. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (unwritten !== undefined) return
  unwritten = error.code === 'EPIPE' ? 0 : 1
  if (outputDecides()) process.exitCode = unwritten
  if (unwritten === 1) process.stderr.write(`afterthought: cannot write the result: ${error.message}\n`)
  stopped.abort(OUTPUT_CLOSED)
})
process.stderr.on('error', () => undefined)

const status = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: stopped.signal,
  readInput: () => text(process.stdin),
})
if (!outputDecides()) process.exitCode = status
