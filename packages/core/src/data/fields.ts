/**
 * Reading fields of untrusted JSON: each has the type that is asked for, or an error says where it has not.
 */

import { FormatError } from '../errors.ts'
import { describe, type JsonObject } from '../io/json.ts'

/** @throws FormatError */
export function textField(row: JsonObject, field: string, where: string): string {
  const value = row[field]
  if (typeof value !== 'string') throw badField(`${where}, ${field}`, 'a string', value)
  return value
}

/** @throws FormatError */
export function textListField(row: JsonObject, field: string, where: string): string[] {
  const value = row[field]
  if (!Array.isArray(value) || !value.every((part) => typeof part === 'string')) {
    throw badField(`${where}, ${field}`, 'a list of strings', value)
  }
  return value
}

/** @throws FormatError */
export function numberField(row: JsonObject, field: string, where: string): number {
  const value = row[field]
  if (typeof value !== 'number') throw badField(`${where}, ${field}`, 'a number', value)
  return value
}

export function badField(where: string, expected: string, actual: unknown): FormatError {
  return new FormatError('bad value', { where, expected, actual: describe(actual) })
}
