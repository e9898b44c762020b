/**
 * What an engine does. Everything here can be cloned into a message, so that the engine may run in another thread.
 *
 * Buffers and programs are numbers given by the caller: a call can name the results of earlier ones that are still under
 * way. Calls take effect in the order in which they were made.
 */

import type { DType, ErrorParts, HostArray, HostTensor } from '@afterthought/core'
import * as core from '@afterthought/core'
import type { AppendedOutput } from '../appends.ts'

/** What computes: ONNX Runtime's execution providers that this package uses. */
export type Provider = 'cpu' | 'webgpu' | 'cuda'

/** `wasm`: the CPU of a browser, through onnxruntime-web (see `web.ts`). */
export type EngineProvider = Provider | 'wasm'

/** A model and how to run it. */
export interface Program {
  /** For messages. */
  readonly name: string
  /** The encoded `ModelProto`. */
  readonly model: Uint8Array
  /** Folder that the locations of external weights start from. */
  readonly weightsRoot: string
  readonly provider: EngineProvider
  /** Threads within an operator. */
  readonly threads: number
  /** Whether weights are copied into the layout that the kernels like best. */
  readonly prepack: boolean
  /** Graph input → name in the model, for inputs that the model reads. */
  readonly inputs: Readonly<Record<string, string>>
  /** Graph output, or hidden output of the append plan → name in the model. */
  readonly outputs: Readonly<Record<string, string>>
  /** Outputs that are written into their input's storage after the run. */
  readonly appended: readonly AppendedOutput[]
}

/** Every result, and who keeps it. */
export interface RunRequest {
  readonly program: number
  /** Graph input → buffer. */
  readonly inputs: Readonly<Record<string, number>>
  /** Graph output → buffer that takes the result: a new number, or that of the input whose storage it takes over. */
  readonly outputs: Readonly<Record<string, number>>
}

export interface Engine {
  upload(id: number, tensor: HostTensor): Promise<void>
  download(id: number): Promise<HostArray>
  free(ids: readonly number[]): Promise<void>
  compile(id: number, program: Program): Promise<void>
  run(request: RunRequest): Promise<void>
  release(id: number): Promise<void>
  /** Runs a tiny model on `provider`; why that failed, if it did, in the runtime's own words. */
  tryProvider(provider: Provider): Promise<string | undefined>
  close(): Promise<void>
}

/** A call to an engine in another thread, numbered by the caller. */
export interface Call {
  readonly call: number
  readonly method: keyof Engine
  readonly operands: readonly unknown[]
}

export interface Reply {
  readonly call: number
  readonly value?: HostArray | string
  readonly error?: PackedError
}

/** Names that ONNX Runtime's JavaScript tensors have for our element types. */
export const ortTypes: { readonly [Type in DType]: 'float32' | 'int32' | 'bool' } = {
  f32: 'float32',
  i32: 'int32',
  bool: 'bool',
}

/** An error as a message can carry it. */
export interface PackedError extends ErrorParts {
  readonly name: string
  readonly message: string
}

type ErrorClass = new (message: string, parts?: ErrorParts) => core.AfterthoughtError

const errorClasses = new Map<string, ErrorClass>(
  [
    core.ArgumentError,
    core.BackendError,
    core.BackendUnavailableError,
    core.CapacityError,
    core.DisposedError,
    core.ShapeError,
  ].map((kind) => [kind.name, kind]),
)

export function packError(error: unknown): PackedError {
  if (!(error instanceof core.AfterthoughtError)) return { name: 'BackendError', message: String(error) }
  const { name, message, where, expected, actual, hint } = error
  return { name, message, where, expected, actual, hint }
}

/** The error of {@link packError}, of its own class again; its message is complete already. */
export function unpackError({ name, message, ...parts }: PackedError): core.AfterthoughtError {
  const kind = errorClasses.get(name) ?? core.BackendError
  return Object.assign(new kind(message), parts)
}
