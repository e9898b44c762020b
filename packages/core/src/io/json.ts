/**
 * JSON from files nobody vouches for: strict text decoding, and no silent choice between duplicate keys.
 */

import { FormatError } from '../errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** @throws FormatError if `bytes` are not UTF-8 */
export function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new FormatError('not UTF-8 text', { where, cause })
  }
}

/**
 * Parses `text` as one JSON object.
 *
 * @throws FormatError if it is not JSON, not an object, or repeats a key: which of two values counts differs from
 * reader to reader, so a file that says something twice says nothing
 */
export function parseJsonObject(text: string, where: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new FormatError('not JSON', { where, actual: (cause as Error).message, cause })
  }
  if (!isJsonObject(value)) throw new FormatError('not a JSON object', { where, actual: describe(value) })
  if (countColons(text) !== countMembers(value)) throw new FormatError('a JSON key appears twice', { where })
  return value
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A short rendering of any JSON value, for error messages. Never walks into a value: it may be deep or huge. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map((item) => (typeof item === 'object' && item !== null ? '…' : describe(item)))
    return `[${shown.join(', ')}${value.length > 8 ? ', …' : ''}]`
  }
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** In valid JSON every colon outside a string belongs to one member; `JSON.parse` keeps one member per distinct key. */
function countColons(json: string): number {
  let colons = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const character = json.charCodeAt(i)
    if (character === 0x22) inString = !inString
    else if (inString && character === 0x5c) i++
    else if (!inString && character === 0x3a) colons++
  }
  return colons
}

/** Iterative: a hostile file may nest deeper than the call stack. */
function countMembers(root: unknown): number {
  let members = 0
  const pending: unknown[] = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    const children = Object.values(value)
    if (!Array.isArray(value)) members += children.length
    for (const child of children) if (typeof child === 'object' && child !== null) pending.push(child)
  }
  return members
}
