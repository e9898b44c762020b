/**
 * The thread that thinks, so that the page never waits. A newer question ends the work on an older one.
 */

import { type OpenedBackend, openBackend } from './backends.ts'
import type { FromEngine, ToEngine } from './engine.ts'
import { newQuestion, type ReadModelFile, Thinker } from './thinking.ts'

let opened: Promise<{ readonly thinker: Thinker; readonly opened: OpenedBackend }> | undefined
let current = new AbortController()

const tell = (message: FromEngine): void => self.postMessage(message)

self.onmessage = async ({ data: message }: MessageEvent<ToEngine>) => {
  if (message.kind === 'open') {
    opened = openBackend(message.backend).then((backend) => ({
      thinker: new Thinker(backend.backend, modelFiles(message.site)),
      opened: backend,
    }))
    return
  }
  if (message.kind === 'question') {
    tell({ kind: 'question', question: newQuestion(message.seed) })
    return
  }
  current.abort()
  const mine = new AbortController()
  current = mine
  try {
    const { thinker, opened: backend } = await opened!
    tell({ kind: 'backend', name: backend.backend.name, passed: backend.passed })
    // Backends may compute without a pause: let a message that has come meanwhile be the newest first.
    await new Promise((resolve) => setTimeout(resolve))
    if (mine.signal.aborted) return
    const result = await thinker.think(message.state, mine.signal)
    if (!mine.signal.aborted) tell({ kind: 'result', id: message.id, result })
  } catch (error) {
    if (!mine.signal.aborted) tell({ kind: 'error', id: message.id, message: (error as Error).message })
  }
}

/** @throws Error naming the file that the site does not give */
function modelFiles(site: string): ReadModelFile {
  return async (path) => {
    const response = await fetch(`${site}models/prosqa/${path}`)
    if (!response.ok) throw new Error(`models/prosqa/${path}: ${response.status} ${response.statusText}`)
    return new Uint8Array(await response.arrayBuffer())
  }
}
