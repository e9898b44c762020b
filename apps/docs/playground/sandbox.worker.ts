/**
 * Where edited code runs: a thread of its own, so that an endless loop can be ended. Imports of our packages are pointed
 * at the copies that this thread holds; the code is otherwise a module like any other.
 */

import * as core from '@afterthought/core'
import * as data from '@afterthought/core/data'
import * as evaluation from '@afterthought/core/evaluation'
import * as io from '@afterthought/core/io'
import { init, parse } from 'es-module-lexer'
import type { FromSandbox, ToSandbox } from './sandbox.ts'

const packages: Readonly<Record<string, object>> = {
  '@afterthought/core': core,
  '@afterthought/core/data': data,
  '@afterthought/core/evaluation': evaluation,
  '@afterthought/core/io': io,
}

const scope = globalThis as unknown as { packages: typeof packages; site: string }
const tell = (message: FromSandbox): void => self.postMessage(message)

for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
  console[level] = (...values: readonly unknown[]) => tell({ kind: 'line', text: values.map(shown).join(' ') })
}

self.onmessage = async ({ data: { code, site } }: MessageEvent<ToSandbox>) => {
  scope.packages = packages
  scope.site = site
  try {
    await init
    await import(/* @vite-ignore */ moduleOf(pointed(code)))
    tell({ kind: 'end' })
  } catch (error) {
    tell({ kind: 'end', error: String(error) })
  }
}

/** The code with its imports of our packages pointed at modules that hand out the copies of this thread. */
function pointed(code: string): string {
  const [imports] = parse(code)
  let result = code
  for (const found of [...imports].reverse()) {
    const { specifier: name, start, end, type } = found
    if (typeof name !== 'string') continue
    if (!packages[name]) throw new Error(`this page has no module '${name}', only ${Object.keys(packages).join(', ')}`)
    const address = moduleOf(exportsOf(name))
    result = result.slice(0, start) + (type === 'dynamic' ? `'${address}'` : address) + result.slice(end)
  }
  return result
}

function exportsOf(name: string): string {
  const names = Object.keys(packages[name]!)
  return `export const { ${names.join(', ')} } = globalThis.packages['${name}']`
}

function moduleOf(code: string): string {
  return URL.createObjectURL(new Blob([code], { type: 'text/javascript' }))
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Error) return value.message
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const numbers = value as Float32Array
    const first = Array.from(numbers.subarray(0, 8), (number) => Number(number.toPrecision(5)))
    return `${value.constructor.name}(${numbers.length}) [${first.join(', ')}${numbers.length > 8 ? ', …' : ''}]`
  }
  try {
    return JSON.stringify(value, (_, part) => (ArrayBuffer.isView(part) ? shown(part) : part), 2) ?? String(value)
  } catch {
    return String(value)
  }
}
