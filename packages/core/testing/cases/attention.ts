/** Attention and rotary embedding: grouped heads, odd extents, caches of every length, left padding. */

import type { HostTensor } from '../../src/tensor/types.ts'
import { RandomTensors } from '../tensors.ts'
import type { OpCall } from '../trial.ts'
import { call } from '../trial.ts'
import type { Case } from './case.ts'
import { agreement, MANY } from './case.ts'

/** Smallest finite f32: what models add to scores that do not count. */
const MASKED = -3.4028234663852886e38

interface Layout {
  readonly batch: number
  readonly heads: number
  readonly groups: number
  readonly rows: number
  readonly width: number
  /** Capacity of the cache, and how many of its slots count. None: no cache. */
  readonly past?: readonly [capacity: number, written: number]
  /** Keys between the cache and the rows' own: thoughts that a trained rollout has written. Default: none. */
  readonly recent?: number
  /** Padding slots at the start of each row of the batch. Default: none. */
  readonly padding?: readonly number[]
  /** One mask for the whole batch. */
  readonly sharedBias?: boolean
}

/** Slot numbers as the decoder counts them: written slots of the cache, then the new rows. */
function maskOf({ batch, rows, past = [0, 0], recent = 0, padding = [], sharedBias = false }: Layout): HostTensor {
  const [capacity, written] = past
  const columns = capacity + recent + rows
  const masks = sharedBias ? 1 : batch
  const data = new Float32Array(masks * rows * columns).fill(MASKED)
  for (let b = 0; b < masks; b++) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const slot = column < capacity ? column : written + column - capacity
        const exists = column >= capacity || column < written
        if (exists && slot >= (padding[b] ?? 0) && slot <= written + recent + row)
          data[(b * rows + row) * columns + column] = 0
      }
    }
  }
  return { shape: [masks, 1, rows, columns], dtype: 'f32', data }
}

function attend(random: RandomTensors, layout: Layout): OpCall {
  const { batch, heads, groups, rows, width, past, recent = 0 } = layout
  const q = random.normal([batch, heads, rows, width])
  const fresh = [0, 1].map(() => random.normal([batch, groups, recent + rows, width]))
  const cache = past ? [0, 1].map(() => random.normal([batch, groups, past[0], width])) : []
  return call('attention', [q, ...fresh, maskOf(layout), ...cache], { scale: width ** -0.5 })
}

const attention = (name: string, layouts: readonly Layout[]): Case =>
  agreement(`attention: ${name}`, 'accumulated', () => {
    const random = new RandomTensors(61)
    return layouts.map((layout) => attend(random, layout))
  })

const base: Layout = { batch: 1, heads: 2, groups: 2, rows: 3, width: 8 }

function rotate(random: RandomTensors, batch: number, heads: number, rows: number, width: number): OpCall {
  const table = (): HostTensor => random.uniform([batch, rows, width / 2], -1, 1)
  return call('rotary', [random.normal([batch, heads, rows, width]), table(), table()], {})
}

export const attentionCases: readonly Case[] = [
  attention('without a cache, one to many rows', [
    { ...base, rows: 1 },
    { ...base, rows: 2 },
    base,
    { ...base, rows: 7, batch: 3 },
    { ...base, rows: 33, width: 64 },
  ]),
  attention('head widths', [
    { ...base, width: 1 },
    { ...base, width: 5 },
    { ...base, width: 64 },
    { ...base, width: 80 },
    { ...base, width: 128, heads: 1, groups: 1 },
  ]),
  attention('grouped heads', [
    { ...base, heads: 4, groups: 2 },
    { ...base, heads: 6, groups: 1, rows: 5 },
    { ...base, heads: 9, groups: 3, rows: 1, batch: 2 },
    { ...base, heads: 8, groups: 2, rows: 2, past: [13, 6] },
  ]),
  attention('a cache, full, partly written, barely', [
    { ...base, past: [1, 1] },
    { ...base, past: [5, 5] },
    { ...base, past: [31, 7] },
    { ...base, past: [64, 1], rows: 1 },
    { ...base, past: [127, 126], rows: 1, heads: 4, groups: 2, width: 16 },
    { ...base, past: [33, 20], rows: 2, batch: 2 },
  ]),
  attention('keys between the cache and the rows', [
    { ...base, recent: 1, past: [7, 7] },
    { ...base, recent: 5, past: [13, 13], rows: 1, batch: 2, heads: 4, groups: 2, padding: [3, 0] },
  ]),
  attention('left padding', [
    { ...base, batch: 2, padding: [0, 2] },
    { ...base, batch: 3, past: [13, 6], padding: [5, 0, 3] },
    { ...base, batch: 2, rows: 1, past: [13, 6], padding: [6, 0], heads: 4, groups: 1 },
  ]),
  attention('one mask for all rows of the batch', [
    { ...base, batch: 3, sharedBias: true },
    { ...base, batch: 2, past: [7, 3], sharedBias: true },
  ]),
  attention('a long cache', [{ ...base, rows: 1, past: [1021, 1000], width: 16 }]),
  attention('more than 65,535 heads in all', [{ ...base, batch: MANY, heads: 1, groups: 1, rows: 1, width: 64 }]),
  agreement('rotary: extents', 'pointwise', () => {
    const random = new RandomTensors(62)
    return [
      rotate(random, 1, 1, 1, 2),
      rotate(random, 1, 3, 5, 6),
      rotate(random, 2, 4, 7, 64),
      rotate(random, 3, 1, 13, 10),
      rotate(random, 1, 2, 1, 128),
      rotate(random, 1, 1, MANY, 64),
    ]
  }),
]
