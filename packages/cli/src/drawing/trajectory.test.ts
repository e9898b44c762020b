import { encodeProsqa } from '@afterthought/core/data'
import { describe, expect, it } from 'vitest'
import { viewGraph } from '../thinking.ts'
import { layoutGraph } from './graph-layout.ts'
import { trajectoryPage } from './page.ts'
import { curvePanels, type DrawnThought, type Trajectory, thoughtPanels, trajectorySvg } from './trajectory.ts'

const text =
  'Tom is a wumpus. Every wumpus is a lorpus. Every wumpus is a rempus. Every rempus is a yumpus. ' +
  'Every rempus is a wumpus. Every jelpus is a zumpus. Is Tom a yumpus or zumpus?'
const question = encodeProsqa(text)
const idOf = (name: string): number => question.symbols.indexOf(name)

const thought = (t: number, reading: Record<string, number>): DrawnThought => ({
  t,
  norm: 5 + t,
  displacement: t / 2,
  moved: 0.25,
  entropy: 0.5,
  top: Object.entries(reading).map(([token, probability]) => ({ id: idOf(token), token, logit: 1, probability })),
})

const thoughts = [thought(1, { wumpus: 0.97, jelpus: 0.02 }), thought(2, { lorpus: 0.51, rempus: 0.4, zumpus: 0.09 })]
const graph = { question, view: viewGraph(question, 2) }
const one: Trajectory = {
  question: text,
  setting: '2 thoughts',
  runs: [{ name: 'plain', answer: 'Tom is a yumpus.', thoughts }],
  graph,
}
const two: Trajectory = { ...one, runs: [{ name: 'alpha 0.3', answer: 'Tom is a zumpus.', thoughts }, one.runs[0]] }

const hostile = '</text><script>alert(1)</script> & "\u0000\ud800'
const spoken: Trajectory = {
  question: `Why ${hostile}?`,
  setting: hostile,
  runs: [
    {
      name: 'plain',
      answer: hostile,
      thoughts: [{ ...thought(1, {}), top: [{ id: 1, token: hostile, logit: 1, probability: 0.5 }] }],
    },
  ],
}

/** Every tag is closed by its own name, and `&` starts an entity. */
function isWellFormed(markup: string): boolean {
  const open: string[] = []
  for (const [, closing, name, selfClosing] of markup.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
    if (selfClosing || /^(meta|link|br)$/.test(name!)) continue
    if (!closing) open.push(name!)
    else if (open.pop() !== name) return false
  }
  return open.length === 0 && !/&(?!amp;|lt;|gt;|quot;|#39;)/.test(markup)
}

describe('layoutGraph', () => {
  const layout = layoutGraph(question, graph.view, 344)

  it('puts names into columns by facts from the person, and the unreached below', () => {
    const node = (name: string) => layout.nodes.find((placed) => placed.name === name)!
    const columns = ['Tom', 'wumpus', 'rempus', 'yumpus'].map((name) => node(name).x)
    expect(columns).toEqual([...columns].sort((a, b) => a - b))
    expect(new Set(columns).size).toBe(4)
    expect(node('lorpus').x).toBe(node('rempus').x)
    expect(node('jelpus').y).toBeGreaterThan(layout.unreachedTop!)
    expect(node('zumpus')).toMatchObject({ kind: 'option', hops: -1 })
    expect(node('Tom')).toMatchObject({ kind: 'person', hops: 0 })
  })

  it('gives every name a place of its own inside the drawing', () => {
    const places = layout.nodes.map(({ x, y }) => `${x},${y}`)
    expect(new Set(places).size).toBe(question.symbols.length)
    for (const { x, y } of layout.nodes) {
      expect(x).toBeGreaterThanOrEqual(30)
      expect(x).toBeLessThanOrEqual(344 - 30)
      expect(y).toBeGreaterThan(0)
      expect(y).toBeLessThan(layout.height)
    }
  })

  it('draws the facts between reachable names only', () => {
    const names = layout.edges.map(([source, target]) => `${source.name} ${target.name}`)
    expect(names).toEqual(['Tom wumpus', 'wumpus lorpus', 'wumpus rempus', 'rempus yumpus', 'rempus wumpus'])
  })
})

describe('pictures of a trajectory', () => {
  it('has a panel for each thought and run, which says what it shows', () => {
    expect(thoughtPanels(one).map((row) => row.length)).toEqual([1, 1])
    expect(thoughtPanels(two).map((row) => row.map(({ title }) => title))).toEqual([
      ['Thought 1, alpha 0.3', 'Thought 1, plain'],
      ['Thought 2, alpha 0.3', 'Thought 2, plain'],
    ])
    const panel = thoughtPanels(one)[1]![0]!
    expect(panel.description).toBe(
      'Thought 2 reads as lorpus 0.51, rempus 0.40, zumpus 0.09. That many facts away: lorpus, rempus.',
    )
    expect(panel.elements.join('')).toContain('2 facts away: 0.91')
    expect(panel.elements.join('').match(/class="frontier"/g)).toHaveLength(2)
  })

  it('makes the area of a glow its probability', () => {
    const drawn = thoughtPanels(one)[1]![0]!.elements.join('')
    const radii = [...drawn.matchAll(/r="([\d.]+)" class="glow" fill-opacity="0.9"/g)].map(([, r]) => Number(r))
    expect(radii).toHaveLength(3)
    for (const probability of [0.51, 0.4, 0.09]) {
      expect(radii.some((r) => Math.abs(r - 16 * Math.sqrt(probability)) < 0.01)).toBe(true)
    }
  })

  it('adds a curve of the moves where something was moved', () => {
    expect(curvePanels(two).map(({ title }) => title)).toEqual([
      'Entropy, nats of the thoughts',
      'Norm of the thoughts',
      'Displacement of the thoughts',
      'Moved from the proposal of the thoughts',
    ])
    const unmoved = { ...one, runs: [{ ...one.runs[0], thoughts: thoughts.map((t) => ({ ...t, moved: 0 })) }] } as const
    expect(curvePanels(unmoved)).toHaveLength(3)
  })

  it('is well formed, loads nothing and runs nothing, whatever the names are', () => {
    for (const trajectory of [one, two, spoken]) {
      for (const markup of [trajectorySvg(trajectory), trajectoryPage(trajectory).replace('<!doctype html>', '')]) {
        expect(isWellFormed(markup)).toBe(true)
        expect(markup.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/<script|https?:|url\(|@import|\ssrc=/)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not be there
        expect(markup).not.toMatch(/[\u0000-\u0008]|\p{Surrogate}/u)
        expect(markup).not.toMatch(/NaN|undefined|Infinity/)
      }
    }
  })

  it('names every picture for those who cannot see it, under ids of its own', () => {
    const page = trajectoryPage(two)
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!)
    expect(new Set(ids).size).toBe(ids.length)
    const labels = [...page.matchAll(/role="img" aria-labelledby="([^"]+)"/g)].flatMap(([, names]) => names!.split(' '))
    expect(labels).toHaveLength(2 * (4 + 4))
    expect(labels.every((id) => ids.includes(id))).toBe(true)
  })

  it('draws an answer without thoughts', () => {
    const none: Trajectory = { ...one, runs: [{ name: 'plain', answer: 'Tom is a yumpus.', thoughts: [] }] }
    expect(isWellFormed(trajectorySvg(none))).toBe(true)
    expect(trajectoryPage(none)).toContain('No thoughts')
  })
})
