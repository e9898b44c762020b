/** Runs a suite and reports what it measured, on what. */

import { availableParallelism } from 'node:os'
import { ArgumentError } from '@afterthought/core'
import { describeMachine, type Machine } from './machine.ts'
import { peers } from './peers/index.ts'
import type { Row } from './report.ts'
import { decode } from './suites/decode.ts'
import type { Suite } from './suites/suite.ts'
import { train } from './suites/train.ts'
import { trajectory } from './suites/trajectory.ts'
import { webgpuSuite } from './suites/webgpu.ts'

export const suites: Readonly<Record<string, Suite>> = { trajectory, decode, train, webgpu: webgpuSuite }

export interface BenchOptions {
  /** Peers to compare with. Default: all that the suite has. */
  readonly peers?: readonly string[]
  /** Threads of every contender. Default 2, or 1 on a machine without a second. */
  readonly threads?: number
  /** Of random weights and prompts. Default 0. */
  readonly seed?: number
  /** `quick` takes tiny shapes and few repetitions, to see that everything works. Default `full`. */
  readonly profile?: 'full' | 'quick'
  /** A model folder, for suites that take one. */
  readonly model?: string
  /** Seconds per row to wait for a quiet machine and to repeat disturbed runs. Default 20. */
  readonly patience?: number
  /** Gets a line at each step, and each row when it is measured. */
  readonly onProgress?: (line: string) => void
  readonly onRow?: (row: Row) => void
  readonly signal?: AbortSignal
}

export interface BenchReport {
  readonly suite: string
  readonly machine: Machine
  readonly rows: readonly Row[]
}

/**
 * Measures.
 *
 * @throws ArgumentError for an unknown suite or peer; what loading and running models throws
 */
export async function runBench(name: string, options: BenchOptions = {}): Promise<BenchReport> {
  const suite = entryOf(suites, name, 'suite')
  const { threads = Math.min(2, availableParallelism()), seed = 0, profile = 'full', patience = 20 } = options
  const versions = new Map<string, string>()
  const rows: Row[] = []
  const chosen = options.peers ?? suite.peers
  const context = {
    threads,
    seed,
    profile,
    model: options.model,
    peers: new Map(
      chosen.map((peer) => {
        if (!suite.peers.includes(peer)) throw unknownName('peer', peer, suite.peers)
        return [peer, peers[peer]!]
      }),
    ),
    repetition:
      profile === 'full'
        ? { pairs: 7, patience, signal: options.signal }
        : { pairs: 2, patience: 0, signal: options.signal },
    tell: options.onProgress ?? (() => undefined),
    versions,
  }
  for await (const row of suite.run(context)) {
    rows.push(row)
    options.onRow?.(row)
  }
  return { suite: name, machine: describeMachine(threads, Object.fromEntries(versions)), rows }
}

function entryOf<Entry>(table: Readonly<Record<string, Entry>>, name: string, kind: string): Entry {
  if (!Object.hasOwn(table, name)) throw unknownName(kind, name, Object.keys(table))
  return table[name]!
}

function unknownName(kind: string, actual: string, known: readonly string[]): ArgumentError {
  return new ArgumentError(`unknown ${kind}`, { where: 'bench', expected: known.join(', '), actual })
}
