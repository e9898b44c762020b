/** The page's side of the thinking thread. */

import type { BackendChoice, PlaygroundState } from './state.ts'
import type { ResultView } from './view.ts'

export type ToEngine =
  | { readonly kind: 'open'; readonly backend: BackendChoice; readonly site: string }
  | { readonly kind: 'think'; readonly id: number; readonly state: PlaygroundState }
  | { readonly kind: 'question'; readonly seed: number }

export type FromEngine =
  | { readonly kind: 'backend'; readonly name: string; readonly passed: readonly string[] }
  | { readonly kind: 'result'; readonly id: number; readonly result: ResultView }
  | { readonly kind: 'error'; readonly id: number; readonly message: string }
  | { readonly kind: 'question'; readonly question: string }

export class Engine {
  private readonly worker: Worker
  private count = 0

  /**
   * @param site address of the site
   * @param listen gets every message but those of questions that a newer one has replaced
   */
  constructor(backend: BackendChoice, site: string, listen: (message: FromEngine) => void) {
    this.worker = new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' })
    this.worker.onmessage = ({ data }: MessageEvent<FromEngine>) => {
      if (!('id' in data) || data.id === this.count) listen(data)
    }
    this.worker.onerror = (event) => {
      listen({ kind: 'error', id: this.count, message: event.message || 'the thinking thread did not start' })
    }
    this.send({ kind: 'open', backend, site })
  }

  think(state: PlaygroundState): void {
    this.count += 1
    this.send({ kind: 'think', id: this.count, state })
  }

  askForQuestion(seed: number): void {
    this.send({ kind: 'question', seed })
  }

  close(): void {
    this.worker.terminate()
  }

  private send(message: ToEngine): void {
    this.worker.postMessage(message)
  }
}
