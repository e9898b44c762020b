/** Puzzles as batches: rows padded on the left to one of a few lengths, and what each objective is taught. */

import { CapacityError, type HostTensor, type Shape, sizeOf } from '@afterthought/core'
import { prosqaTokens, type Random } from '@afterthought/core/data'
import { MOST_HOPS, type Puzzle, type Supervision, shortestPath, supervisedLevels } from './puzzles.ts'
import type { Batch } from './step.ts'

const integers = (shape: Shape, data: Iterable<number>): HostTensor => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from(data),
})

/** Rows of ids [B, P] with `start` [B], the columns of padding before each. */
export function paddedRows(rows: readonly (readonly number[])[], length: number, pad: number): Batch {
  const data = new Int32Array(rows.length * length).fill(pad)
  rows.forEach((row, b) => data.set(row, (b + 1) * length - row.length))
  return {
    ids: { shape: [rows.length, length], dtype: 'i32', data },
    start: integers(
      [rows.length],
      rows.map((row) => length - row.length),
    ),
  }
}

/** The least of `lengths` that holds `needed` columns. @throws CapacityError */
export function lengthFor(needed: number, lengths: readonly number[]): number {
  const length = lengths.find((candidate) => candidate >= needed)
  if (length !== undefined) return length
  throw new CapacityError('a row is longer than any batch', {
    where: 'training batch',
    expected: `at most ${lengths.at(-1)} tokens`,
    actual: `${needed}`,
  })
}

const promptRows = (puzzles: readonly Puzzle[], lengths: readonly number[]): Batch => {
  const rows = puzzles.map(({ promptIds }) => promptIds)
  return paddedRows(rows, lengthFor(Math.max(...rows.map((row) => row.length)), lengths), prosqaTokens.eos)
}

/** Sets of tokens as rows of 0 and 1: [B, N, V]. */
function tokenSets(sets: readonly (readonly (readonly number[])[])[], rows: number, vocabulary: number): HostTensor {
  const shape = [sets.length, rows, vocabulary]
  const data = new Float32Array(sizeOf(shape))
  sets.forEach((levels, b) =>
    levels.forEach((tokens, t) => {
      for (const token of tokens) data[(b * rows + t) * vocabulary + token] = 1
    }),
  )
  return { shape, dtype: 'f32', data }
}

/** For `thoughtObjective`: what each thought is taught, the answer, and how deep it lies. */
export function thoughtBatch(
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  vocabulary: number,
  supervision: Supervision,
): Batch {
  const sets = puzzles.map((puzzle) =>
    supervisedLevels(puzzle, supervision).map((level) => level.map((node) => puzzle.symbols[node]!)),
  )
  return {
    ...promptRows(puzzles, lengths),
    sets: tokenSets(sets, MOST_HOPS, vocabulary),
    hops: integers(
      [puzzles.length],
      puzzles.map(({ hops }) => hops),
    ),
    answers: integers(
      [puzzles.length],
      puzzles.map(({ symbols, target }) => symbols[target]!),
    ),
  }
}

/**
 * For `queryObjective`: `count` queries a row, each the mean of one to `superposed` nodes' embeddings and taught the
 * union of their children; the prompt's own last token, the person, is the first query of all.
 */
export function queryBatch(
  random: Random,
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  vocabulary: number,
  { count, superposed }: { readonly count: number; readonly superposed: number },
): Batch {
  const mix = new Float32Array(puzzles.length * count * vocabulary)
  const sets = puzzles.map(({ symbols, children, edges, root }, b) => {
    const nodes = [...new Set(edges.flat())]
    const childrenOf = (asked: readonly number[]): number[] =>
      asked.flatMap((node) => children[node]!.map((child) => symbols[child]!))
    const queries = Array.from({ length: count }, (_, q) => {
      const asked = Array.from({ length: 1 + random.integer(superposed) }, () => random.choice(nodes))
      for (const node of asked) mix[(b * count + q) * vocabulary + symbols[node]!]! += 1 / asked.length
      return childrenOf(asked)
    })
    return [childrenOf([root]), ...queries]
  })
  return {
    ...promptRows(puzzles, lengths),
    mix: { shape: [puzzles.length, count, vocabulary], dtype: 'f32', data: mix },
    sets: tokenSets(sets, count + 1, vocabulary),
  }
}

/**
 * Prompt, chain without its first `skip` facts, `[A]`, answer, end, and labels from the chain on: chain of thought in
 * tokens, its curriculum without thoughts, and the answer alone.
 */
export function tokenBatch(
  random: Random,
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  skip: number,
): Batch {
  const rows = puzzles.map((puzzle) => {
    const { promptIds, symbols, target } = puzzle
    const steps = shortestPath(random, puzzle)
      .slice(skip)
      .map((node) => symbols[node]!)
    return [...promptIds, ...steps, prosqaTokens.answer, symbols[target]!, prosqaTokens.eos]
  })
  const length = lengthFor(Math.max(...rows.map((row) => row.length)), lengths)
  const labels = new Int32Array(rows.length * length).fill(-1)
  rows.forEach((row, b) => {
    const from = puzzles[b]!.promptIds.length
    labels.set(row.slice(from), (b + 1) * length - row.length + from - 1)
  })
  const ids = paddedRows(rows, length, prosqaTokens.eos)
  return { ...ids, labels: { shape: [rows.length, length], dtype: 'i32', data: labels } }
}
