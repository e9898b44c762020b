/**
 * Protocol Buffers, the writing half: just enough wire format for ONNX models.
 *
 * A message is a list of byte chunks and a running size. Small fields are gathered in a buffer; payloads are kept by
 * reference, so that weights inside a model are never copied before they reach their file. (Encoding: protobuf.dev,
 * "Encoding"; no library, because the general ones are several times slower and larger than this page.)
 */

const VARINT = 0
const DELIMITED = 2
const FIXED32 = 5

/** Payloads from this size on are kept by reference. */
const BY_REFERENCE = 256

const utf8 = new TextEncoder()

/** A message under construction. Fields are written in call order; repeated fields are repeated calls. */
export class Message {
  private readonly chunks: Uint8Array[] = []
  private pending = new Uint8Array(64)
  private used = 0
  private flushed = 0

  /** Bytes written so far. */
  get size(): number {
    return this.flushed + this.used
  }

  /** int32, int64, enum: negative numbers take ten bytes, as the format demands. */
  varint(field: number, value: number | bigint): this {
    this.tag(field, VARINT)
    this.unsigned(value)
    return this
  }

  float(field: number, value: number): this {
    this.tag(field, FIXED32)
    this.reserve(4)
    new DataView(this.pending.buffer).setFloat32(this.used, value, true)
    this.used += 4
    return this
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value))
  }

  bytes(field: number, value: Uint8Array): this {
    this.tag(field, DELIMITED)
    this.unsigned(value.byteLength)
    this.append(value)
    return this
  }

  message(field: number, value: Message): this {
    this.tag(field, DELIMITED)
    this.unsigned(value.size)
    for (const part of value.parts()) this.append(part)
    return this
  }

  /** The encoded message, in pieces: what a file is written from. */
  parts(): Uint8Array[] {
    return [...this.chunks, this.pending.subarray(0, this.used)]
  }

  /** The encoded message in one piece. */
  encode(): Uint8Array {
    const result = new Uint8Array(this.size)
    let at = 0
    for (const part of this.parts()) {
      result.set(part, at)
      at += part.byteLength
    }
    return result
  }

  private tag(field: number, wireType: number): void {
    this.unsigned((field << 3) | wireType)
  }

  private unsigned(value: number | bigint): void {
    this.reserve(10)
    if (typeof value === 'number' && value >= 0 && value < 2 ** 31) {
      let rest = value
      for (; rest > 0x7f; rest >>>= 7) this.pending[this.used++] = (rest & 0x7f) | 0x80
      this.pending[this.used++] = rest
      return
    }
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest > 0x7fn; rest >>= 7n) this.pending[this.used++] = Number(rest & 0x7fn) | 0x80
    this.pending[this.used++] = Number(rest)
  }

  private append(bytes: Uint8Array): void {
    if (bytes.byteLength < BY_REFERENCE) {
      this.reserve(bytes.byteLength)
      this.pending.set(bytes, this.used)
      this.used += bytes.byteLength
      return
    }
    this.flush()
    this.chunks.push(bytes)
    this.flushed += bytes.byteLength
  }

  private reserve(count: number): void {
    if (this.used + count <= this.pending.byteLength) return
    const grown = new Uint8Array(Math.max(2 * this.pending.byteLength, this.used + count))
    grown.set(this.pending.subarray(0, this.used))
    this.pending = grown
  }

  private flush(): void {
    if (this.used === 0) return
    this.chunks.push(this.pending.subarray(0, this.used))
    this.flushed += this.used
    this.pending = new Uint8Array(64)
    this.used = 0
  }
}
