/** Which task a model has: by its latent_config.json, else by its tokenizer. */

import { expect, test } from 'vitest'
import type { LatentConfig } from '../io/latent-config.ts'
import type { Tokenizer } from '../io/tokenizer.ts'
import { type TaskPrompt, taskOf } from './task.ts'

function tokenizerOf(ids: Readonly<Record<string, number>>): Tokenizer {
  const encode = (text: string): number[] => [...text].map((character) => character.codePointAt(0)!)
  return { encode, decode: (list) => String.fromCodePoint(...list), idOf: (token) => ids[token], chat: () => [] }
}

const symbols = tokenizerOf({ '|': 41, '[Q]': 42, '[R]': 43, '[A]': 44 })
const letters = tokenizerOf({ '|': 124 })
const text: LatentConfig = { format: 'text', latents: 2, startIds: [1], endIds: [2] }

test('the task is what latent_config.json says, else what the vocabulary says', () => {
  const nameOf = (latent: LatentConfig | undefined, tokenizer: Tokenizer | undefined): string =>
    taskOf({ id: 'model', latent, tokenizer }).name
  expect(nameOf({ ...text, format: 'prosqa-symbolic' }, undefined)).toBe('prosqa-symbolic')
  expect(nameOf(text, symbols)).toBe('text')
  expect(nameOf(undefined, symbols)).toBe('prosqa-symbolic')
  expect(nameOf(undefined, letters)).toBe('text')
  expect(() => nameOf(undefined, undefined)).toThrow(/cannot read text/)
})

test('a text prompt is the question as a line and the start markers; the answer follows the last #', () => {
  const task = taskOf({ id: 'model', latent: text, tokenizer: letters })
  const prompt = task.encode('ab')
  expect(prompt.promptIds).toEqual([97, 98, 10, 1])
  expect(prompt.endIds).toEqual([2])
  expect(prompt.answer([...'### 1,234'].map((character) => character.codePointAt(0)!))).toBe('1234')
})

test('a symbolic prompt keeps the order of the text, and its answers are sentences', () => {
  const task = taskOf({ id: 'model', latent: undefined, tokenizer: symbols })
  const prompt = task.encode(
    'Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?',
  )
  expect(prompt.promptIds).toEqual([40, 0, 1, 41, 1, 2, 41, 3, 4, 42, 2, 4, 43, 0])
  expect(prompt.endIds).toEqual([44])
  expect(prompt.optionIds).toEqual([2, 4])
  expect(prompt.answer([2])).toBe('Tom is a lorpus.')
})

test('a symbolic model that writes its reasoning answers behind [A]; one that thinks, at once', () => {
  const question = 'Tom is a wumpus. Every wumpus is a lorpus. Sam is a yumpus. Is Tom a lorpus or yumpus?'
  const latent = { format: 'prosqa-symbolic', latents: 0, startIds: [], endIds: [] } as const
  const promptFor = (tokens: number): TaskPrompt =>
    taskOf({ id: 'model', latent: { ...latent, tokens }, tokenizer: undefined }).encode(question)
  const { promptIds, endIds, answer, graph } = promptFor(8)
  const [wumpus, lorpus] = ['wumpus', 'lorpus'].map((name) => graph!.symbols.indexOf(name)) as [number, number]
  expect(endIds).toEqual([])
  expect(answer([wumpus, lorpus, 44, lorpus])).toBe(graph!.answerText(lorpus))
  expect(answer([wumpus, lorpus])).toBe('')
  expect(answer([wumpus, 44])).toBe('')
  expect(promptFor(1).promptIds).toEqual(promptIds)
  expect(promptFor(1).endIds).toEqual([44])
  expect(promptFor(1).answer([lorpus])).toBe(graph!.answerText(lorpus))
})
