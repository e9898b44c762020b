/**
 * Where a command's words go: results to stdout, everything else to stderr. With `--json` stdout holds exactly one JSON
 * document. Colour and moving lines are for terminals only; NO_COLOR, FORCE_COLOR and CI are respected.
 */

import pc from 'picocolors'
import { type Progress, startProgress } from './progress.ts'

export type Colors = ReturnType<typeof pc.createColors>

/** The part of a stream that is used; tests pass their own. */
export interface Sink {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Streams {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly environment: Readonly<Record<string, string | undefined>>
}

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
}

export class Output {
  readonly json: boolean
  readonly quiet: boolean
  /** Of what is printed on stdout. */
  readonly colors: Colors
  /** Columns of the terminal; 100 where there is none. */
  readonly width: number
  private readonly streams: Streams

  constructor(streams: Streams, { json, quiet }: OutputOptions) {
    this.streams = streams
    this.json = json
    this.quiet = quiet
    this.colors = pc.createColors(!json && wantsColor(streams.stdout, streams.environment))
    this.width = streams.stdout.columns ?? 100
  }

  /** The command's result: the document with `--json`, else the text for people. */
  result(document: unknown, text: () => string): void {
    this.streams.stdout.write(`${this.json ? toJson(document) : text()}\n`)
  }

  /** A part of the result for people, as it comes. Nothing with `--json`. */
  write(text: string): void {
    if (!this.json) this.streams.stdout.write(text)
  }

  /** One JSON document on a line of its own, for results that stream. */
  jsonLine(document: unknown): void {
    this.streams.stdout.write(`${toJson(document)}\n`)
  }

  /** A line beside the result, on stderr. */
  note(text: string): void {
    if (!this.quiet) this.streams.stderr.write(`${this.stderrColors.dim(text)}\n`)
  }

  /** A line that matters even to the quiet, on stderr. */
  warn(text: string): void {
    this.streams.stderr.write(`${this.stderrColors.yellow('warning')} ${text}\n`)
  }

  /** A bar with the time left on a terminal, a line now and then elsewhere; on stderr. */
  progress(label: string, total: number): Progress {
    const { stderr, environment } = this.streams
    const moving = stderr.isTTY === true && !environment.CI
    return startProgress({ label, total, sink: this.quiet ? undefined : stderr, moving, colors: this.stderrColors })
  }

  private get stderrColors(): Colors {
    return pc.createColors(wantsColor(this.streams.stderr, this.streams.environment))
  }
}

/** NO_COLOR (no-color.org) wins over FORCE_COLOR, which wins over what the stream is. */
export function wantsColor(sink: Sink, environment: Streams['environment']): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = environment
  if (NO_COLOR) return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0'
  return sink.isTTY === true && TERM !== 'dumb'
}

/**
 * JSON of plain numbers. `JSON.stringify` would write NaN and infinities as null, which a reader takes for "unknown".
 *
 * @throws RangeError naming the field
 */
export function toJson(document: unknown): string {
  return JSON.stringify(document, (key, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`the result ${key} is ${value}`)
    return value instanceof Float32Array || value instanceof Int32Array ? [...value] : value
  })
}

interface Described {
  readonly code?: unknown
  readonly message: string
  readonly where?: string
  readonly expected?: string
  readonly actual?: string
  readonly hint?: string
}

/** `{"error": {code, message, where?, expected?, actual?, hint?}}` of anything that was thrown. */
export function errorDocument(error: unknown): {
  error: { code: string; message: string; where?: string; expected?: string; actual?: string; hint?: string }
} {
  const { code, message, where, expected, actual, hint } = (
    error instanceof Error ? error : { message: String(error) }
  ) as Described
  return {
    error: {
      code: typeof code === 'string' ? code : 'INTERNAL',
      message,
      ...(where !== undefined && { where }),
      ...(expected !== undefined && { expected }),
      ...(actual !== undefined && { actual }),
      ...(hint !== undefined && { hint }),
    },
  }
}
