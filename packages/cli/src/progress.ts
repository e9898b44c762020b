/**
 * A progress bar with the time left, in one line of stderr. (The bar of @clack/prompts reads the keyboard while it moves,
 * and ends the program with status 0 at Ctrl-C; a run that is interrupted must end with 130.)
 */

import type { Colors, Sink } from './output.ts'

export interface Progress {
  /** `done` counts from the start; what was `known` before does not count for the time left. */
  advance(done: number): void
  /** Removes the bar. */
  end(): void
}

export interface ProgressOptions {
  readonly label: string
  readonly total: number
  /** Undefined: nothing is shown. */
  readonly sink: Sink | undefined
  /** Whether lines can be written over. */
  readonly moving: boolean
  readonly colors: Colors
}

const WIDTH = 24
/** Between two lines where nothing can be written over. */
const LINE_SECONDS = 10

export function startProgress({ label, total, sink, moving, colors }: ProgressOptions): Progress {
  if (sink === undefined) return { advance: () => undefined, end: () => undefined }
  const started = performance.now()
  let first: number | undefined
  let lastLine = started
  const describe = (done: number): string => {
    first ??= done
    const seconds = (performance.now() - started) / 1000
    const left = done > first ? (seconds * (total - done)) / (done - first) : undefined
    return `${label} ${done}/${total}${left === undefined ? '' : `, ${formatSeconds(left)} left`}`
  }
  return {
    advance(done) {
      const text = describe(done)
      if (moving) sink.write(`\r\u001B[K${bar(done / total, colors)} ${text}`)
      else if (performance.now() - lastLine > LINE_SECONDS * 1000) {
        lastLine = performance.now()
        sink.write(`${text}\n`)
      }
    },
    end() {
      if (moving) sink.write('\r\u001B[K')
    },
  }
}

function bar(share: number, colors: Colors): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * WIDTH)
  return colors.cyan('━'.repeat(full)) + colors.dim('━'.repeat(WIDTH - full))
}

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
