/**
 * Reads the public data sets of latent reasoning and turns each record into question, steps and answer.
 *
 * The format is told by the content, never by the file's name: AQuA's files are JSON lines named .json. Every row
 * format is one entry of `rowFormats`: how its first row is recognised and how a row is converted. Conversions follow
 * the converters of Coconut and iCoT where those exist.
 */

import { FormatError } from '../errors.ts'
import { describe, isJsonObject, type JsonObject } from '../io/json.ts'
import { badField, numberField, textField, textListField } from './fields.ts'
import { type ProsqaItem, parseProsqaItem } from './prosqa.ts'

/** A question with its written reasoning, as training and evaluation want it. */
export interface QuestionRecord {
  readonly question: string
  /** Never holds an empty or placeholder step; empty where the source has no reasoning. */
  readonly steps: readonly string[]
  readonly answer: string
  /** The choices as the source writes them; already part of `question`. */
  readonly options?: readonly string[]
  /** The item with its graph, for ProsQA. */
  readonly prosqa?: ProsqaItem
}

export interface Dataset {
  /** Name of the recognised format. */
  readonly format: string
  readonly records: readonly QuestionRecord[]
  /** The source asks never to be trained on. */
  readonly canary?: string
}

interface RowFormat {
  readonly name: string
  matches(row: JsonObject): boolean
  convert(row: JsonObject, where: string): QuestionRecord
}

/** In order of recognition: the specific ones first. */
const rowFormats: readonly RowFormat[] = [
  {
    name: 'prosqa-symbolic',
    matches: (row) => isGraph(row) && 'neighbor_k' in row,
    convert: convertProsqa,
  },
  { name: 'prosqa', matches: isGraph, convert: convertProsqa },
  {
    name: 'aqua',
    matches: (row) => Array.isArray(row.options) && 'correct' in row,
    convert(row, where) {
      const options = textListField(row, 'options', where)
      return choice(
        textField(row, 'question', where),
        options,
        textField(row, 'correct', where),
        textField(row, 'rationale', where).split('\n'),
      )
    },
  },
  {
    name: 'mathqa',
    matches: (row) => 'problem' in row && 'correct' in row,
    convert(row, where) {
      // The rationale names the answer, so the formula is the reasoning.
      const options = mathqaOptions(textField(row, 'options', where))
      const steps = textField(row, 'linear_formula', where).split('|')
      return choice(textField(row, 'problem', where), options, textField(row, 'correct', where), steps)
    },
  },
  {
    name: 'svamp',
    matches: (row) => 'Body' in row && 'Question' in row,
    convert: (row, where) =>
      record(
        `${textField(row, 'Body', where)} ${textField(row, 'Question', where)}`,
        [textField(row, 'Equation', where)],
        String(numberField(row, 'Answer', where)),
      ),
  },
  {
    name: 'gsm-hard',
    matches: (row) => 'input' in row && 'target' in row && 'code' in row,
    convert: (row, where) => record(textField(row, 'input', where), [], String(numberField(row, 'target', where))),
  },
  {
    name: 'strategyqa',
    matches: (row) => typeof row.answer === 'boolean',
    convert(row, where) {
      if (typeof row.answer !== 'boolean') throw badField(`${where}, answer`, 'true or false', row.answer)
      return record(textField(row, 'question', where), textListField(row, 'facts', where), row.answer ? 'Yes' : 'No')
    },
  },
  {
    name: 'gsm8k',
    matches: (row) => typeof row.answer === 'string' && row.answer.includes('####'),
    convert: (row, where) => convertGsm8k(textField(row, 'question', where), textField(row, 'answer', where), where),
  },
  {
    name: 'list',
    matches: (row) => 'question' in row && 'answer' in row,
    convert(row, where) {
      const steps = row.steps === undefined ? [] : textListField(row, 'steps', where)
      return record(textField(row, 'question', where), steps, textField(row, 'answer', where))
    },
  },
]

/**
 * Reads a data file of any known format: a JSON list, JSON lines, iCoT lines, ProntoQA's or BIG-bench's object.
 *
 * @param content the file's text
 * @param name of the file, for errors
 * @throws FormatError naming the record and field that do not fit, or the known formats if none does
 */
export function readRecords(content: string, name = 'data'): Dataset {
  const trimmed = content.replace(/^\uFEFF/, '').trim()
  if (trimmed === '') throw new FormatError('empty file', { where: name, expected: knownFormats })
  const json = /^[[{]/.test(trimmed) ? (parseJson(trimmed) ?? parseJsonLines(trimmed, name)) : undefined
  if (Array.isArray(json)) return readRows(json, name)
  if (isJsonObject(json)) return readObject(json, name)
  return readIcotLines(trimmed, name)
}

const knownFormats =
  'ProsQA, GSM8K, GSM-Hard, SVAMP, MathQA, AQuA, StrategyQA, ProntoQA, iCoT lines, or {question, steps, answer} records'

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined // perhaps one JSON document per line: the caller tries that and reports the line
  }
}

function parseJsonLines(content: string, name: string): unknown[] {
  return content.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    try {
      return [JSON.parse(line) as unknown]
    } catch (cause) {
      throw new FormatError('neither a JSON document nor JSON lines', {
        where: `${name}, line ${i + 1}`,
        actual: describe(line),
        cause,
      })
    }
  })
}

