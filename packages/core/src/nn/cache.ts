/**
 * The KV cache inside a trace, and the masks and positions that follow from it.
 *
 * Three forms with one meaning. A *fixed* cache has its full capacity from the start and grows by declared aliases: the
 * stepped plan replays one graph over it. A *growing* cache has exactly the rows written so far, by concatenation: the
 * trajectory plan unrolls a whole rollout over it with static shapes. A *prompted* cache grows behind a prompt that it
 * never copies: training unrolls over it, and the backward pass writes the gradient of the prompt's keys only once.
 *
 * Prompts are left-padded, so that in every row the latent steps and the decoded tokens stand in the same columns. A row's
 * first real slot is `start`; every mask and every position, latent steps included, is derived from it.
 */

import * as F from '../tensor/functional.ts'
import type { Tensor } from '../tensor/graph.ts'
import { constant } from '../tensor/trace.ts'

/** Keys (after q/k-norm and rotation) and values of one layer: [B, KV, S, d] each. */
export interface KeyValues {
  readonly k: Tensor
  readonly v: Tensor
}

export interface TracedCache {
  /** Slots written so far: a number where it is known while tracing, an i32 scalar otherwise. */
  readonly length: number | Tensor
  /** Past rows per layer; none before the first append. A fixed cache also holds rows beyond `length`. */
  readonly past: readonly KeyValues[] | undefined
  /** Rows of a prompted cache that were written behind `past`, per layer. */
  readonly recent?: readonly KeyValues[]
  /** First real slot of each row [B] i32. */
  readonly start: Tensor
  /** Of rows that do not simply follow each other: their positions [B, T] i32, and what they see, bool [B, 1, T, S + R + T]. */
  readonly layout?: { positions(rows: number): Tensor; visible(rows: number): Tensor }
  /** The cache with the first `count` of the given new rows written behind the old ones. */
  append(fresh: readonly KeyValues[], count: number): TracedCache
}

const SEQUENCE = 2

const firstRows = ({ k, v }: KeyValues, count: number): KeyValues => ({
  k: F.narrow(k, SEQUENCE, 0, count),
  v: F.narrow(v, SEQUENCE, 0, count),
})

const joinRows = (a: KeyValues | undefined, b: KeyValues): KeyValues =>
  a ? { k: F.concat([a.k, b.k], SEQUENCE), v: F.concat([a.v, b.v], SEQUENCE) } : b

const rowsOf = (parts: readonly KeyValues[] | undefined): number => parts?.[0]?.k.shape[SEQUENCE] ?? 0

/** A cache that holds exactly what was written. */
export function growingCache(start: Tensor, past?: readonly KeyValues[]): TracedCache {
  return {
    length: rowsOf(past),
    past,
    start,
    append: (fresh, count) =>
      growingCache(
        start,
        fresh.map((rows, layer) => joinRows(past?.[layer], firstRows(rows, count))),
      ),
  }
}

/** A growing cache whose first rows, the prompt, stay as they are; with `recent` ([] at first) alone there is no prompt. */
export function promptedCache(start: Tensor, past?: readonly KeyValues[], recent?: readonly KeyValues[]): TracedCache {
  return {
    length: rowsOf(past) + rowsOf(recent),
    past,
    ...(recent && { recent }),
    start,
    append(fresh, count) {
      const kept = fresh.map((rows) => firstRows(rows, count))
      if (!past && !recent) return promptedCache(start, kept)
      const joined = kept.map((rows, layer) => joinRows(recent?.[layer], rows))
      return promptedCache(start, past, joined)
    },
  }
}

/**
 * New rows attend to `past`, to the rows written since, and to themselves. q [B, H, T, d], fresh [B, KV, T, d] →
 * [B, H, T, d]. With `lastOnly`, behind nothing and where nothing else of a layer is wanted, the last row alone does:
 * [B, H, 1, d]; the rows before it are what lies behind it.
 */
