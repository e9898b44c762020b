/**
 * Reading fields of untrusted JSON: each has the type that is asked for, or an error says where it has not.
 */

import { FormatError } from '../errors.ts'

export type Row = Readonly<Record<string, unknown>>

export function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws FormatError */
export function textField(row: Row, field: string, where: string): string {
  const value = row[field]
  if (typeof value !== 'string') throw badField(`${where}, ${field}`, 'a string', value)
  return value
}

/** @throws FormatError */
export function textListField(row: Row, field: string, where: string): string[] {
  const value = row[field]
  if (!Array.isArray(value) || !value.every((part) => typeof part === 'string')) {
    throw badField(`${where}, ${field}`, 'a list of strings', value)
  }
  return value
}

/** @throws FormatError */
export function numberField(row: Row, field: string, where: string): number {
  const value = row[field]
  if (typeof value !== 'number') throw badField(`${where}, ${field}`, 'a number', value)
  return value
}

export function badField(where: string, expected: string, actual: unknown): FormatError {
  return new FormatError('bad value', { where, expected, actual: describeValue(actual) })
}

/** A value in a few words. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'string') return shorten(value)
  if (isRow(value)) return `an object with ${Object.keys(value).slice(0, 8).join(', ') || 'no fields'}`
  return value === undefined ? 'nothing' : String(value)
}

/** A text in quotation marks, cut after 60 characters. */
export function shorten(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}
