/**
 * Weights inside the model, for browsers: there is no file to map, and models that fit a page are small. Every program
 * carries its own copy, so this is for megabytes, not for hundreds of them.
 */

import type { Graph, HostArray, Parameter } from '@afterthought/core'
import { weightUses } from '../convert/convert.ts'
import { bytesOf } from '../convert/emitter.ts'
import { parameterFor } from './parameter.ts'
import type { BoundWeights } from './store.ts'

export class InlineWeights {
  /** Contents by identity: models of one page share their reads. */
  private readonly contents = new Map<string, Promise<HostArray>>()

  /** @throws ShapeError naming a missing or mis-shaped weight, and what reading throws */
  async bind(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<BoundWeights> {
    const uses = weightUses(graph)
    const bytes = new Map<string, Uint8Array>()
    for (const { name, value } of graph.parameters) {
      if (uses.has(name)) bytes.set(name, bytesOf(await this.read(parameterFor(parameters, name, value, graph.name))))
    }
    return {
      weight: (name) => ({ form: 'inline', bytes: bytes.get(name)! }),
      root: '',
      verified: Promise.resolve(),
    }
  }

  async dispose(): Promise<void> {
    this.contents.clear()
  }

  private read(parameter: Parameter): Promise<HostArray> {
    const { identity } = parameter
    const contents = this.contents.get(identity) ?? parameter.read()
    this.contents.set(identity, contents)
    // What could not be read is asked for again the next time.
    contents.catch(() => this.contents.delete(identity))
    return contents
  }
}
