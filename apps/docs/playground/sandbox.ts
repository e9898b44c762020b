/** The page's side of the sandbox: one thread per run, ended by the next run, by a button or by a time limit. */

export interface ToSandbox {
  readonly code: string
  /** Address of the site: `site` in the code. */
  readonly site: string
}

export type FromSandbox =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'end'; readonly error?: string }

const MOST_SECONDS = 60

/** Runs `code` until it ends; the result stops it. */
export function runCode(code: string, site: string, listen: (message: FromSandbox) => void): () => void {
  const worker = new Worker(new URL('./sandbox.worker.ts', import.meta.url), { type: 'module' })
  const finish = (error?: string): void => {
    clearTimeout(timer)
    worker.terminate()
    listen({ kind: 'end', ...(error !== undefined && { error }) })
  }
  const timer = setTimeout(() => finish(`stopped after ${MOST_SECONDS} seconds`), 1000 * MOST_SECONDS)
  worker.onmessage = ({ data }: MessageEvent<FromSandbox>) => {
    if (data.kind === 'end') finish(data.error)
    else listen(data)
  }
  worker.onerror = (event) => finish(event.message)
  worker.postMessage({ code, site } satisfies ToSandbox)
  return () => finish('stopped')
}
