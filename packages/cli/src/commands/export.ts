/** `afterthought export`: a whole trajectory, refinement and references inside, as one ONNX model. */

import type { LanguageModel } from '@afterthought/core'
import { type Command, defineCommand } from '../command.ts'
import { backendOptions, modelOptions, refinementOptions, thoughtOptions } from '../options.ts'
import { UsageError } from '../usage-error.ts'

/** Columns of the prompts, where the model has as many positions. */
const PROMPT_LENGTH = 192
/** Tokens of a model that does not say how many an answer takes: every one is a copy of the decoder in the graph. */
const TOKENS = 16

export const command: Command = defineCommand({
  description:
    'Writes prompt → thoughts → greedy tokens as one .onnx file with its weights beside it, for ONNX Runtime and the\n' +
    'servers built on it. Refinement is part of it, both reference models included. Inputs are input_ids and\n' +
    'attention_mask [batch, S], int64, padded on the left; outputs tokens [batch, N], thoughts [batch, T, D] and the\n' +
    'logits of the first token, answer_logits [batch, V]. The batch is open; S, T and N are fixed.',
  examples: [
    ['export --out prosqa.onnx', 'the embedded model with its six thoughts'],
    ['export --out refined.onnx --alpha 0.1 --step 0.25', 'with refinement and both references inside'],
    ['export --out small.onnx --dtype int8 --prompt-length 96', 'weights in 8 bits, shorter prompts'],
  ],
  options: {
    out: { type: 'text', value: 'FILE.onnx', description: 'The model; its weights become FILE.onnx.data' },
    'prompt-length': {
      type: 'integer',
      least: 1,
      value: 'S',
      description: `Columns of the prompts, padding included; default ${PROMPT_LENGTH}`,
    },
    'max-tokens': {
      type: 'integer',
      least: 1,
      value: 'N',
      description: `Tokens of an answer; default what the model was made for, or ${TOKENS}`,
    },
    'end-ids': { type: 'numbers', value: 'ID', description: "Tokens after the thoughts; default the model's" },
    batch: { type: 'integer', least: 1, value: 'B', description: 'A fixed number of rows; default any' },
    latents: thoughtOptions.latents,
    ...refinementOptions,
    ...modelOptions,
    dtype: { ...backendOptions.dtype, choices: ['f32', 'int8', 'int4'] },
  },
  async run({ values, output }) {
    const { out } = values
    if (out === undefined) throw new UsageError('the file is missing', { where: '--out', expected: 'FILE.onnx' })
    if (values.control === 'pause') {
      throw new UsageError('cannot be exported', { where: '--control pause', expected: 'thoughts of the model' })
    }
    const [
      { withSession },
      { refuseFolders },
      { readRefinement, refuseSlotsBeyond, refuseUnusedReferences },
      { exportGraph },
    ] = await Promise.all([
      import('../models.ts'),
      import('../files.ts'),
      import('../settings.ts'),
      import('@afterthought/core'),
    ])
    refuseFolders({ out })
    const refinement = readRefinement(values)
    refuseUnusedReferences(values, [{ ...(refinement && { refinement }) }])
    // Nothing is computed: models are opened for their configurations and weights.
    const session = { ...values, backend: 'reference', dtype: undefined, threads: undefined } as const
    await withSession(session, output, async ({ models }) => {
      const { main } = models
      const latents = values.latents ?? main.latent?.latents ?? 0
      refuseSlotsBeyond(latents, refinement)
      const tokens = values['max-tokens'] ?? tokensOf(main)
      const endIds = values['end-ids'] ?? main.latent?.endIds ?? []
      const { graph, parameters, batch } = exportGraph(models, {
        promptLength:
          values['prompt-length'] ?? Math.min(PROMPT_LENGTH, roomOf(main, latents + tokens + endIds.length)),
        latents,
        tokens,
        endIds,
        ...(refinement && { refinement }),
        ...(values.batch !== undefined && { batch: values.batch }),
      })
      const { exportOnnx } = await import('@afterthought/backend-onnx')
      const report = await exportOnnx({
        graph,
        parameters,
        file: out,
        wideInputs: ['input_ids', 'attention_mask'],
        ...(values.batch === undefined && { batch }),
        ...(values.dtype && { dtype: values.dtype }),
      })
      const { formatBytes } = await import('../models.ts')
      output.result(report, () =>
        [
          `${report.file} and ${report.weights}, ${formatBytes(report.bytes)}, opset ${report.opset}`,
          ...report.inputs.map(({ name, dtype, shape }) => `  in   ${name} ${dtype} [${shape.join(', ')}]`),
          ...report.outputs.map(({ name, dtype, shape }) => `  out  ${name} ${dtype} [${shape.join(', ')}]`),
        ].join('\n'),
      )
    })
    return 0
  },
})

function tokensOf({ latent }: LanguageModel): number {
  return latent?.tokens ?? (latent?.format === 'prosqa-symbolic' ? 1 : TOKENS)
}

/** Positions that are left for the prompt. */
function roomOf({ config }: LanguageModel, taken: number): number {
  return Math.max(config.maxPositions - taken, 1)
}
