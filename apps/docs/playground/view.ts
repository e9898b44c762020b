/** What the worker tells the page of one way of thinking: plain data, ready to be drawn. */

import type { ThoughtRecord } from '@afterthought/core'
import type { EncodedQuestion } from '@afterthought/core/data'

/** The question's graph, seen from the person. */
export interface QuestionView extends Omit<EncodedQuestion, 'answerText'> {
  /** Least number of facts from the person; −1 where none leads. */
  readonly hops: readonly number[]
  /** Symbols exactly t facts away, for t = 0 … T. */
  readonly frontiers: readonly (readonly number[])[]
  /** The option that the facts lead to, if it is exactly one. */
  readonly target: number | undefined
}

/** A thought on record, read over all tokens, most probable first. */
export type ThoughtView = Omit<ThoughtRecord, 'vector'>

export interface ThinkingView {
  readonly answer: string
  readonly answerId: number
  /** Softmax at the answer's place, of the two options as written. */
  readonly optionProbabilities: readonly [number, number]
  readonly thoughts: readonly ThoughtView[]
  readonly ms: number
}

/** Both sides of the page. */
export interface ResultView {
  readonly question: QuestionView
  readonly before: ThinkingView
  readonly after: ThinkingView
}
