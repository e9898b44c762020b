/** A backend that lets its host breathe: the interpreter computes in the caller's thread and never gives it up by itself. */

import { type Backend, derivedBackend } from '../backend.ts'

/**
 * `backend`, giving up the thread before every run, so that an interrupt, a progress bar or a newer question gets its turn.
 *
 * @param turn resolves in a later turn of the host's event loop: a matter of the runtime, which core does not know
 */
export function responsive(backend: Backend, turn: () => Promise<unknown>): Backend {
  return derivedBackend(backend, {
    async compile(graph, parameters) {
      const executable = await backend.compile(graph, parameters)
      return {
        dispose: () => executable.dispose(),
        async run(inputs) {
          await turn()
          return executable.run(inputs)
        },
      }
    },
  })
}
