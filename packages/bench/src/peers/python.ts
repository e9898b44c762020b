/**
 * Peers in Python: a process that loads the model once and answers one line of JSON per run (peers/serve.py).
 *
 * Their packages live in a virtual environment outside any project, `$AFTERTHOUGHT_PEERS` or a folder of the user's cache;
 * nothing is installed unless somebody does it.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { BackendError } from '@afterthought/core'
import type { Contender, Peer, Run, Workload } from '../contender.ts'
import { cacheFolder } from '../folders.ts'

/** `peers/` of the package, from the source and from the build. */
const scripts = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../peers/' : '../peers/', import.meta.url))

/** A peer that is a script of `peers/`. */
export function pythonPeer(script: string, summary: string): Peer {
  return {
    summary,
    missing: () => (existsSync(interpreter()) ? undefined : installCommand()),
    open: (folder, threads) => PythonContender.start(script, folder, threads),
  }
}

function environmentFolder(): string {
  return process.env.AFTERTHOUGHT_PEERS || cacheFolder('peers')
}

function interpreter(): string {
  const parts = process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']
  return join(environmentFolder(), ...parts)
}

function installCommand(): string {
  const requirements = relative(process.cwd(), join(scripts, 'requirements.txt'))
  return `python3 -m venv "${environmentFolder()}" && "${interpreter()}" -m pip install -r "${requirements}"`
}

/** What the process says after it has loaded the model. */
interface Ready {
  readonly versions: Readonly<Record<string, string>>
}

class PythonContender implements Contender {
  readonly versions: Readonly<Record<string, string>>
  private readonly process: ChildProcess
  private readonly lines: AsyncIterator<string>
  private readonly complaints: () => string

  private constructor(process: ChildProcess, lines: AsyncIterator<string>, complaints: () => string, ready: Ready) {
    this.process = process
    this.lines = lines
    this.complaints = complaints
    this.versions = ready.versions
  }

  static async start(script: string, folder: string, threads: number): Promise<PythonContender> {
    const child = spawn(interpreter(), [join(scripts, script), folder, '--threads', `${threads}`], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, OMP_NUM_THREADS: `${threads}`, PYTHONDONTWRITEBYTECODE: '1' },
    })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-4000)
    })
    child.on('error', ({ message }) => {
      stderr += message
    })
    // A process that has ended says why on stderr; the failed write would only hide it.
    child.stdin.on('error', () => undefined)
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const complaints = (): string => stderr.trim().split('\n').slice(-3).join(' | ')
    try {
      return new PythonContender(child, lines, complaints, await nextMessage<Ready>(lines, script, complaints))
    } catch (error) {
      child.kill()
      throw error
    }
  }

  async run(workload: Workload): Promise<Run> {
    this.process.stdin!.write(`${JSON.stringify(workload)}\n`)
    return nextMessage<Run>(this.lines, 'the Python peer', this.complaints)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.stdin!.end()
    this.process.kill()
  }
}

async function nextMessage<Message>(
  lines: AsyncIterator<string>,
  where: string,
  complaints: () => string,
): Promise<Message> {
  const { value, done } = await lines.next()
  if (done) {
    throw new BackendError('the peer ended', {
      where,
      actual: complaints(),
      hint: `Install it anew: ${installCommand()}`,
    })
  }
  return JSON.parse(value) as Message
}
