/**
 * safetensors: a length, a JSON header, raw data. (Format: github.com/huggingface/safetensors.)
 *
 *     u64 N (little-endian) | N bytes of JSON | data
 *     { "name": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] }, "__metadata__": { "key": "text" } }
 *
 * Offsets count from the end of the header. A header is taken as hostile until every one of its claims has been held
 * against the file's size; nothing is allocated on its word. Data is read tensor by tensor, when asked for.
 */

import { FormatError } from '../errors.ts'
import { formatSpec, type HostArray, type HostTensor, type Shape, sizeOf } from '../tensor/types.ts'
import { bytesSource, type FileSource } from './file-source.ts'
import { decodeText, describe, isJsonObject, type JsonObject, parseJsonObject } from './json.ts'
import { isStoredDType, type StoredDType, storedBytesPerElement, storedDTypeNames, widen } from './stored-types.ts'

const MAX_HEADER_BYTES = 100_000_000
const MAX_RANK = 16
const METADATA = '__metadata__'

/** One tensor of a file: where it lies, and its values on demand. */
export interface StoredTensor {
  readonly name: string
  readonly dtype: StoredDType
  readonly shape: Shape
  readonly source: FileSource
  /** Absolute position in the file, in bytes; any alignment. */
  readonly offset: number
  readonly byteLength: number
  /**
   * Reads and widens the values: see `widen()` for the types.
   *
   * @throws FileError, FormatError for an element type that is not read, NumericError for integers beyond 32 bits
   */
  read(): Promise<HostArray>
}

export interface Safetensors {
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
}

/**
 * Reads and checks the header.
 *
 * @throws FormatError if any claim of the header does not hold; FileError if the file cannot be read
 */
export async function openSafetensors(source: FileSource): Promise<Safetensors> {
  const { header, dataStart } = await readHeader(source)
  const tensors: StoredTensor[] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name !== METADATA) tensors.push(parseEntry(name, entry, source, dataStart))
  }
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)
  checkOverlap(tensors)
  return {
    metadata: parseMetadata(header[METADATA], source.name),
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
  }
}

/** As {@link openSafetensors}, for a file that is in memory. */
export function parseSafetensors(bytes: Uint8Array, name?: string): Promise<Safetensors> {
  return openSafetensors(bytesSource(bytes, name))
}

async function readHeader(source: FileSource): Promise<{ header: JsonObject; dataStart: number }> {
  const where = source.name
  if (source.size < 8) {
    throw new FormatError('too short for safetensors', {
      where,
      expected: 'at least 8 bytes',
      actual: `${source.size}`,
      hint: source.size === 0 ? 'An interrupted download leaves such a file' : undefined,
    })
  }
  const prefix = await source.read(0, 8)
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  const limit = Math.min(MAX_HEADER_BYTES, source.size - 8)
  if (length > BigInt(limit)) {
    throw new FormatError('header length leaves the file', {
      where,
      expected: `at most ${limit} bytes`,
      actual: `${length}`,
      hint: 'The file is truncated or not safetensors',
    })
  }
  const bytes = await source.read(8, Number(length))
  const header = parseJsonObject(decodeText(bytes, `${where} (header)`), `${where} (header)`)
  return { header, dataStart: 8 + Number(length) }
}

function parseEntry(name: string, entry: unknown, source: FileSource, dataStart: number): StoredTensor {
  const where = `${source.name}: tensor ${describe(name)}`
  if (!isJsonObject(entry)) throw new FormatError('not a JSON object', { where, actual: describe(entry) })
  const { dtype, shape, data_offsets: offsets } = entry
  if (!isStoredDType(dtype)) {
    throw new FormatError('unknown element type', { where, expected: storedDTypeNames(), actual: describe(dtype) })
  }
  checkShape(shape, where)
  if (!isPairOfCounts(offsets)) {
    throw new FormatError('bad data_offsets', { where, expected: '[begin, end]', actual: describe(offsets) })
  }
  const [begin, end] = offsets
  const available = source.size - dataStart
  if (end > available) {
    throw new FormatError('data leaves the file', {
      where,
      expected: `at most ${available} bytes of data`,
      actual: `data_offsets ${describe(offsets)}`,
      hint: 'The file is truncated or damaged',
    })
  }
  const needed = sizeOf(shape) * storedBytesPerElement(dtype)
  if (needed !== end - begin) {
    throw new FormatError(`shape ${describe(shape)} of ${dtype} does not fit its data`, {
      where,
      expected: `${needed} bytes`,
      actual: `${end - begin}`,
    })
  }
  const offset = dataStart + begin
  return {
    name,
    dtype,
    shape,
    source,
    offset,
    byteLength: needed,
    read: async () => widen(await source.read(offset, needed), dtype, where),
  }
}