export function attend(
  cache: TracedCache,
  layer: number,
  q: Tensor,
  fresh: KeyValues,
  bias: Tensor,
  lastOnly: boolean,
): Tensor {
  const [, , rows, headDim] = q.shape as [number, number, number, number]
  const scale = headDim ** -0.5
  if (!lastOnly) {
    const { k, v } = joinRows(cache.recent?.[layer], fresh)
    return F.attention(q, k, v, bias, scale, cache.past?.[layer])
  }
  const last = (x: Tensor): Tensor => F.narrow(x, SEQUENCE, rows - 1, rows)
  return F.attention(last(q), last(fresh.k), last(fresh.v), last(bias), scale, firstRows(fresh, rows - 1))
}

/** A cache whose slots exist from the start. */
export interface FixedCache extends TracedCache {
  readonly storage: readonly KeyValues[]
}

/** A cache of full capacity [B, KV, S, d] of which the first `length` slots count. `empty`: nothing to attend to yet. */
export function fixedCache(
  start: Tensor,
  storage: readonly KeyValues[],
  length: number | Tensor,
  empty = false,
): FixedCache {
  return {
    length,
    past: empty ? undefined : storage,
    start,
    storage,
    append(fresh, count) {
      const at = typeof length === 'number' ? constant(length, [], 'i32') : length
      const written = storage.map((slots, layer) => {
        const kept = firstRows(fresh[layer]!, count)
        return { k: F.updateSlice(slots.k, kept.k, at, SEQUENCE), v: F.updateSlice(slots.v, kept.v, at, SEQUENCE) }
      })
      return fixedCache(start, written, typeof length === 'number' ? length + count : F.add(length, count))
    },
  }
}

/** Slot numbers of `rows` new rows: [T] i32. */
function freshSlots(length: number | Tensor, rows: number): Tensor {
  return F.add(F.iota(rows), typeof length === 'number' ? constant(length, [], 'i32') : length)
}

/** Position of each new row: real tokens before it, 0 on padding. [B, T] i32. */
export function positionsOf(cache: TracedCache, rows: number): Tensor {
  if (cache.layout) return cache.layout.positions(rows)
  const start = F.reshape(cache.start, [cache.start.shape[0]!, 1])
  return F.maximum(F.sub(F.reshape(freshSlots(cache.length, rows), [1, rows]), start), 0)
}

/** Smallest finite f32: a row without any visible key then averages its keys instead of turning NaN. */
const MASKED = -3.4028234663852886e38

/** What `rows` new rows may attend to: additive, 0 or the smallest finite f32. [B, 1, T, S + R + T] with R recent rows. */
export function attentionBias(cache: TracedCache, rows: number): Tensor {
  if (cache.layout) return F.where(cache.layout.visible(rows), 0, MASKED)
  const batch = cache.start.shape[0]!
  const start = F.reshape(cache.start, [batch, 1, 1, 1])
  const slots = freshSlots(cache.length, rows)
  const columns = F.reshape(slots, [1, 1, 1, rows])
  const causal = F.lessEqual(columns, F.reshape(slots, [1, 1, rows, 1])) // [1, 1, T, T]
  const parts = [F.and(causal, F.lessEqual(start, columns))]
  const behind = rowsOf(cache.recent)
  if (behind > 0) {
    const written = F.reshape(F.add(F.iota(behind), rowsOf(cache.past)), [1, 1, 1, behind])
    parts.unshift(F.broadcastTo(F.lessEqual(start, written), [batch, 1, rows, behind])) // [B, 1, T, R]
  }
  if (cache.past) {
    const capacity = cache.past[0]!.k.shape[SEQUENCE]!
    const past = F.reshape(F.iota(capacity), [1, 1, 1, capacity])
    const written = F.less(past, typeof cache.length === 'number' ? constant(cache.length, [], 'i32') : cache.length)
    const visible = F.and(written, F.lessEqual(start, past)) // [B, 1, 1, S]
    parts.unshift(F.broadcastTo(visible, [batch, 1, rows, capacity]))
  }
  return F.where(F.concat(parts, 3), 0, MASKED)
}
