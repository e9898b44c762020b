/** What a command is: a file in commands/ exports one as `command`, the table in commands.ts names it. */

import type { OptionSpecs, Values } from './arguments.ts'
import type { Output } from './output.ts'

export interface Context<S extends OptionSpecs = OptionSpecs> {
  readonly values: Values<S>
  /** The word that is no option, where the command takes one. */
  readonly operand: string | undefined
  readonly output: Output
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** All of standard input. */
  readInput(): Promise<string>
}

export interface Operand {
  readonly name: string
  readonly description: string
  readonly required: boolean
}

export interface CommandDefinition<S extends OptionSpecs = OptionSpecs> {
  /** What it is for, in a few sentences. */
  readonly description: string
  /** Command lines with what they do; the first word is the command's name. */
  readonly examples: readonly (readonly [line: string, meaning: string])[]
  readonly operand?: Operand
  readonly options: S
  /** @returns the exit status: 1 where the work was done and a check does not hold */
  run(context: Context<S>): Promise<0 | 1>
}

/** A command of any options: what the program runs, helps with and completes. */
export type Command = CommandDefinition<OptionSpecs>

/** Types `run` by the declared options, and forgets them. */
export function defineCommand<const S extends OptionSpecs>(definition: CommandDefinition<S>): Command {
  return definition as unknown as Command
}
