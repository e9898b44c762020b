/** The stored optimiser trajectories (`train_traj.json`), replayed on a backend. */

import { existsSync, readFileSync } from 'node:fs'
import type { Backend, HostTensor } from '@afterthought/core'
import { goldenTensor } from '@afterthought/core/testing'
import { initialState, type Report, Trainer } from '@afterthought/train'
import { type ToySize, type ToyTask, toyObjective } from './toy.ts'

const file = new URL('../../../../shared/goldens/train_traj.json', import.meta.url)
export const hasTrajectories: boolean = existsSync(file)

export const modes = ['codi', 'pccot', 'kava'] as const
export type Mode = (typeof modes)[number]

const trajectorySize: ToySize = { vocabulary: 9, width: 8, heads: 2, layers: 2, positions: 16 }
const trajectoryTask: ToyTask = { markers: [5, 6, 7, 8], thoughts: 3 }

interface Stored {
  readonly 'trace[ce_student,ce_teacher,kd,kv,total]': readonly (readonly number[])[]
  readonly gradnorm_step0: Readonly<Record<string, number>>
}

const integers = (rows: readonly (readonly number[])[]): HostTensor => ({
  shape: [rows.length, rows[0]!.length],
  dtype: 'i32',
  data: Int32Array.from(rows.flat()),
})

function stored(): {
  readonly weights: Map<string, HostTensor>
  readonly batch: { readonly q: HostTensor; readonly chain: HostTensor }
  readonly expected: Readonly<Record<Mode, Stored>>
} {
  const golden = JSON.parse(readFileSync(file, 'utf8'))
  const weights = new Map(Object.keys(golden.init).map((name) => [name, goldenTensor(golden.init, name)]))
  return { weights, batch: { q: integers(golden.q), chain: integers(golden.chain) }, expected: golden }
}

/** Largest error of each row of losses, before the first step to after the fifth. */
export async function trajectoryErrors(backend: Backend, mode: Mode): Promise<number[]> {
  const { weights, batch, expected } = stored()
  const trainer = new Trainer(backend, initialState(weights), { decay: 0.01 })
  const objective = toyObjective(mode, trajectorySize, trajectoryTask)
  const rows: Report[] = []
  for (let i = 0; i < 5; i++) rows.push(await trainer.step(objective, [batch], 1e-2))
  rows.push(await trainer.evaluate(objective, batch))
  await trainer.dispose()
  return rows.map(({ student, teacher, kd, kv, loss }, i) => {
    const trace = expected[mode]['trace[ce_student,ce_teacher,kd,kv,total]'][i]!
    return Math.max(...[student, teacher, kd, kv, loss].map((value, j) => Math.abs(value! - trace[j]!)))
  })
}

/**
 * Largest error of the gradients' norms beyond 1e-4, relative to them. AdamW's first moment after one step is a tenth of
 * the gradient.
 */
export async function gradientErrors(backend: Backend, mode: Mode): Promise<Map<string, number>> {
  const { weights, batch, expected } = stored()
  const trainer = new Trainer(backend, initialState(weights))
  await trainer.step(toyObjective(mode, trajectorySize, trajectoryTask), [batch], 0)
  const state = await trainer.download()
  await trainer.dispose()
  return new Map(
    Object.entries(expected[mode].gradnorm_step0).map(([name, norm]) => {
      const gradient = Math.hypot(...state.get(`first:${name}`)!.data) / (1 - 0.9)
      return [name, Math.max(0, Math.abs(gradient - norm) - 1e-4) / norm]
    }),
  )
}