function readRows(rows: readonly unknown[], name: string): Dataset {
  const [first] = rows
  const format = isJsonObject(first) ? rowFormats.find((candidate) => candidate.matches(first)) : undefined
  if (format === undefined) {
    const actual = isJsonObject(first)
      ? `records with ${Object.keys(first).slice(0, 8).join(', ') || 'no fields'}`
      : describe(rows)
    throw new FormatError('unknown data format', { where: name, expected: knownFormats, actual })
  }
  const records = rows.map((row, i) => {
    const where = `${name}, record ${i}`
    if (!isJsonObject(row)) throw badField(where, `an object (format ${format.name})`, row)
    return format.convert(row, where)
  })
  return { format: format.name, records }
}

/** A JSON object: BIG-bench's task, ProntoQA's examples by name, or a single record. */
function readObject(json: JsonObject, name: string): Dataset {
  const examples = json.examples
  if (Array.isArray(examples)) {
    const records = examples.map((row: unknown, i) => convertBigBench(row, `${name}, example ${i}`))
    if (records.length === 0) throw badField(`${name}, examples`, 'at least one example', examples)
    return typeof json.canary === 'string'
      ? { format: 'bigbench', records, canary: json.canary }
      : { format: 'bigbench', records }
  }
  const entries = Object.entries(json)
  if (entries.length > 0 && entries.every(([, value]) => isJsonObject(value) && 'test_example' in value)) {
    return {
      format: 'prontoqa',
      records: entries.map(([key, value]) => convertProntoqa((value as JsonObject).test_example, `${name}, ${key}`)),
    }
  }
  return readRows([json], name)
}

/** `question||steps #### answer`, one per line. */
function readIcotLines(content: string, name: string): Dataset {
  const records = content.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    const where = `${name}, line ${i + 1}`
    const parts = line.split('||')
    const [question = '', rest = ''] = parts
    const hash = rest.indexOf('##')
    if (parts.length !== 2 || hash < 0) {
      if (i === 0)
        throw new FormatError('unknown data format', { where: name, expected: knownFormats, actual: describe(line) })
      throw new FormatError('not an iCoT line', {
        where,
        expected: 'question||steps #### answer',
        actual: describe(line),
      })
    }
    return [record(question, icotSteps(rest.slice(0, hash)), rest.slice(rest.lastIndexOf('##') + 2).trim())]
  })
  return { format: 'icot', records }
}

/** Annotated lines have one `<<…>>` per step; the unaugmented file has sentences. */
function icotSteps(reasoning: string): string[] {
  return reasoning.includes('<<') ? reasoning.split(' ') : reasoning.split(/(?<=[.!?])\s+/)
}

function convertProsqa(row: JsonObject, where: string): QuestionRecord {
  const prosqa = parseProsqaItem(row, where)
  return { ...record(prosqa.question, prosqa.steps, prosqa.answer), prosqa }
}

function isGraph(row: JsonObject): boolean {
  return 'idx_to_symbol' in row && 'edges' in row
}

/** Steps are the calculator annotations; the number after `####` is the answer, its thousands commas removed. */
function convertGsm8k(question: string, solution: string, where: string): QuestionRecord {
  const [reasoning = '', answer] = solution.split('####')
  if (answer === undefined) throw badField(`${where}, answer`, 'a solution with "#### answer"', solution)
  const steps = [...reasoning.matchAll(/<<([^<>]*)>>/g)].map((match) => match[0])
  return record(question, steps, answer.replaceAll(',', '').trim())
}

/** One string, "a ) 12 , b ) 16 , …"; in the geometry questions the same as a printed Python list. */
function mathqaOptions(options: string): string[] {
  return options.startsWith('[') ? options.slice(2, -2).split(/['"], ['"]/) : options.split(/\s,\s(?=[a-e]\s\))/)
}

function convertBigBench(value: unknown, where: string): QuestionRecord {
  if (!isJsonObject(value)) throw badField(where, 'an object', value)
  const scores = value.target_scores
  if (!isJsonObject(scores)) throw badField(`${where}, target_scores`, 'answers with their scores', scores)
  const best = Object.entries(scores).find(([, score]) => score === 1)
  if (best === undefined) throw badField(`${where}, target_scores`, 'an answer with score 1', scores)
  return record(textField(value, 'input', where), [], best[0])
}

/** A chain of thought alternates what holds and the rule applied to it; two sentences make one step. */
function convertProntoqa(value: unknown, where: string): QuestionRecord {
  if (!isJsonObject(value)) throw badField(`${where}, test_example`, 'an object', value)
  const chain = textListField(value, 'chain_of_thought', where)
  const steps = chain.flatMap((_, i) => (i % 2 === 0 ? [chain.slice(i, i + 2).join(' ')] : []))
  return record(
    `${textField(value, 'question', where)} ${textField(value, 'query', where)}`,
    steps,
    textField(value, 'answer', where),
  )
}

function choice(
  question: string,
  options: readonly string[],
  answer: string,
  steps: readonly string[],
): QuestionRecord {
  return { ...record(`${question} ${options.join(' ')}`, steps, answer), options }
}

function record(question: string, steps: readonly string[], answer: string): QuestionRecord {
  // An empty step would become a latent stage, "Step 1" is a placeholder of LatentTTS's GSM-Hard: neither is reasoning.
  const kept = steps.map((step) => step.trim()).filter((step) => step !== '' && !/^Step \d+$/.test(step))
  return { question, steps: kept, answer: answer.trim() }
}
