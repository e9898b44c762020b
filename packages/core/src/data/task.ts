/**
 * Tasks: how questions of one kind become prompts of a model, and its tokens become answers.
 */

import { ConfigError } from '../errors.ts'
import { extractAnswer } from '../evaluation/answers.ts'
import type { LatentConfig } from '../io/latent-config.ts'
import type { Tokenizer } from '../io/tokenizer.ts'
import { type EncodedQuestion, encodeProsqa } from './question.ts'
import { prosqaTokens, symbolicTokenText } from './vocabulary.ts'

/** A question as a model reads it. */
export interface TaskPrompt {
  /** Up to the first thought, start markers included. */
  readonly promptIds: readonly number[]
  /** Fed after the thoughts, before the answer. */
  readonly endIds: readonly number[]
  /** The two options as single tokens, where the task has such: what two-way accuracy compares. */
  readonly optionIds?: readonly [number, number]
  /** The answer that generated tokens state. */
  answer(ids: readonly number[]): string
  /** How a token is written in a reading of a thought. */
  tokenText(id: number): string
  /** The question's graph, where it is a ProsQA question. */
  readonly graph?: EncodedQuestion
}

export interface Task {
  readonly name: string
  /** The most tokens an answer takes. */
  readonly tokens: number
  /** Tokens that end an answer; default the model's. A task of one token takes whatever comes. */
  readonly stopIds?: readonly number[]
  /** @throws ArgumentError if the question is not of this kind */
  encode(question: string): TaskPrompt
}

/** ProsQA in symbols. The answer is the next token, or behind a chain of written facts the one that follows `[A]`. */
function symbolicTask({ tokens = 1 }: Partial<LatentConfig> = {}): Task {
  const written = tokens > 1
  return {
    name: 'prosqa-symbolic',
    tokens,
    stopIds: written ? [prosqaTokens.eos] : [],
    encode(question) {
      const graph = encodeProsqa(question)
      const answerOf = (ids: readonly number[]): readonly number[] => {
        const at = ids.indexOf(prosqaTokens.answer)
        return at < 0 ? [] : ids.slice(at + 1, at + 2)
      }
      return {
        promptIds: graph.promptIds,
        endIds: written ? [] : graph.endIds,
        ...(!written && { optionIds: graph.optionIds }),
        graph,
        answer: (ids) => (written ? answerOf(ids) : ids).map((id) => graph.answerText(id)).join(' '),
        tokenText: (id) => graph.symbols[id] ?? graph.answerText(id),
      }
    },
  }
}

/** Enough for a sentence; Coconut's limit for ProsQA (facebookresearch/coconut@27273cb). */
const TEXT_TOKENS = 128

/** A question as Coconut asks it, in training and after. */
export const questionText = (question: string): string => `${question}\n`

/** Coconut's layout: the question and a line end, start marker, thoughts, end marker, then `### answer`. */
function textTask(tokenizer: Tokenizer, config: LatentConfig | undefined): Task {
  const { startIds = [], endIds = [], tokens = TEXT_TOKENS } = config ?? {}
  return {
    name: 'text',
    tokens,
    encode: (question) => ({
      promptIds: [...tokenizer.encode(questionText(question)), ...startIds],
      endIds,
      answer: (ids) => extractAnswer(tokenizer.decode(ids, { skipSpecial: true })),
      tokenText: (id) => tokenizer.decode([id]),
    }),
  }
}

/** Whether a tokenizer's special tokens are those of the symbolic form: then its text is no language. */
function isSymbolic(tokenizer: Tokenizer | undefined): boolean {
  const { separator, question, root, answer } = prosqaTokens
  const markers = [separator, question, root, answer]
  return tokenizer !== undefined && markers.every((id) => tokenizer.idOf(symbolicTokenText(id)) === id)
}

/**
 * The task a model was made for, as its latent_config.json says. Without one the tokenizer tells: ProsQA in symbols has
 * a vocabulary of its own, everything else is plain text.
 *
 * @throws ConfigError if that takes a tokenizer and there is none
 */
export function taskOf(model: {
  readonly id: string
  readonly latent: LatentConfig | undefined
  readonly tokenizer: Tokenizer | undefined
}): Task {
  const symbolic = model.latent ? model.latent.format === 'prosqa-symbolic' : isSymbolic(model.tokenizer)
  if (symbolic) return symbolicTask(model.latent)
  if (model.tokenizer === undefined) {
    throw new ConfigError('the model cannot read text', {
      where: model.id,
      expected: 'a tokenizer.json, or a latent_config.json with a symbolic format',
      hint: 'Give token ids instead',
    })
  }
  return textTask(model.tokenizer, model.latent)
}
