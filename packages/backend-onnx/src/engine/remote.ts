/**
 * An engine in a worker thread, so that the caller's event loop lives while ONNX Runtime computes: every one of its calls
 * blocks the thread it is made from.
 *
 * Messages keep their order, which is the order of the work. The thread holds the process open only while a call is under
 * way. If it dies, that call and all later ones fail.
 */

import { Worker } from 'node:worker_threads'
import { BackendError, DisposedError, type HostArray, type HostTensor } from '@afterthought/core'
import {
  type Call,
  type Engine,
  type Program,
  type Provider,
  type Reply,
  type RunRequest,
  unpackError,
} from './protocol.ts'

interface Waiting {
  resolve(value: Reply['value']): void
  reject(error: Error): void
}

/** Starts the thread. Whether ONNX Runtime is there shows at the first call. */
export function createRemoteEngine(): Engine {
  return new RemoteEngine(startWorker())
}

/** The built program's own entry; in a checkout the source, once the thread can read TypeScript. */
function startWorker(): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url))
  const [typescript, source] = [import.meta.resolve('tsx/esm/api'), new URL('./worker.ts', import.meta.url).href]
  const program = `import { register } from '${typescript}'; register(); await import('${source}')`
  const execArgv = ['--conditions=@afterthought/source']
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`), { execArgv })
}

export class RemoteEngine implements Engine {
  private readonly worker: Worker
  private readonly waiting = new Map<number, Waiting>()
  private count = 0
  private ended: Error | undefined

  constructor(worker: Worker) {
    this.worker = worker
    worker.unref()
    worker.on('message', (reply: Reply) => this.receive(reply))
    worker.on('error', (cause) => this.end(`the ONNX Runtime thread failed: ${(cause as Error).message}`, cause))
    worker.on('exit', (code) => this.end(`the ONNX Runtime thread ended with code ${code}`))
  }

  async upload(id: number, tensor: HostTensor): Promise<void> {
    await this.call('upload', [id, tensor], tensor.data)
  }

  async download(id: number): Promise<HostArray> {
    return (await this.call('download', [id])) as HostArray
  }

  async free(ids: readonly number[]): Promise<void> {
    await this.call('free', [ids])
  }

  async compile(id: number, program: Program): Promise<void> {
    await this.call('compile', [id, program], program.model)
  }

  async run(request: RunRequest): Promise<void> {
    await this.call('run', [request])
  }

  async release(id: number): Promise<void> {
    await this.call('release', [id])
  }

  async tryProvider(provider: Provider): Promise<string | undefined> {
    return (await this.call('tryProvider', [provider])) as string | undefined
  }

  async close(): Promise<void> {
    if (this.ended) return
    await this.call('close', []).catch(() => undefined)
    this.ended = new DisposedError('the backend has been disposed of', { where: 'onnx' })
    await this.worker.terminate()
  }

  /** @param moved the operands' data, which changes hands without a copy */
  private call(method: keyof Engine, operands: readonly unknown[], moved?: ArrayBufferView): Promise<Reply['value']> {
    if (this.ended) return Promise.reject(this.ended)
    const call = this.count++
    if (this.waiting.size === 0) this.worker.ref()
    return new Promise((resolve, reject) => {
      this.waiting.set(call, { resolve, reject })
      this.worker.postMessage({ call, method, operands } satisfies Call, moved ? [moved.buffer as ArrayBuffer] : [])
    })
  }

  private receive({ call, value, error }: Reply): void {
    const { resolve, reject } = this.waiting.get(call)!
    this.waiting.delete(call)
    if (this.waiting.size === 0) this.worker.unref()
    if (error) reject(unpackError(error))
    else resolve(value)
  }

  private end(message: string, cause?: unknown): void {
    this.ended ??= new BackendError(message, { where: 'onnx', cause, hint: 'Open the backend again' })
    for (const { reject } of this.waiting.values()) reject(this.ended)
    this.waiting.clear()
  }
}
