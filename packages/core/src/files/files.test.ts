import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileError, FormatError } from '../errors.ts'
import { openFile, openLocalFolder } from './open.ts'
import { writeFileAtomically } from './write.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'afterthought-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('files', () => {
  it('reads ranges', async () => {
    const path = join(folder, 'bytes')
    await writeFile(path, Uint8Array.of(1, 2, 3, 4, 5))
    const source = await openFile(path)
    expect(source).toMatchObject({ name: path, size: 5 })
    expect(await source.read(1, 3)).toEqual(Uint8Array.of(2, 3, 4))
    expect(await source.read(5, 0)).toEqual(new Uint8Array(0))
    for (const [offset, length] of [
      [3, 3],
      [-1, 2],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 60, 2 ** 60],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toThrow(FormatError)
    }
  })

  it('notices that the file changed', async () => {
    const path = join(folder, 'bytes')
    await writeFile(path, Uint8Array.of(1, 2, 3))
    const source = await openFile(path)
    await writeFile(path, Uint8Array.of(1))
    await expect(source.read(0, 3)).rejects.toThrow('changed')
    await rm(path)
    await expect(source.read(0, 3)).rejects.toThrow(FileError)
  })

  it('identifies contents by place, size and time', async () => {
    const path = join(folder, 'bytes')
    await writeFile(path, 'abc')
    const { identity } = await openFile(path)
    expect((await openFile(path)).identity).toBe(identity)
    await symlink(path, join(folder, 'link'))
    expect((await openFile(join(folder, 'link'))).identity).toBe(identity)
    await utimes(path, 1, 1)
    expect((await openFile(path)).identity).not.toBe(identity)
  })

  it('refuses what is no regular file', async () => {
    await expect(openFile(join(folder, 'nowhere'))).rejects.toThrow(FileError)
    await expect(openFile(folder)).rejects.toThrow('not a regular file')
    const pipe = join(folder, 'pipe')
    if (spawnSync('mkfifo', [pipe]).status === 0) await expect(openFile(pipe)).rejects.toThrow('not a regular file')
  })
})

describe('folders', () => {
  it('open files by name, and none outside', async () => {
    await writeFile(join(folder, 'config.json'), '{"a":1}')
    await mkdir(join(folder, 'inner'))
    await writeFile(join(folder, 'inner', '..x'), 'x')
    const model = await openLocalFolder(folder)
    expect(model.id).toBe(folder)
    expect(await model.has('config.json')).toBe(true)
    expect(await model.has('inner')).toBe(false)
    expect(await model.has('nothing')).toBe(false)
    expect(await model.text('config.json')).toBe('{"a":1}')
    expect(await model.text('inner/..x')).toBe('x')
    await expect(model.open('nothing')).rejects.toThrow(FileError)
    for (const name of ['../x', '..', '/etc/passwd', '', 'inner/../../x']) {
      await expect(model.open(name)).rejects.toThrow('leads out')
      await expect(model.has(name)).rejects.toThrow('leads out')
    }
    await expect(openLocalFolder(join(folder, 'config.json'))).rejects.toThrow('not a folder')
    await expect(openLocalFolder(join(folder, 'nowhere'))).rejects.toThrow(FileError)
  })

  it('refuse text that is not UTF-8', async () => {
    await writeFile(join(folder, 'config.json'), Uint8Array.of(0xff, 0xfe))
    await expect((await openLocalFolder(folder)).text('config.json')).rejects.toThrow(FormatError)
  })
})

describe('atomic writing', () => {
  it('replaces, makes folders, leaves nothing behind', async () => {
    const path = join(folder, 'deep', 'er', 'file')
    await writeFileAtomically(path, 'first')
    await writeFileAtomically(path, Uint8Array.of(0x68, 0x69))
    expect(await readFile(path, 'utf8')).toBe('hi')
    expect(await readdir(join(folder, 'deep', 'er'))).toEqual(['file'])
  })

  it.runIf(existsSync('/proc/self'))('ends where the system takes no folders', async () => {
    const writing = writeFileAtomically('/proc/afterthought/er/file', 'x')
    await expect(writing).rejects.toThrow(FileError)
    await expect(writing).rejects.toThrow('/proc/afterthought: no folder can be made here')
  })

  it('refuses a file where a folder should be', async () => {
    await writeFile(join(folder, 'file'), 'old')
    await expect(writeFileAtomically(join(folder, 'file', 'deep', 'x'), 'x')).rejects.toThrow(FileError)
    expect(await readFile(join(folder, 'file'), 'utf8')).toBe('old')
  })

  it('makes the same folders twice at once', async () => {
    const paths = [1, 2, 3, 4].map((i) => join(folder, 'a', 'b', 'c', `${i}`))
    await Promise.all(paths.map((path) => writeFileAtomically(path, 'x')))
    expect(await readdir(join(folder, 'a', 'b', 'c'))).toEqual(['1', '2', '3', '4'])
  })

  it('keeps the old contents when it fails', async () => {
    const path = join(folder, 'taken')
    await mkdir(join(path, 'inside'), { recursive: true })
    const writing = writeFileAtomically(path, 'x')
    await expect(writing).rejects.toThrow(FileError)
    await expect(writing).rejects.not.toThrow('.tmp')
    expect((await stat(path)).isDirectory()).toBe(true)
    expect(await readdir(folder)).toEqual(['taken'])
  })
})
