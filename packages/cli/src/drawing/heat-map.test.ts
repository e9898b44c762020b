import { describe, expect, it } from 'vitest'
import { heatMapSvg } from './heat-map.ts'

const grid = {
  alphas: [0, 0.3, 1],
  steps: [0, 1 / 64],
  values: [
    [0.75, 1],
    [0.5, 0.25],
    [0, 1],
  ],
  counts: [
    [3, 4],
    [2, 1],
    [0, 4],
  ],
  n: 4,
  title: 'A < B & "C"',
}

describe('heatMapSvg', () => {
  const svg = heatMapSvg(grid)

  it('says every cell in words and in colour', () => {
    for (const [i, alpha] of ['0', '0.3', '1'].entries()) {
      for (const [j, step] of ['0', '0.0156'].entries()) {
        expect(svg).toContain(`<title>α ${alpha}, step ${step}: ${grid.counts[i]![j]} of 4</title>`)
        expect(svg).toContain(`fill-opacity="${grid.values[i]![j]}"`)
      }
    }
  })

  it('frames every best cell and no other', () => {
    expect(svg.match(/class="best"/g)).toHaveLength(2)
    expect(svg).toContain('Best: α 0 with step 0.0156 (4), α 1 with step 0.0156 (4).')
  })

  it('escapes its title and loads nothing from elsewhere', () => {
    expect(svg).toContain('A &lt; B &amp; &quot;C&quot;')
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import|<script/)
  })
})
