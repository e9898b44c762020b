/**
 * Reading a ProsQA question as a person types it, and writing it in the symbolic form a small model reads.
 *
 * The symbolic form (after Reasoning by Superposition, arXiv 2505.12514) has one token per name and no grammar:
 * `<eos> s t | s t | … | s t [Q] a b [R] person`. Names get their symbols by first appearance in the text, so neither
 * the name nor the order in which a generator made the node reaches the model.
 */

import { ArgumentError } from '../errors.ts'
import { childrenOf, distancesFrom, type Edge, walkSets } from './graph.ts'
import { prosqaTokens, SYMBOL_COUNT, symbolicTokenText } from './vocabulary.ts'

export interface Fact {
  readonly subject: string
  readonly class: string
  /** "Every X is a Y." rather than "X is a Y." */
  readonly every: boolean
}

/** A question taken apart, in the words of its author. */
export interface ProsqaQuestion {
  readonly facts: readonly Fact[]
  readonly options: readonly [string, string]
  readonly person: string
}

const languageHint =
  'ProsQA questions look like this: "Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. ' +
  'Is Tom a lorpus or yumpus?"'
const factPattern = /^(every\s+)?([\p{L}\p{N}_-]+)\s+is\s+an?\s+([\p{L}\p{N}_-]+)$/iu
const askPattern = /^is\s+([\p{L}\p{N}_-]+)\s+an?\s+([\p{L}\p{N}_-]+)\s+or\s+(?:an?\s+)?([\p{L}\p{N}_-]+)\s*\?$/iu

/**
 * Takes a question apart.
 *
 * @throws ArgumentError if the text is not ProsQA's language, if the two options are one, or if no fact speaks of the
 *   person asked about
 */
export function parseProsqaQuestion(text: string): ProsqaQuestion {
  const sentences = text.split('.').map((sentence) => sentence.trim())
  const ask = sentences.pop() ?? ''
  const asked = askPattern.exec(ask)
  if (asked === null)
    throw notProsqa('the text does not end in a question with two options', '"Is NAME a CLASS or CLASS?"', ask)
  const facts = sentences.map(parseFact)
  if (facts.length === 0)
    throw notProsqa('there are no facts before the question', '"NAME is a CLASS." or "Every CLASS is a CLASS."', ask)
  const [, person = '', first = '', second = ''] = asked
  if (first === second) throw notProsqa('the two options are the same', 'two classes', first)
  if (!facts.some((fact) => fact.subject === person)) {
    throw notProsqa(`no fact says what ${person} is`, `"${person} is a CLASS." among the facts`, ask)
  }
  return { facts, options: [first, second], person }
}

function parseFact(sentence: string): Fact {
  const match = factPattern.exec(sentence)
  if (match === null)
    throw notProsqa('a sentence is not a fact', '"NAME is a CLASS." or "Every CLASS is a CLASS."', sentence)
  const [, every, subject = '', className = ''] = match
  return { subject, class: className, every: every !== undefined }
}

function notProsqa(message: string, expected: string, actual: string): ArgumentError {
  const shown = actual.length > 80 ? `${actual.slice(0, 80)}…` : actual
  return new ArgumentError(message, { where: 'question', expected, actual: JSON.stringify(shown), hint: languageHint })
}

/** A question in the symbolic form, with what is needed to read the answer and to draw the thoughts. */
export interface EncodedQuestion {
  /** `<eos> s t | … | s t [Q] a b [R] person`, 3 × facts + 5 ids; the first thought is the state at the last one. */
  readonly promptIds: readonly number[]
  /** What is fed after the thoughts, before the answer. */
  readonly endIds: readonly number[]
  /** Symbol id to name. */
  readonly symbols: readonly string[]
  /** The facts as edges between symbol ids, in the order of the text. */
  readonly edges: readonly Edge[]
  /** The two options as written. */
  readonly optionIds: readonly [number, number]
  readonly person: string
  readonly personId: number
  /** The answer that a token stands for: "Tom is a lorpus.", or the bare token if it names nothing in the question. */
  answerText(id: number): string
}

/**
 * Writes a question in the symbolic form.
 *
 * @throws ArgumentError if the text is not ProsQA's language or names more than 40 things
 */
export function encodeProsqa(question: string): EncodedQuestion {
  const { facts, options, person } = parseProsqaQuestion(question)
  const ids = new Map<string, number>()
  const idOf = (name: string): number => {
    const id = ids.get(name) ?? ids.size
    ids.set(name, id)
    return id
  }
  const edges = facts.map((fact): Edge => [idOf(fact.subject), idOf(fact.class)])
  const optionIds = [idOf(options[0]), idOf(options[1])] as const
  const personId = idOf(person)
  if (ids.size > SYMBOL_COUNT) {
    throw new ArgumentError('too many names', {
      where: 'question',
      expected: `at most ${SYMBOL_COUNT} different names`,
      actual: String(ids.size),
    })
  }
  const symbols = [...ids.keys()]
  const { eos, separator, question: ask, root, answer } = prosqaTokens
  const factIds = edges.flatMap(([source, target], i) => (i === 0 ? [source, target] : [separator, source, target]))
  return {
    promptIds: [eos, ...factIds, ask, ...optionIds, root, personId],
    endIds: [answer],
    symbols,
    edges,
    optionIds,
    person,
    personId,
    answerText: (id) => (symbols[id] === undefined ? symbolicTokenText(id) : `${person} is a ${symbols[id]}.`),
  }
}

/** For each symbol, the least number of facts from the person to it; −1 where no chain of facts leads to it. */
export function hopDistances(question: EncodedQuestion): number[] {
  return distancesFrom([question.personId], childrenOf(question.symbols.length, question.edges))
}

/**
 * For t = 0 … steps, the symbols exactly t facts away from the person (by some chain of facts, not only the shortest):
 * what thought t of a model trained on frontiers should spread its reading over.
 */
export function frontiers(question: EncodedQuestion, steps: number): number[][] {
  return walkSets(question.personId, childrenOf(question.symbols.length, question.edges), steps)
}
