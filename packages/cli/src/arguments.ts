/**
 * From the words of a command line to typed values. Splitting words is `node:util`'s business; here they are held against
 * what a command declares. Nothing is ignored: an unknown option, a missing or misspelt value or a word too many ends in
 * a `UsageError`.
 */

import { parseArgs } from 'node:util'
import { suggestion, UsageError } from './usage-error.ts'

/** What an option takes. Lists may be given by commas, by spaces and by repetition. */
export type OptionSpec = {
  readonly description: string
  /** How the value is called in the help. */
  readonly value?: string
  /** Heading in the help; default the command's own options. */
  readonly group?: string
} & (
  | { readonly type: 'flag' }
  | { readonly type: 'text' }
  | ({ readonly type: 'number' } & Range)
  | { readonly type: 'integer'; readonly least?: number }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | ({ readonly type: 'numbers' } & Range)
  | { readonly type: 'names'; readonly choices?: readonly string[]; readonly also?: Pattern }
)

/** Bounds of numbers; `above` is not reached. */
interface Range {
  readonly least?: number
  readonly above?: number
  readonly most?: number
}

/** Names beyond the choices, and how they are written in the help. */
interface Pattern {
  readonly form: string
  readonly matches: RegExp
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>

type Value<S extends OptionSpec> = S extends { type: 'flag' }
  ? boolean
  : S extends { type: 'number' | 'integer' }
    ? number | undefined
    : S extends { type: 'choice'; choices: readonly (infer Choice)[] }
      ? Choice | undefined
      : S extends { type: 'numbers' }
        ? readonly number[] | undefined
        : S extends { type: 'names'; choices: readonly (infer Choice)[] }
          ? readonly Choice[] | undefined
          : S extends { type: 'names' }
            ? readonly string[] | undefined
            : string | undefined

/** The values of options by name. Flags are false unless given, everything else is undefined unless given. */
export type Values<S extends OptionSpecs> = { readonly [K in keyof S]: Value<S[K]> }

export interface Arguments<S extends OptionSpecs> {
  readonly values: Values<S>
  readonly operands: readonly string[]
}

/**
 * @param words without the name of the command
 * @throws UsageError naming the option
 */
export function parseArguments<S extends OptionSpecs>(words: readonly string[], specs: S): Arguments<S> {
  const given = new Map<string, string[]>()
  const operands: string[] = []
  const { tokens } = parseArgs({ args: gatherLists(words, specs), options: nodeOptions(specs), ...LENIENT })
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const spec = Object.hasOwn(specs, name) && rawName.startsWith('--') ? specs[name] : undefined
    if (!spec) throw unknownOption(rawName, specs)
    if (spec.type === 'flag' ? value !== undefined : value === undefined || (!inlineValue && isOption(value))) {
      throw new UsageError(spec.type === 'flag' ? 'takes no value' : 'its value is missing', {
        where: `--${name}`,
        ...(spec.type === 'flag' ? {} : { expected: expectation(spec) }),
      })
    }
    given.set(name, [...(given.get(name) ?? []), value ?? ''])
  }
  const values = Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, read(name, spec, given.get(name))]),
  )
  return { values: values as Values<S>, operands }
}

const LENIENT = { strict: false, allowPositionals: true, tokens: true } as const

function nodeOptions(specs: OptionSpecs): Record<string, { type: 'boolean' | 'string'; multiple: true }> {
  const entries = Object.entries(specs).map(([name, { type }]) => {
    return [name, { type: type === 'flag' ? 'boolean' : 'string', multiple: true }] as const
  })
  return Object.fromEntries(entries)
}

/** `--alphas 0 0.1 0.3` as `--alphas=0,0.1,0.3`: words are taken while they can be members of the list. */
function gatherLists(words: readonly string[], specs: OptionSpecs): string[] {
  const gathered: string[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '--') return [...gathered, ...words.slice(i)]
    const spec = word.startsWith('--') ? specs[word.slice(2)] : undefined
    const next = words[i + 1]
    if ((spec?.type !== 'numbers' && spec?.type !== 'names') || next === undefined || isOption(next)) {
      gathered.push(word)
      continue
    }
    const members = [next]
    for (i++; i + 1 < words.length && isMember(words[i + 1]!, spec); i++) members.push(words[i + 1]!)
    gathered.push(`${word}=${members.join(',')}`)
  }
  return gathered
}

