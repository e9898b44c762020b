/**
 * Puzzles as batches: facts padded on the left to one of a few lengths, their questions side by side behind them
 * (`lanes.ts`), and what each objective is taught.
 */

import { CapacityError, type HostTensor, type Shape, sizeOf } from '@afterthought/core'
import { prosqaTokens, type Random } from '@afterthought/core/data'
import {
  ASK_TOKENS,
  CHAIN_TOKENS,
  DRAWS,
  MOST_HOPS,
  type Puzzle,
  type Question,
  type Supervision,
  shortestPath,
  supervisedLevels,
} from './puzzles.ts'
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

const longest = (rows: readonly (readonly number[])[]): number => Math.max(...rows.map((row) => row.length))

const factRows = (puzzles: readonly Puzzle[], lengths: readonly number[]): Batch => {
  const rows = puzzles.map(({ factIds }) => factIds)
  return paddedRows(rows, lengthFor(longest(rows), lengths), prosqaTokens.eos)
}

/** One number of every question, which is the k-th about the b-th puzzle: [B, K]. */
function perQuestion(
  puzzles: readonly Puzzle[],
  numberOf: (question: Question, puzzle: Puzzle, b: number, k: number) => number,
): HostTensor {
  const rows = puzzles.map((puzzle, b) => puzzle.questions.map((question, k) => numberOf(question, puzzle, b, k)))
  return integers([rows.length, rows[0]!.length], rows.flat())
}

/** Rows of at most `width` tokens, one for every question, side by side: [B, W, K]. */
function sideBySide(rows: readonly (readonly (readonly number[])[])[], width: number, fill: number): HostTensor {
  const lanes = rows[0]!.length
  const data = new Int32Array(rows.length * width * lanes).fill(fill)
  rows.forEach((questions, b) =>
    questions.forEach((tokens, k) =>
      tokens.forEach((token, t) => {
        data[(b * width + t) * lanes + k] = token
      }),
    ),
  )
  return { shape: [rows.length, width, lanes], dtype: 'i32', data }
}

/** Sets of tokens, some per row of the batch, as rows of 0 and 1: [B, N, V]. */
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

/** For `thoughtObjective`: what each thought is taught, both options, and how deep the right one lies. */
export function thoughtBatch(
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  vocabulary: number,
  supervision: Supervision,
): Batch {
  const questions = puzzles[0]!.questions.length
  const levels = puzzles.map((puzzle) => {
    const taught = puzzle.questions.map((question) => supervisedLevels(puzzle, question, supervision))
    return Array.from({ length: MOST_HOPS }, (_, t) => taught.map((sets) => sets[t] ?? [])).flat() // thought by thought
  })
  const inSymbols = levels.map((sets, b) => sets.map((nodes) => nodes.map((node) => puzzles[b]!.symbols[node]!)))
  const sets = tokenSets(inSymbols, MOST_HOPS * questions, vocabulary)
  return {
    ...factRows(puzzles, lengths),
    asks: sideBySide(
      puzzles.map((puzzle) => puzzle.questions.map(({ askIds }) => askIds)),
      ASK_TOKENS,
      prosqaTokens.eos,
    ),
    sets: { ...sets, shape: [puzzles.length, MOST_HOPS, questions, vocabulary] },
    draws: perQuestion(puzzles, ({ draw }) => draw),
    hops: perQuestion(puzzles, ({ hops }) => hops),
    answers: perQuestion(puzzles, ({ target }, { symbols }) => symbols[target]!),
    others: perQuestion(puzzles, ({ other }, { symbols }) => symbols[other]!),
  }
}

/**
 * For `queryObjective`, which reads the first question only: `count` queries a row, each the mean of one to `superposed`
 * nodes' embeddings and taught the union of their children; the prompt's own last token, the person, is the first query
 * of all.
 */
export function queryBatch(
  random: Random,
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  vocabulary: number,
  { count, superposed }: { readonly count: number; readonly superposed: number },
): Batch {
  const mix = new Float32Array(puzzles.length * count * vocabulary)
  const prompts = puzzles.map(({ factIds, questions }) => [...factIds, ...questions[0]!.askIds])
  const sets = puzzles.map(({ symbols, children, edges, questions }, b) => {
    const nodes = [...new Set(edges.flat())]
    const childrenOf = (asked: readonly number[]): number[] =>
      asked.flatMap((node) => children[node]!.map((child) => symbols[child]!))
    const queries = Array.from({ length: count }, (_, q) => {
      const asked = Array.from({ length: 1 + random.integer(superposed) }, () => random.choice(nodes))
      for (const node of asked) mix[(b * count + q) * vocabulary + symbols[node]!]! += 1 / asked.length
      return childrenOf(asked)
    })
    return [childrenOf([questions[0]!.root]), ...queries]
  })
  return {
    ...paddedRows(prompts, lengthFor(longest(prompts), lengths), prosqaTokens.eos),
    mix: { shape: [puzzles.length, count, vocabulary], dtype: 'f32', data: mix },
    sets: tokenSets(sets, count + 1, vocabulary),
  }
}

/**
 * For `tokenObjective`: questions, each with its chain without the first `skip` facts, `[A]`, answer, end, and labels from
 * the chain on: chain of thought in tokens, its curriculum without thoughts, and the answer alone. The earlier answer
 * comes after less than the chain, if there is one.
 */
export function tokenBatch(
  random: Random,
  puzzles: readonly Puzzle[],
  lengths: readonly number[],
  skip: number,
): Batch {
  const chains = puzzles.map((puzzle) =>
    puzzle.questions.map((question) => shortestPath(random, puzzle, question).slice(skip)),
  )
  const lengthOf = (b: number, k: number): number => chains[b]![k]!.length
  const { answer, eos } = prosqaTokens
  const rows = puzzles.map(({ questions, symbols }, b) =>
    questions.map(({ askIds, target }, k) => {
      const steps = chains[b]![k]!.map((node) => symbols[node]!)
      return [...askIds, ...steps, answer, symbols[target]!, eos]
    }),
  )
  const width = ASK_TOKENS + CHAIN_TOKENS - Math.min(skip, MOST_HOPS) + 1
  const untaught = new Array<number>(ASK_TOKENS - 1).fill(-1)
  const labels = rows.map((questions) => questions.map((tokens) => [...untaught, ...tokens.slice(ASK_TOKENS)]))
  return {
    ...factRows(puzzles, lengths),
    asks: sideBySide(rows, width, prosqaTokens.eos),
    labels: sideBySide(labels, width, -1),
    ends: perQuestion(puzzles, ({ draw }, _, b, k) => ASK_TOKENS + Math.floor((draw * lengthOf(b, k)) / DRAWS)),
    answers: perQuestion(puzzles, ({ target }, { symbols }) => symbols[target]!),
    others: perQuestion(
      puzzles,
      ({ target, other }, { symbols }, b, k) => symbols[lengthOf(b, k) > 0 ? other : target]!,
    ),
  }
}
