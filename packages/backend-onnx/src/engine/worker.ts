/** The thread that an engine works in: calls come as messages, and each is answered by one. */

import { parentPort } from 'node:worker_threads'
import { type Call, packError, type Reply } from './protocol.ts'
import { createEngine } from './runtime.ts'

const port = parentPort!
// Loaded once; if that fails, every call answers with the reason.
const engine = createEngine()
engine.catch(() => undefined)

port.on('message', async ({ call, method, operands }: Call) => {
  try {
    const target = await engine
    const value = await (target[method] as (...operands: readonly unknown[]) => Promise<Reply['value']>)(...operands)
    port.postMessage({ call, value } satisfies Reply, ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : [])
  } catch (error) {
    port.postMessage({ call, error: packError(error) } satisfies Reply)
  }
})
