/** Every refinement option reaches core under core's name; none is silently without effect. */

import type { RefinementOptions } from '@afterthought/core'
import { expect, test } from 'vitest'
import { parseArguments } from './arguments.ts'
import { refinementOptions, thoughtOptions } from './options.ts'
import { describeSettings, needsReferences, type Preset, presetSettings, readSettings } from './settings.ts'

const valuesOf = (line: string) =>
  parseArguments(line === '' ? [] : line.split(' '), { ...refinementOptions, ...thoughtOptions }).values
const settingsOf = (line: string) => readSettings(valuesOf(line), 6)

const cases: readonly (readonly [line: string, refinement: RefinementOptions])[] = [
  ['--alpha 0.3', { residual: { alpha: 0.3 } }],
  ['--alpha 0.3 --first none', { residual: { alpha: 0.3, first: 'none' } }],
  ['--alpha 0.3 --first start-embedding', { residual: { alpha: 0.3, first: 'startEmbedding' } }],
  ['--step 0.25', { search: { step: 0.25 } }],
  ['--eta 4', { search: { eta: 4 } }],
  ['--lambda 0.1', { search: { lambda: 0.1, stepMode: 'relative' } }],
  ['--lambda 0.1 --step-mode relative', { search: { lambda: 0.1, stepMode: 'relative' } }],
  ['--step 1 --sign code', { search: { step: 1, sign: 'code' } }],
  ['--step 1 --sign paper', { search: { step: 1, sign: 'paper' } }],
  ['--eta 1 --reduction per-vector', { search: { eta: 1, reduction: 'perVector' } }],
  ['--eta 1 --reduction batch-mean', { search: { eta: 1, reduction: 'batchMean' } }],
  ['--eta 1 --reduction sum', { search: { eta: 1, reduction: 'sum' } }],
  ['--step 1 --step-mode gradient', { search: { step: 1 } }],
  ['--step 1 --gradient full', { search: { step: 1, gradient: 'full' } }],
  ['--step 1 --gradient detached', { search: { step: 1, gradient: 'detached' } }],
  ['--step 1 --inner-steps 3', { search: { step: 1, innerSteps: 3 } }],
  ['--step 1 --recompute-references', { search: { step: 1, recomputeReferences: true } }],
  ['--step 1 --ref-context none', { search: { step: 1, refContext: 'none' } }],
  ['--step 1 --ref-embeddings main', { search: { step: 1, refEmbeddings: 'main' } }],
  ['--step 1 --ref-step same', { search: { step: 1, refStep: 'same' } }],
  ['--step 1 --ref-commit probe', { search: { step: 1, refCommit: 'probe' } }],
  ['--step 1 --control random-direction', { search: { step: 1 }, control: 'randomDirection' }],
  ['--step 1 --control swap-references', { search: { step: 1 }, control: 'swapReferences' }],
  ['--step 1 --control none', { search: { step: 1 } }],
  [
    '--alpha 0.5 --step 1 --order search-first',
    { residual: { alpha: 0.5 }, search: { step: 1 }, order: 'search-first' },
  ],
  ['--alpha 0.5 --apply-at 1,3', { residual: { alpha: 0.5 }, applyAt: [1, 3] }],
  ['--alpha 0.5 --apply-at every', { residual: { alpha: 0.5 }, applyAt: 'every' }],
]

test.each(cases)('%s', (line, refinement) => {
  expect(settingsOf(line)).toEqual({ latents: 6, refinement })
})

test('the cases above leave out no option', () => {
  const tested = new Set(cases.flatMap(([line]) => [...line.matchAll(/--([a-z-]+)/g)].map((match) => match[1])))
  expect([...tested].sort()).toEqual(Object.keys(refinementOptions).sort())
})

