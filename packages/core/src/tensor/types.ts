/**
 * Element types, shapes and host arrays: the vocabulary every other chapter uses.
 *
 * Three element types are enough for inference and training of decoders. Narrow weight formats (f16, int8, int4)
 * are a matter of how a backend stores parameters, not of the graph.
 */

/** Element type of a tensor. `bool` occupies one byte per element on the host. */
export type DType = 'f32' | 'i32' | 'bool'

/** Extent of each axis, outermost first. A scalar is `[]`. */
export type Shape = readonly number[]

export interface TensorSpec {
  readonly shape: Shape
  readonly dtype: DType
}

/** Host-side storage for each element type. */
export interface HostArrays {
  f32: Float32Array
  i32: Int32Array
  bool: Uint8Array
}

export type HostArray = HostArrays[DType]

/** A tensor whose values are in host memory, row-major. */
export interface HostTensor extends TensorSpec {
  readonly data: HostArray
}

/** Number of elements of `shape`. */
export function sizeOf(shape: Shape): number {
  let size = 1
  for (const extent of shape) size *= extent
  return size
}

/** Bytes per element on the host. */
export function bytesPerElement(dtype: DType): number {
  return dtype === 'bool' ? 1 : 4
}

/** Row-major distance, in elements, between neighbours along each axis. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]!
  }
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis])
}

/** Zero-filled host storage for `length` elements. */
export function allocate(dtype: DType, length: number): HostArray {
  if (dtype === 'f32') return new Float32Array(length)
  if (dtype === 'i32') return new Int32Array(length)
  return new Uint8Array(length)
}

/** The element type that `data` is host storage for. */
export function dtypeOf(data: HostArray): DType {
  if (data instanceof Float32Array) return 'f32'
  return data instanceof Int32Array ? 'i32' : 'bool'
}

/** `f32[2,3]`: how a specification is written in error messages and printed graphs. */
export function formatSpec(spec: TensorSpec): string {
  return `${spec.dtype}[${spec.shape.join(',')}]`
}
