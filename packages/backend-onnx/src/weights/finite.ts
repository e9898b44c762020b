/**
 * NaN and infinity in weights that are mapped and therefore never read by us.
 *
 * Rule: every mapped weight is looked through once, and the cache remembers it for the file's place, size and time. Up to
 * `CHECK_FIRST` bytes that happens before a program can be used; beyond, beside its first run, whose results wait for it.
 * So a session over a large file starts at once, and still no number that comes from a damaged file is ever returned.
 */

import { open } from 'node:fs/promises'
import { FileError, NumericError, type Parameter } from '@afterthought/core'
import type { WeightCache } from './cache.ts'

export const CHECK_FIRST: number = 64 * 2 ** 20

const CHUNK = 2 ** 20
const EXPONENT = 0x7f800000

/** A weight that lies in a file as it is. */
export type MappedParameter = Parameter & Required<Pick<Parameter, 'location'>>

export class FiniteCheck {
  private readonly cache: WeightCache
  private readonly checks = new Map<string, Promise<void>>()

  constructor(cache: WeightCache) {
    this.cache = cache
  }

  /** @throws NumericError naming the first weight that holds a value that is not finite */
  async check(parameters: readonly MappedParameter[]): Promise<void> {
    const unknown = parameters.filter(({ identity }) => !this.checks.has(identity))
    const together = `finite|${unknown.map(({ identity }) => identity).sort()}`
    const known = unknown.length > 0 && (await this.cache.isNoted(together))
    let before: Promise<void> = Promise.resolve()
    for (const parameter of unknown) {
      // One after another: a disk is fastest that way, and memory stays small.
      before = known ? before : before.then(() => checkFile(parameter))
      before.catch(() => undefined)
      this.checks.set(parameter.identity, before)
    }
    await Promise.all(parameters.map(({ identity }) => this.checks.get(identity)))
    if (unknown.length > 0 && !known) await this.cache.note(together)
  }
}

async function checkFile(parameter: MappedParameter): Promise<void> {
  const { path, offset, byteLength } = parameter.location
  const file = await open(path).catch((cause: Error) => {
    throw new FileError(cause.message, { where: path, cause })
  })
  try {
    const words = new Int32Array(CHUNK / 4)
    const bytes = new Uint8Array(words.buffer)
    for (let done = 0; done < byteLength; ) {
      const wanted = Math.min(CHUNK, byteLength - done)
      const { bytesRead } = await file.read(bytes, 0, wanted, offset + done)
      if (bytesRead !== wanted) throw new FileError('the file ended early', { where: path })
      const wrong = firstNotFinite(words, wanted / 4)
      if (wrong >= 0) {
        // A weight of a model folder checks itself when it is read, and says which tensor of which file it is.
        await parameter.read()
        throw new NumericError('a value is not finite', {
          where: parameter.identity,
          expected: 'finite numbers',
          actual: `${new Float32Array(words.buffer)[wrong]} at element ${done / 4 + wrong}`,
          hint: 'The file is damaged or training diverged',
        })
      }
      done += wanted
    }
  } finally {
    await file.close()
  }
}

/** NaN and the infinities are the values whose exponent bits are all ones. */
function firstNotFinite(words: Int32Array, count: number): number {
  for (let i = 0; i < count; i++) if ((words[i]! & EXPONENT) === EXPONENT) return i
  return -1
}
