/**
 * Byte sources: what a reader needs of a file, whether it lies on a disk, in memory or behind a `Blob` in a browser.
 *
 * Readers ask for ranges, never for the whole file: the weights of a model are larger than what they are read for.
 */

import { FormatError } from '../errors.ts'

/** Random access to immutable bytes. */
export interface FileSource {
  /** For error messages: a path or a file name. */
  readonly name: string
  /** Where the file lies on this machine, for backends that can map it. Absent for bytes in memory. */
  readonly path?: string
  /** Names the contents: equal identities hold equal bytes. */
  readonly identity: string
  /** Length in bytes. */
  readonly size: number
  /**
   * Reads exactly `length` bytes. The result belongs to the caller.
   *
   * @throws FileError if the bytes cannot be read, FormatError if the range leaves the file
   */
  read(offset: number, length: number): Promise<Uint8Array>
  close?(): Promise<void>
}

let sourcesInMemory = 0

/** Bytes in memory as a source. Later changes to `bytes` show through, so do not change them. */
export function bytesSource(bytes: Uint8Array, name = 'bytes in memory'): FileSource {
  return {
    name,
    identity: `memory:${++sourcesInMemory}`,
    size: bytes.byteLength,
    read: async (offset, length) => {
      checkRange(name, bytes.byteLength, offset, length)
      return bytes.slice(offset, offset + length)
    },
  }
}

/** A browser's `Blob` or `File` as a source; nothing is read before it is asked for. */
export function blobSource(blob: Blob, name = 'blob'): FileSource {
  return {
    name,
    identity: `memory:${++sourcesInMemory}`,
    size: blob.size,
    read: async (offset, length) => {
      checkRange(name, blob.size, offset, length)
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
    },
  }
}

/** @throws FormatError unless `offset` and `length` describe a range inside a file of `size` bytes */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0
  if (!inside || offset + length > size) {
    throw new FormatError('a read leaves the file', {
      where: name,
      expected: `a range inside ${size} bytes`,
      actual: `${length} bytes at ${offset}`,
    })
  }
}
