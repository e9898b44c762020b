/**
 * `afterthought complete`: shell completion through @bomb.sh/tab. `complete zsh` prints the script for a shell; the script
 * asks back with `complete -- WORDS`, and gets the candidates for the last word.
 */

import tab from '@bomb.sh/tab'
import type { OptionSpec } from '../arguments.ts'
import { type Command, defineCommand } from '../command.ts'
import { commands } from '../commands.ts'
import { commonOptions } from '../options.ts'
import { UsageError } from '../usage-error.ts'

const shells = ['zsh', 'bash', 'fish', 'powershell']

export const command: Command = defineCommand({
  description: 'Prints the script that lets a shell complete commands, options and their values.',
  examples: [
    ['complete zsh > ~/.zfunc/_afterthought', 'for zsh'],
    ['complete bash >> ~/.bashrc', 'for bash'],
  ],
  operand: { name: 'SHELL', description: shells.join(', '), required: true },
  options: {},
  async run({ operand }) {
    if (!shells.includes(operand!)) {
      throw new UsageError('unknown shell', { where: 'complete', expected: shells.join(', '), actual: operand! })
    }
    tab.setup('afterthought', 'afterthought', operand!)
    return 0
  },
})

/** Prints the candidates for the last of `words`, as the script of the shell expects them. */
export async function completeWords(words: readonly string[]): Promise<void> {
  for (const [name, entry] of Object.entries(commands)) {
    const completion = tab.command(name, entry.summary)
    // Only the command that is being typed has to be loaded.
    if (words[0] !== name) continue
    const { command: typed } = await entry.load()
    for (const [option, spec] of Object.entries({ ...typed.options, ...commonOptions } as Record<string, OptionSpec>)) {
      completion.option(option, spec.description, (complete) => {
        const choices = 'choices' in spec ? (spec.choices ?? []) : []
        for (const choice of choices) complete(choice, '')
      })
    }
  }
  tab.parse([...words])
}
