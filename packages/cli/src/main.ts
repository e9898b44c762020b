/**
 * The program: from words to an exit status. 0 success, 1 the work failed or a check did not hold, 2 wrong use,
 * 130 interrupted.
 */

import { parseArguments } from './arguments.ts'
import type { Command } from './command.ts'
import { commands } from './commands.ts'
import { commonOptions } from './options.ts'
import { errorDocument, Output, type Streams } from './output.ts'
import { suggestion, UsageError } from './usage-error.ts'

export interface Program extends Streams {
  readonly signal: AbortSignal
  readInput(): Promise<string>
}

/** The signal's reason where nobody reads the output any more: only what the work still has to say is said then. */
export const OUTPUT_CLOSED = 'the output is closed'

/** Runs one command line, and reports whatever goes wrong. @returns the exit status */
export async function main(words: readonly string[], program: Program): Promise<number> {
  // Known before the options are, so that an error in them is reported the way that was asked for.
  const json = words.includes('--json')
  try {
    return await dispatch(words, program)
  } catch (error) {
    return report(error, json, program)
  }
}

async function dispatch(words: readonly string[], program: Program): Promise<number> {
  const [name, ...rest] = words
  const plain = new Output(program, { json: false, quiet: false })
  if (name === '--version' || name === '-v') {
    const { version } = await import('./help.ts')
    plain.write(`${version()}\n`)
    return 0
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const { programHelp } = await import('./help.ts')
    if (name === 'help' && rest[0] !== undefined) return dispatch([rest[0], '--help'], program)
    plain.write(`${programHelp(plain.colors)}\n`)
    return 0
  }
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (entry === undefined) {
    const hint = suggestion(name, Object.keys(commands)) ?? 'afterthought --help lists the commands'
    throw new UsageError(`unknown command ${JSON.stringify(name)}`, { hint })
  }
  if (name === 'complete' && rest[0] === '--') {
    const { completeWords } = await import('./commands/complete.ts')
    await completeWords(rest.slice(1))
    return 0
  }
  const { command } = await entry.load()
  return runCommand(name, command, rest, program)
}

async function runCommand(name: string, command: Command, words: readonly string[], program: Program): Promise<number> {
  if (words.includes('--help') || words.includes('-h')) {
    const { commandHelp } = await import('./help.ts')
    const plain = new Output(program, { json: false, quiet: false })
    plain.write(`${commandHelp(name, command, plain.colors)}\n`)
    return 0
  }
  const { values, operands } = parseArguments(words, { ...command.options, ...commonOptions })
  const [operand, ...more] = command.operand ? operands : [undefined, ...operands]
  if (more.length > 0) {
    throw new UsageError('a word too many', { where: name, actual: JSON.stringify(more[0]), hint: 'Quote texts' })
  }
  if (command.operand?.required && operand === undefined) {
    const { name: missing, description } = command.operand
    throw new UsageError(`${missing} is missing`, { where: name, expected: description })
  }
  const output = new Output(program, { json: values.json === true, quiet: values.quiet === true })
  const { signal, readInput } = program
  return command.run({ values, operand, output, signal, readInput })
}

function report(error: unknown, json: boolean, { stdout, stderr, environment, signal }: Program): number {
  const document = errorDocument(error)
  if (json) stdout.write(`${JSON.stringify(document)}\n`)
  const { message, hint } = document.error
  const stopped = hint === undefined ? 'interrupted' : `interrupted. ${hint}`
  const isSilent = signal.reason === OUTPUT_CLOSED && hint === undefined
  if (!isSilent) stderr.write(`afterthought: ${signal.aborted ? stopped : message}\n`)
  if (environment.AFTERTHOUGHT_DEBUG === '1') stderr.write(`${(error as Error).stack ?? String(error)}\n`)
  if (signal.aborted) return 130
  return error instanceof UsageError ? 2 : 1
}