/** Whether a word after a list's first one goes on with the list. Free names would swallow operands, so they do not. */
function isMember(word: string, spec: OptionSpec): boolean {
  const parts = word.split(',')
  if (spec.type === 'numbers') return parts.every(isNumber)
  return spec.type === 'names' && spec.choices !== undefined && parts.every((part) => isName(part, spec))
}

const isName = (text: string, { choices, also }: OptionSpec & { readonly type: 'names' }): boolean =>
  choices === undefined ? text !== '' : choices.includes(text) || (also?.matches.test(text) ?? false)

const isWithin = (value: number, { least = -Infinity, above = -Infinity, most = Infinity }: Range): boolean =>
  value >= least && value > above && value <= most

const isNumber = (text: string): boolean => text.trim() !== '' && Number.isFinite(Number(text))
/** Whether a word is an option, and not a negative number or the dash for standard input. */
const isOption = (word: string): boolean => /^-./.test(word) && !isNumber(word.split(',')[0]!)

function unknownOption(rawName: string, specs: OptionSpecs): UsageError {
  const hint = suggestion(rawName.replace(/^-+/, ''), Object.keys(specs), '--') ?? 'See --help'
  return new UsageError('unknown option', { where: rawName, hint })
}

function read(name: string, spec: OptionSpec, given: readonly string[] | undefined): unknown {
  if (spec.type === 'flag') return given !== undefined
  if (given === undefined) return undefined
  const members = given.flatMap((text) => text.split(',')).map((text) => text.trim())
  if (spec.type === 'numbers')
    return members.map(
      (member) => check(name, spec, member, isNumber(member) && isWithin(Number(member), spec)) && Number(member),
    )
  if (spec.type === 'names') {
    for (const member of members) check(name, spec, member, isName(member, spec))
    return members
  }
  if (given.length > 1) throw new UsageError('given more than once', { where: `--${name}` })
  const [text = ''] = given
  switch (spec.type) {
    case 'number':
      return check(name, spec, text, isNumber(text) && isWithin(Number(text), spec)) && Number(text)
    case 'integer': {
      const { least = 0 } = spec
      return (
        check(name, spec, text, isNumber(text) && Number.isSafeInteger(Number(text)) && Number(text) >= least) &&
        Number(text)
      )
    }
    case 'choice':
      return check(name, spec, text, spec.choices.includes(text)) && text
    default:
      return check(name, spec, text, text !== '') && text
  }
}

function check(name: string, spec: OptionSpec, actual: string, holds: boolean): true {
  if (holds) return true
  const hint = 'choices' in spec && spec.choices ? suggestion(actual, spec.choices) : undefined
  throw new UsageError('not understood', {
    where: `--${name}`,
    expected: expectation(spec),
    actual: JSON.stringify(actual.length > 60 ? `${actual.slice(0, 60)}…` : actual),
    ...(hint !== undefined && { hint }),
  })
}

function expectation(spec: OptionSpec): string {
  switch (spec.type) {
    case 'number':
      return `a number${bounds(spec)}`
    case 'integer':
      return `a whole number from ${spec.least ?? 0} on`
    case 'numbers':
      return `numbers${bounds(spec)}, separated by commas`
    case 'choice':
      return spec.choices.join(', ')
    case 'names':
      return spec.choices ? `some of ${namesOf(spec).join(', ')}` : 'names, separated by commas'
    default:
      return spec.value ?? 'a text'
  }
}

function bounds({ least, above, most }: Range): string {
  if (above !== undefined) return ` above ${above}${most === undefined ? '' : `, at most ${most}`}`
  if (least !== undefined) return ` from ${least} ${most === undefined ? 'on' : `to ${most}`}`
  return most === undefined ? '' : ` up to ${most}`
}

/** What an option understands by name, as it is listed for people. */
export function namesOf(spec: OptionSpec): readonly string[] {
  if (!('choices' in spec) || spec.choices === undefined) return []
  return 'also' in spec && spec.also ? [...spec.choices, spec.also.form] : spec.choices
}