function checkShape(shape: unknown, where: string): asserts shape is number[] {
  const sane = Array.isArray(shape) && shape.length <= MAX_RANK && shape.every(isCount)
  if (!sane) {
    const expected = `at most ${MAX_RANK} non-negative integers`
    throw new FormatError('bad shape', { where, expected, actual: describe(shape) })
  }
  if (!Number.isSafeInteger(sizeOf(shape) * 8))
    throw new FormatError('absurd shape', { where, actual: describe(shape) })
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isPairOfCounts(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isCount) && value[0]! <= value[1]!
}

/** Two tensors over the same bytes are a way to make a small file claim much memory, and never an honest one. */
function checkOverlap(sorted: readonly StoredTensor[]): void {
  let end = 0
  let previous: StoredTensor | undefined
  for (const tensor of sorted) {
    if (tensor.byteLength === 0) continue
    if (previous !== undefined && tensor.offset < end) {
      const where = tensor.source.name
      throw new FormatError(`tensors ${describe(previous.name)} and ${describe(tensor.name)} overlap`, { where })
    }
    end = tensor.offset + tensor.byteLength
    previous = tensor
  }
}

function parseMetadata(metadata: unknown, name: string): Record<string, string> {
  if (metadata === undefined) return {}
  const valid = isJsonObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')
  if (!valid) {
    const where = `${name}: ${METADATA}`
    throw new FormatError('bad metadata', { where, expected: 'an object of strings', actual: describe(metadata) })
  }
  return { ...(metadata as Record<string, string>) }
}

const STORED_DTYPES = { f32: 'F32', i32: 'I32', bool: 'BOOL' } as const

/**
 * The bytes of a safetensors file. Equal input gives equal bytes; four-byte types come first, so that all data is
 * aligned and backends can map it.
 *
 * @throws FormatError if a tensor's data does not have its shape's size
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const ordered = [...tensors].sort(([, a], [, b]) => Number(a.dtype === 'bool') - Number(b.dtype === 'bool'))
  const entries: [string, unknown][] = metadata === undefined ? [] : [[METADATA, metadata]]
  let length = 0
  for (const [name, tensor] of ordered) {
    checkWritable(name, tensor)
    const end = length + tensor.data.byteLength
    entries.push([name, { dtype: STORED_DTYPES[tensor.dtype], shape: tensor.shape, data_offsets: [length, end] }])
    length = end
  }
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const dataStart = 8 + Math.ceil(header.length / 8) * 8
  const file = new Uint8Array(dataStart + length)
  file.fill(0x20, 8, dataStart)
  file.set(header, 8)
  new DataView(file.buffer).setBigUint64(0, BigInt(dataStart - 8), true)
  let position = dataStart
  for (const [, { data }] of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position)
    position += data.byteLength
  }
  return file
}

function checkWritable(name: string, tensor: HostTensor): void {
  if (name === METADATA) throw new FormatError(`${METADATA} cannot name a tensor`)
  if (tensor.data.length !== sizeOf(tensor.shape)) {
    throw new FormatError(`data does not fill ${formatSpec(tensor)}`, {
      where: `tensor ${describe(name)}`,
      expected: `${sizeOf(tensor.shape)} elements`,
      actual: `${tensor.data.length}`,
    })
  }
}
