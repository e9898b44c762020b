/** What every chapter of cases is made of. */

import type { HostTensor } from '../../src/tensor/types.ts'
import type { OpCall, Precision, Trial } from '../trial.ts'
import { programOf } from '../trial.ts'

export interface Case {
  readonly name: string
  run(trial: Trial): Promise<void>
}

/** Calls whose results must agree with the reference. Operands are drawn when the case runs. */
export function agreement(name: string, precision: Precision, calls: () => readonly OpCall[]): Case {
  return {
    name,
    async run(trial) {
      const { graph, inputs, weights } = programOf(name, calls())
      await trial.agree(graph, precision, inputs, weights)
    },
  }
}

export interface Fact {
  readonly call: OpCall
  readonly results: readonly HostTensor[]
}

/** Calls with written-out results: what the reference itself is held against. */
export function facts(name: string, precision: Precision, list: readonly Fact[]): Case {
  return {
    name,
    async run(trial) {
      const { graph, inputs, weights } = programOf(
        name,
        list.map(({ call }) => call),
      )
      const actual = await trial.results(graph, inputs, weights)
      const expected = list.flatMap(({ results }) => results)
      graph.outputs.forEach(({ name: output }, i) => {
        trial.expect(actual[output]!, expected[i]!, precision, `${name}: ${output}`)
      })
    },
  }
}

/** Just beyond the 65,535 workgroups that one axis of a GPU's dispatch may have (WebGPU's default limit). */
export const MANY = 65_539

/** Beyond 65,535 workgroups of 64 threads. */
export const MANY_TIMES_64: number = 65_539 * 64 + 3
