/**
 * Weights that are not mapped from the user's own file: written once, mapped ever after.
 *
 * A file per weight and form, named after what it holds. Contents with a lasting identity (a file's place, size and time)
 * go to the user's cache and serve later processes; those without (weights in memory) go to a temporary folder that ends
 * with the backend. The cache keeps itself within bounds (`prune.ts`), and may be deleted at any time while nothing runs.
 */

import { createHash } from 'node:crypto'
import { constants, rmSync } from 'node:fs'
import { access, mkdtemp, rm, stat, utimes } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join, parse, relative, sep } from 'node:path'
import { FileError } from '@afterthought/core'
import { makeFolder, writeFileAtomically } from '@afterthought/core/files'
import { prune } from './prune.ts'

/** Part of every file name: raise it when a form changes its layout. */
const LAYOUT = 1

/** What the lasting cache may hold: a 7B model in int4 and a 3B model widened to f32 fit together. */
const MAX_BYTES = 16 * 2 ** 30

/** `$XDG_CACHE_HOME/afterthought/onnx`, by default under `~/.cache` (on Windows: the local application data). */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = environment
  const base = XDG_CACHE_HOME || (process.platform === 'win32' && LOCALAPPDATA) || join(homedir(), '.cache')
  return join(base, 'afterthought', 'onnx')
}

export class WeightCache {
  /** Root of the file system, on Windows of the cache's drive: locations start from here. */
  readonly root: string
  private readonly lasting: string
  private readonly maxBytes: number
  /** Bytes that may still be written before the folder has to be looked through, as it has to be at first. */
  private room = -1
  private usable: Promise<boolean> | undefined
  private temporary: Promise<string> | undefined
  private removeAtExit: (() => void) | undefined

  constructor(folder: string = cacheFolder(), maxBytes: number = MAX_BYTES) {
    this.lasting = folder
    this.maxBytes = maxBytes
    this.root = parse(folder).root
  }

  /** Whether `path` lies below {@link root}. */
  reaches(path: string): boolean {
    return parse(path).root.toLowerCase() === this.root.toLowerCase()
  }

  /** An absolute path as models name it. */
  locationOf(path: string): string {
    return relative(this.root, path).replaceAll(sep, '/')
  }

  /**
   * Path of the file that holds `form` of what `identity` names; `make` is asked for its contents if there is no such file
   * of `byteLength` bytes.
   *
   * @throws FileError if the disk refuses
   */
  async file(identity: string, form: string, byteLength: number, make: () => Promise<Uint8Array>): Promise<string> {
    const folder = await this.folderFor(identity)
    const path = join(folder, `${digest(`${LAYOUT}|${form}|${identity}`)}.bin`)
    if ((await sizeOfFile(path)) === byteLength) {
      await markUsed(path)
      return path
    }
    const bytes = await make()
    if (folder === this.lasting) await this.makeRoom(byteLength)
    await writeFileAtomically(path, bytes).catch((cause: unknown) => {
      const full = ((cause as Error).cause as { code?: string } | undefined)?.code === 'ENOSPC'
      throw new FileError(full ? 'the disk is full' : 'cannot write converted weights', {
        where: path,
        expected: `room for ${byteLength} bytes`,
        hint: 'Set XDG_CACHE_HOME to a folder with room, or give the weights as F32 safetensors with dtype f32',
        cause,
      })
    })
    return path
  }

  /** Whether something was noted about `identity`, in this process or an earlier one. */
  async isNoted(identity: string): Promise<boolean> {
    const path = this.notePath(identity)
    if ((await sizeOfFile(path)) === undefined) return false
    await markUsed(path)
    return true
  }

  /** Remembers something about `identity`, if the cache can be written. */
  async note(identity: string): Promise<void> {
    if (!(await this.isUsable())) return
    await this.makeRoom(0)
    await writeFileAtomically(this.notePath(identity), '').catch(() => undefined)
  }

  /** Removes the temporary files. */
  async dispose(): Promise<void> {
    if (!this.temporary) return
    await rm(await this.temporary, { recursive: true, force: true })
    process.off('exit', this.removeAtExit!)
    this.temporary = undefined
  }

  private async makeRoom(byteLength: number): Promise<void> {
    if (this.room < byteLength) this.room = this.maxBytes - (await prune(this.lasting, this.maxBytes - byteLength))
    this.room -= byteLength
  }

  private notePath(identity: string): string {
    return join(this.lasting, `${digest(identity)}.note`)
  }

  private async folderFor(identity: string): Promise<string> {
    if (isLasting(identity) && (await this.isUsable())) return this.lasting
    this.temporary ??= mkdtemp(join(tmpdir(), 'afterthought-')).then((folder) => {
      this.removeAtExit = () => rmSync(folder, { recursive: true, force: true })
      process.once('exit', this.removeAtExit)
      return folder
    })
    return this.temporary
  }

  private isUsable(): Promise<boolean> {
    this.usable ??= makeFolder(this.lasting)
      .then(() => access(this.lasting, constants.W_OK))
      .then(
        () => true,
        () => false,
      )
    return this.usable
  }
}

/** Whether `identity` means the same in another process: it starts with the path of a file. */
function isLasting(identity: string): boolean {
  return isAbsolute(identity)
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 40)
}

/** The time of a file is that of its last use: what was not used for longest is removed first. */
async function markUsed(path: string): Promise<void> {
  const now = new Date()
  await utimes(path, now, now).catch(() => undefined) // it may be another user's
}

async function sizeOfFile(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}
