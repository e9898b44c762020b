import { describe, expect, it } from 'vitest'
import { type ControllableSettings, controls, findControls } from './controls.ts'

const plain: ControllableSettings = { latents: 6 }
const refined: ControllableSettings = { latents: 6, refinement: { residual: { alpha: 0.1 }, search: { sign: 'code' } } }
const names = (list: string, base: ControllableSettings): string[] =>
  findControls(list, base).map((control) => control.name)
const settingsOf = (name: string, base: ControllableSettings): unknown => findControls(name, base)[0]?.settings(base)

describe('controls', () => {
  it('are all that change something', () => {
    expect(names('all', plain)).toEqual([
      'no-thoughts',
      'zero',
      'noise',
      'first',
      'other-question',
      'permute',
      'pause',
      'alpha-1',
      'latents-1',
      'latents-2',
      'latents-3',
      'latents-4',
      'latents-5',
      'latents-7',
      'latents-8',
    ])
    expect(names('all', refined)).toEqual(
      controls.map((control) => control.name).filter((name) => name !== 'latents-6'),
    )
    expect(names('all', { latents: 0 })).not.toContain('zero')
  })

  it('change their setting and leave the others', () => {
    expect(settingsOf('no-thoughts', plain)).toEqual({ latents: 0 })
    expect(settingsOf('latents-12', plain)).toEqual({ latents: 12 })
    expect(settingsOf('pause', plain)).toEqual({ replace: 'pause' })
    expect(settingsOf('alpha-1', refined)).toEqual({ refinement: { residual: { alpha: 1 }, search: { sign: 'code' } } })
    expect(settingsOf('opposite-sign', refined)).toEqual({
      refinement: { residual: { alpha: 0.1 }, search: { sign: 'paper' } },
    })
    expect(settingsOf('random-direction', refined)).toMatchObject({
      refinement: { control: 'randomDirection', search: { sign: 'code' } },
    })
    expect(settingsOf('swapped-references', refined)).toMatchObject({ refinement: { control: 'swapReferences' } })
  })

  it('stand once, in the order asked for', () => {
    expect(names('pause, zero,pause', plain)).toEqual(['pause', 'zero'])
  })

  it('are refused where unknown or without effect', () => {
    expect(() => findControls('zeros', plain)).toThrow(
      /controls: unknown control; expected all, latents-K, or some of no-thoughts/,
    )
    expect(() => findControls('opposite-sign', plain)).toThrow(
      /the control opposite-sign does not apply; .* contrastive search off/,
    )
  })
})
