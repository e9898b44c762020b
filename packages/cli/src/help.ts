/** `--help`: of the program, and of each command with its examples. */

import { readFileSync } from 'node:fs'
import { namesOf, type OptionSpec } from './arguments.ts'
import { asset } from './assets.ts'
import type { Command } from './command.ts'
import { commands } from './commands.ts'
import { wrap } from './drawing/words.ts'
import { commonOptions } from './options.ts'
import type { Colors } from './output.ts'

export function version(): string {
  return (JSON.parse(readFileSync(asset('package.json'), 'utf8')) as { version: string }).version
}

const examples: readonly (readonly [string, string])[] = [
  ['demo', 'see it all in a minute'],
  ['solve "Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?"', ''],
  ['eval --settings plain residual --controls all', 'accuracy on embedded questions, with every control'],
  ['generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat "What is the capital of France?"', ''],
  ['doctor', 'what this machine can compute with'],
]

export function programHelp(colors: Colors): string {
  return [
    `${colors.bold('afterthought')} ${version()}: refine what a language model thinks, after it was trained`,
    '',
    heading('Usage', colors),
    '  afterthought COMMAND [OPTIONS]',
    '',
    heading('Commands', colors),
    ...columns(
      Object.entries(commands).map(([name, { summary }]) => [colors.cyan(name), name.length, summary]),
      colors,
    ),
    '',
    heading('Examples', colors),
    ...exampleLines(examples, colors),
    '',
    'afterthought COMMAND --help says more; afterthought --version prints the version.',
  ].join('\n')
}

export function commandHelp(name: string, command: Command, colors: Colors): string {
  const { description, operand, options } = command
  const usage = operand ? (operand.required ? ` ${operand.name}` : ` [${operand.name}]`) : ''
  const groups = new Map<string, (readonly [string, OptionSpec])[]>()
  for (const entry of Object.entries({ ...options, ...commonOptions } as Record<string, OptionSpec>)) {
    const group = entry[1].group ?? 'Options'
    groups.set(group, [...(groups.get(group) ?? []), entry])
  }
  return [
    description,
    '',
    heading('Usage', colors),
    `  afterthought ${name}${usage} [OPTIONS]`,
    ...(operand ? [`  ${colors.cyan(operand.name)}: ${operand.description}`] : []),
    '',
    heading('Examples', colors),
    ...exampleLines(command.examples, colors),
    ...[...groups].flatMap(([group, entries]) => [
      '',
      heading(group, colors),
      ...columns(
        entries.map(([option, spec]) => optionLine(option, spec, colors)),
        colors,
      ),
    ]),
  ].join('\n')
}

const heading = (text: string, colors: Colors): string => colors.bold(text)

function exampleLines(lines: readonly (readonly [string, string])[], colors: Colors): string[] {
  return lines.map(([line, meaning]) => `  afterthought ${line}${meaning && colors.dim(`   # ${meaning}`)}`)
}

/** Columns of a line, where it can be broken. */
const WIDTH = 118

/** Names are listed behind the description, or where they are many on lines of their own. */
type Cell = readonly [shown: string, width: number, description: string, names?: string]

function optionLine(name: string, spec: OptionSpec, colors: Colors): Cell {
  const value = placeholder(spec)
  const names = namesOf(spec)
  const width = 2 + name.length + (value ? value.length + 1 : 0)
  const shown = colors.cyan(`--${name}`) + (value && ` ${value}`)
  return names.length > 0 ? [shown, width, spec.description, `(${names.join(', ')})`] : [shown, width, spec.description]
}

function placeholder(spec: OptionSpec): string {
  if (spec.type === 'flag') return ''
  const list = spec.type === 'numbers' || spec.type === 'names' ? '…' : ''
  const fallback = { text: 'TEXT', number: 'X', integer: 'N', choice: 'NAME', numbers: 'X', names: 'NAME' }
  return (spec.value ?? fallback[spec.type]) + list
}

function columns(cells: readonly Cell[], colors: Colors): string[] {
  const width = Math.max(...cells.map(([, length]) => length))
  const indent = ' '.repeat(width + 4)
  return cells.flatMap(([shown, length, description, names = '']) => {
    const first = `  ${shown}${' '.repeat(width - length)}  ${description}`
    if (indent.length + description.length + 1 + names.length <= WIDTH) return `${first} ${colors.dim(names)}`.trimEnd()
    return [first, ...wrap(names, WIDTH - indent.length).map((line) => indent + colors.dim(line))]
  })
}