test('thoughts: their number, and what stands in their places', () => {
  expect(settingsOf('')).toEqual({ latents: 6 })
  expect(settingsOf('--latents 0')).toEqual({ latents: 0 })
  expect(settingsOf('--replace other-question')).toEqual({ latents: 6, replace: 'other-question' })
  expect(settingsOf('--control pause')).toEqual({ latents: 6, replace: 'pause' })
})

test.each([
  ['--first none', /--first: has no effect without --alpha/],
  ['--sign code', /--sign: has no effect without --step/],
  ['--alpha 0.1 --ref-step same', /--ref-step: has no effect/],
  ['--recompute-references', /--recompute-references: has no effect/],
  ['--order search-first', /--order: has no effect/],
  ['--apply-at 1', /--apply-at: has no effect/],
  ['--control swap-references', /--control: has no effect/],
  ['--step 1 --eta 1', /--eta and --step: a step has one size|--step and --eta|one size/],
  ['--step 1 --step-mode relative', /expected --lambda/],
  ['--alpha 0.1 --apply-at 2,7', /--apply-at: .*slots of 6 thoughts, got 7/],
  ['--alpha 0.1 --apply-at 0', /--apply-at: not understood/],
  ['--replace zero --control pause', /contradicts --replace/],
  ['--replace zero --alpha 0.3 --first none', /--replace zero: .*nothing is left to refine; got --alpha, --first$/],
  ['--replace first --step 0.25 --sign paper', /--replace first: .*; got --step, --sign$/],
  ['--replace noise --alpha 0.1', /--replace noise: .*; got --alpha$/],
  ['--control pause --alpha 0.3', /--control pause: .*; got --alpha$/],
])('%s is wrong use', (line, message) => {
  expect(() => settingsOf(line)).toThrow(message)
})

test('thoughts that are borrowed may be refined ones', () => {
  const refinement = { residual: { alpha: 0.3 } }
  expect(settingsOf('--replace permute --alpha 0.3')).toEqual({ latents: 6, replace: 'permute', refinement })
  expect(settingsOf('--replace other-question --alpha 0.3')).toMatchObject({ replace: 'other-question', refinement })
})

test('presets keep what concerns them of the options, and have strengths of their own', () => {
  const preset = (name: Preset, line: string) => presetSettings(name, valuesOf(line), 6)
  expect(preset('plain', '--alpha 0.5 --sign paper')).toEqual({ latents: 6 })
  expect(preset('residual', '--sign paper --latents 3')).toEqual({
    latents: 3,
    refinement: { residual: { alpha: 0.1 } },
  })
  expect(preset('residual', '--alpha 0.5').refinement).toEqual({ residual: { alpha: 0.5 } })
  expect(preset('contrastive', '--sign paper').refinement).toEqual({ search: { step: 0.25, sign: 'paper' } })
  expect(preset('contrastive', '--alpha 0.5 --eta 2').refinement).toEqual({ search: { eta: 2 } })
  expect(preset('plain', '--replace zero --alpha 0.5')).toEqual({ latents: 6, replace: 'zero' })
  expect(() => preset('both', '--replace zero')).toThrow(/--replace zero: .*; got --settings both$/)
  expect(() => preset('contrastive', '--control pause')).toThrow(/--control pause: .*; got --settings contrastive$/)
  expect(preset('both', '').refinement).toEqual({ residual: { alpha: 0.1 }, search: { step: 0.25 } })
})

test('settings in words, and whether they ask references', () => {
  expect(describeSettings(settingsOf(''))).toBe('plain')
  expect(describeSettings(settingsOf('--alpha 0.1 --step 0.25 --sign paper'))).toBe('alpha 0.1, step 0.25 paper')
  expect(describeSettings(settingsOf('--replace zero'))).toBe('zero')
  expect(needsReferences(settingsOf('--alpha 0.1'))).toBe(false)
  expect(needsReferences(settingsOf('--step 0'))).toBe(false)
  expect(needsReferences(settingsOf('--step 0.1'))).toBe(true)
  expect(needsReferences(settingsOf('--step 0.1 --latents 0'))).toBe(false)
})
