/** `afterthought generate`: what a model says next, after ids, a prompt or a chat; with thoughts in between if asked. */

import type { LanguageModel, SamplingOptions } from '@afterthought/core'
import type { Values } from '../arguments.ts'
import { type Command, defineCommand } from '../command.ts'
import { backendOptions, modelOptions, refinementOptions, thoughtOptions } from '../options.ts'
import type { Output } from '../output.ts'
import { UsageError } from '../usage-error.ts'

const promptOptions = {
  ids: { type: 'text', value: '1,2,3', group: 'Prompt', description: 'Token ids; - reads them from standard input' },
  prompt: { type: 'text', group: 'Prompt', description: 'A text to continue, or -' },
  chat: { type: 'text', group: 'Prompt', description: "A user's message for the model's chat template, or -" },
} as const

const samplingOptions = {
  greedy: { type: 'flag', group: 'Sampling', description: 'The most probable token, always; the default' },
  temperature: {
    type: 'number',
    least: 0,
    value: 'X',
    group: 'Sampling',
    description: 'Draw, with logits divided by X',
  },
  'top-k': { type: 'integer', least: 1, value: 'K', group: 'Sampling', description: 'Draw from the K best' },
  'top-p': {
    type: 'number',
    above: 0,
    most: 1,
    value: 'P',
    group: 'Sampling',
    description: 'Draw from the best that sum up to P',
  },
  'min-p': {
    type: 'number',
    least: 0,
    most: 1,
    value: 'P',
    group: 'Sampling',
    description: 'Drop what is P times less probable',
  },
} as const

/** Where the model has room for them and nothing else was asked for. */
const DEFAULT_TOKENS = 128

export const command: Command = defineCommand({
  description: 'Continues token ids, a text or a chat, token by token.',
  examples: [
    ['generate --model HuggingFaceTB/SmolLM2-135M-Instruct --chat "What is the capital of France?"', ''],
    ['generate --model ./my-model --prompt "Once upon a time" --temperature 0.8 --top-p 0.95 --seed 1', ''],
    ['generate --ids 40,0,1,42,1,2,43,0 --latents 6 --max-tokens 1', 'the embedded model, by ids'],
  ],
  options: {
    ...promptOptions,
    'max-tokens': {
      type: 'integer',
      least: 1,
      value: 'N',
      description: `New tokens at most; default ${DEFAULT_TOKENS}`,
    },
    'no-eos': { type: 'flag', description: 'Do not stop at an end token' },
    ...samplingOptions,
    ...thoughtOptions,
    ...refinementOptions,
    ...modelOptions,
    ...backendOptions,
  },
  async run({ values, output, signal, readInput }) {
    const prompt = await readPrompt(values, readInput)
    const sampling = readSampling(values)
    const [{ withSession }, { readSettings, refuseUnusedReferences }, { rolloutSettings }, { rollout }] =
      await Promise.all([
        import('../models.ts'),
        import('../settings.ts'),
        import('../thinking.ts'),
        import('@afterthought/core'),
      ])
    await withSession(values, output, async ({ models, loadMs }) => {
      const { main } = models
      const settings = readSettings(values, 0)
      refuseUnusedReferences(values, [settings])
      const promptIds = encodePrompt(main, prompt)
      const endIds = settings.latents > 0 ? (main.latent?.endIds ?? []) : []
      const room = main.config.maxPositions - promptIds.length - settings.latents - endIds.length
      const stream = new TokenStream(main, output)
      const { rows, ms } = await rollout(models, [promptIds], {
        ...rolloutSettings(settings),
        // Where there is no room at all the rollout says so.
        tokens: values['max-tokens'] ?? Math.max(1, Math.min(DEFAULT_TOKENS, room)),
        endIds,
        ...(values['no-eos'] && { stopIds: [] }),
        ...(sampling && { sampling }),
        seed: values.seed ?? 0,
        signal,
        onStep: ({ kind, tokens }) => kind === 'token' && stream.push(tokens![0]!),
      })
      const { tokens: ids, finish } = rows[0]!
      const text = main.tokenizer?.decode(ids, { skipSpecial: true })
      const document = { ids, ...(text !== undefined && { text }), finish, ms: { load: loadMs, ...ms } }
      output.result(document, () => stream.end())
    })
    return 0
  },
})

type GenerateValues = Values<typeof promptOptions & typeof samplingOptions>

interface Prompt {
  readonly kind: 'ids' | 'prompt' | 'chat'
  readonly text: string
}

async function readPrompt(values: GenerateValues, readInput: () => Promise<string>): Promise<Prompt> {
  const given = (['ids', 'prompt', 'chat'] as const).filter((kind) => values[kind] !== undefined)
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    throw new UsageError(kind === undefined ? 'nothing to start from' : 'more than one prompt', {
      where: 'generate',
      expected: 'one of --ids, --prompt and --chat',
    })
  }
  const text = values[kind]!
  return { kind, text: text === '-' ? await readInput() : text }
}

function readSampling(values: GenerateValues): SamplingOptions | undefined {
  const { temperature, 'top-k': topK, 'top-p': topP, 'min-p': minP, greedy } = values
  const given = { temperature, topK, topP, minP }
  if (Object.values(given).every((value) => value === undefined)) return undefined
  if (greedy) throw new UsageError('contradicts the sampling options', { where: '--greedy' })
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function encodePrompt(model: LanguageModel, { kind, text }: Prompt): readonly number[] {
  if (kind === 'ids') return parseIds(text)
  if (kind === 'prompt' && model.latent?.format === 'prosqa-symbolic') {
    throw new UsageError('the model reads questions in symbols of its own, no text', {
      where: `--prompt with ${model.id}`,
      expected: 'a model that reads text',
      hint: 'Ask it with afterthought solve "…", or give token ids: --ids 1,2,3',
    })
  }
  if (model.tokenizer === undefined) {
    throw new UsageError('the model has no tokenizer', { where: model.id, hint: 'Give token ids: --ids 1,2,3' })
  }
  return kind === 'prompt' ? model.tokenizer.encode(text) : model.tokenizer.chat([{ role: 'user', content: text }])
}

function parseIds(text: string): readonly number[] {
  const words = text.trim().split(/\s*,\s*|\s+/)
  const wrong = words.find((word) => !/^-?\d+$/.test(word))
  if (wrong === undefined) return words.map(Number)
  throw new UsageError('not a token id', { where: '--ids', expected: 'ids as 1,2,3', actual: JSON.stringify(wrong) })
}

/** Shows tokens as they come. A character may take several tokens, so half of one waits for the rest. */
class TokenStream {
  private readonly model: LanguageModel
  private readonly output: Output
  private readonly ids: number[] = []
  private shown = ''

  constructor(model: LanguageModel, output: Output) {
    this.model = model
    this.output = output
  }

  push(id: number): void {
    this.ids.push(id)
    const { tokenizer } = this.model
    if (tokenizer === undefined) {
      this.output.write(`${this.ids.length === 1 ? '' : ' '}${id}`)
      return
    }
    const text = tokenizer.decode(this.ids, { skipSpecial: true })
    if (text.endsWith('\uFFFD') || !text.startsWith(this.shown)) return
    this.output.write(text.slice(this.shown.length))
    this.shown = text
  }

  /** What was held back. */
  end(): string {
    return this.model.tokenizer?.decode(this.ids, { skipSpecial: true }).slice(this.shown.length) ?? ''
  }
}
