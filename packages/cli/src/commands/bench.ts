/** `afterthought bench`: not written yet. */

import { type Command, defineCommand } from '../command.ts'
import { UsageError } from '../usage-error.ts'

export const command: Command = defineCommand({
  description: 'Not written yet.',
  examples: [],
  options: {},
  async run() {
    throw new UsageError('bench is not written yet')
  },
})
