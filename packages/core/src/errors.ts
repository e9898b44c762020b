/**
 * Errors of Afterthought: one class per cause. Every message says where, what was expected, what came, and the way out.
 *
 * `code` is what programs read (also on the command line, see `--json`); the parts are kept as fields so that a caller
 * can show them in its own way.
 */

export interface ErrorParts {
  /** The operation, file, option or tensor in which the error arose. */
  readonly where?: string
  readonly expected?: string
  readonly actual?: string
  /** What the reader can do about it. */
  readonly hint?: string
  readonly cause?: unknown
}

export class AfterthoughtError extends Error {
  readonly code: string = 'AFTERTHOUGHT'
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly actual: string | undefined
  readonly hint: string | undefined

  constructor(message: string, parts: ErrorParts = {}) {
    super(compose(message, parts), parts.cause === undefined ? undefined : { cause: parts.cause })
    this.name = new.target.name
    this.where = parts.where
    this.expected = parts.expected
    this.actual = parts.actual
    this.hint = parts.hint
  }
}

function compose(message: string, parts: ErrorParts): string {
  let text = parts.where ? `${parts.where}: ${message}` : message
  if (parts.expected !== undefined) text += `; expected ${parts.expected}`
  if (parts.actual !== undefined) text += `${parts.expected === undefined ? ';' : ','} got ${parts.actual}`
  if (parts.hint !== undefined) text += `. ${parts.hint}`
  return text
}

/** Shapes or element types that do not fit an operation. */
export class ShapeError extends AfterthoughtError {
  override readonly code = 'SHAPE'
}

/** A graph that breaks a rule of the intermediate representation. */
export class GraphError extends AfterthoughtError {
  override readonly code = 'GRAPH'
}

/** An operation that a backend neither has nor can be given by decomposition. */
export class UnsupportedOpError extends AfterthoughtError {
  override readonly code = 'UNSUPPORTED_OP'
}

/** Use of a buffer, executable or backend after its disposal. */
export class DisposedError extends AfterthoughtError {
  override readonly code = 'DISPOSED'
}

/** A backend that cannot work on this machine. */
export class BackendUnavailableError extends AfterthoughtError {
  override readonly code = 'BACKEND_UNAVAILABLE'
}

/** A failure inside a backend's runtime while compiling or running. */
export class BackendError extends AfterthoughtError {
  override readonly code = 'BACKEND'
}

/** A file that is not what its name says: corrupt, truncated, hostile or of an unknown format. */
export class FormatError extends AfterthoughtError {
  override readonly code = 'FORMAT'
}

/** A model configuration that is missing keys, absurd, or of an unknown family. */
export class ConfigError extends AfterthoughtError {
  override readonly code = 'CONFIG'
}

/** A file or folder that does not exist or cannot be read or written. */
export class FileError extends AfterthoughtError {
  override readonly code = 'FILE'
}

/** Weights or results that are NaN or infinite. */
export class NumericError extends AfterthoughtError {
  override readonly code = 'NUMERIC'
}

/** An argument outside its range: token ids, options, lengths. */
export class ArgumentError extends AfterthoughtError {
  override readonly code = 'ARGUMENT'
}

/** More positions than a cache or a model can hold. */
export class CapacityError extends AfterthoughtError {
  override readonly code = 'CAPACITY'
}

/** Work stopped by an `AbortSignal`. */
export class AbortedError extends AfterthoughtError {
  override readonly code = 'ABORTED'
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError('stopped by its abort signal', { cause: signal.reason })
}
