/**
 * The backend interface: upload, download, compile, run, dispose. Everything a device must offer, and nothing more.
 *
 * A backend is complete with the primitive operations; core lowers every composite that `ops` does not name. It becomes
 * fast composite by composite. `testBackend()` in `@afterthought/core/testing` is its acceptance test.
 */

import type { OpName } from './tensor/attributes.ts'
import type { Graph } from './tensor/graph.ts'
import type { DType, HostArray, HostTensor, TensorSpec } from './tensor/types.ts'

/** Memory on a device. Opaque: only the backend that made it can read it. */
export interface Buffer extends TensorSpec {
  dispose(): void
}

/**
 * A weight, read when a backend needs it and not before, so that 500 MB never sit in memory twice.
 * `identity` names the bytes: two parameters with equal identity may share device memory and cached files.
 */
export interface Parameter extends TensorSpec {
  readonly identity: string
  /** The values as 32-bit floats (or integers), whatever the file stores. */
  read(): Promise<HostArray>
  /** Where the bytes lie in a file exactly as `read()` returns them, for backends that can map files. */
  readonly location?: { readonly path: string; readonly offset: number; readonly byteLength: number }
}

/** A compiled graph. */
export interface Executable {
  /**
   * Runs once. Takes one buffer per graph input, gives one per graph output, by name. Results may be fed to another run
   * at once. An output that aliases an input is returned as that same input buffer, with new contents; two outputs never
   * share storage otherwise.
   *
   * @throws ShapeError if an input is missing, of another shape, type or backend; DisposedError; BackendError
   */
  run(inputs: Readonly<Record<string, Buffer>>): Promise<Record<string, Buffer>>
  dispose(): void
}

export interface Backend {
  /** `reference`, `onnx:cpu`, `webgpu`, … */
  readonly name: string
  /** Composite and primitive operations with a native kernel; core lowers all others. */
  readonly ops: ReadonlySet<OpName>
  readonly dtypes: ReadonlySet<DType>
  /** Copies host data to the device. The caller may reuse its array afterwards. */
  upload(tensor: HostTensor): Buffer
  /** Waits for the work that produces `buffer` and copies it to the host. */
  download(buffer: Buffer): Promise<HostArray>
  /**
   * @param parameters one entry per graph parameter, by name
   * @throws UnsupportedOpError, ShapeError, BackendError
   */
  compile(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<Executable>
  dispose(): Promise<void>
}

/** `backend` with some members in place of its own, for whoever looks at its work or comes before it. */
export function derivedBackend(backend: Backend, own: Partial<Backend>): Backend {
  return {
    name: backend.name,
    ops: backend.ops,
    dtypes: backend.dtypes,
    upload: (tensor) => backend.upload(tensor),
    download: (buffer) => backend.download(buffer),
    compile: (graph, parameters) => backend.compile(graph, parameters),
    dispose: () => backend.dispose(),
    ...own,
  }
}
