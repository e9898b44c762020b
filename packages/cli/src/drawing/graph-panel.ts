/**
 * One thought over the graph of its question: how its reading spreads over the names. The area of a node's glow is its
 * probability; a dashed ring marks the names exactly t facts away from the person, where the frontier should be.
 */

import type { GraphLayout, PlacedNode } from './graph-layout.ts'
import { type Drawing, element, escapeText, label, moved } from './svg.ts'
import type { DrawnThought } from './trajectory.ts'
import { numberText, shorten } from './words.ts'

const HEADER = 46
/** Radius of a certain name's glow. */
const GLOW = 16
/** Radius of the ring around what is exactly t facts away. */
const RING = 18
/** Probabilities below this are drawn, but not written. */
const WRITTEN = 0.05

/**
 * @param frontier ids exactly t facts away
 * @param run what the run is called, where there is more than one
 */
export function graphPanel(
  layout: GraphLayout,
  thought: DrawnThought,
  frontier: readonly number[],
  run: string | undefined,
): Drawing {
  const heading = `Thought ${thought.t}`
  const probabilities = new Map(thought.top.map(({ id, probability }) => [id, probability]))
  const of = (node: PlacedNode): number => probabilities.get(node.id) ?? 0
  const inGraph = layout.nodes.reduce((sum, node) => sum + of(node), 0)
  const onFrontier = layout.nodes.reduce((sum, node) => sum + (frontier.includes(node.id) ? of(node) : 0), 0)
  const { width } = layout
  return {
    width,
    height: HEADER + layout.height,
    title: run ? `${heading}, ${run}` : heading,
    description: describe(layout, of, frontier, heading),
    elements: [
      element('rect', { width, height: HEADER + layout.height, rx: 10, class: 'panel' }),
      label(14, 25, heading, { class: 'strong' }),
      ...(run ? [label(14, 42, shorten(run, 26), { class: 'muted small' })] : []),
      ...summary(thought.t, frontier.length === 0 ? undefined : onFrontier, 1 - inGraph).map((line, i) =>
        label(width - 14, 25 + i * 17, line, { class: 'muted small', 'text-anchor': 'end' }),
      ),
      moved(0, HEADER, [
        ...layout.edges.map(([source, target]) => edge(source, target)),
        ...unreachedHeading(layout),
        ...layout.nodes.map((node) => shape(node, 'disc')),
        ...layout.nodes.map((node) => glow(node, of(node))),
        ...layout.nodes.map((node) => mark(node, of(node), frontier.includes(node.id), layout)),
      ]),
    ],
  }
}

/** Where the reading's mass is. */
function summary(t: number, onFrontier: number | undefined, elsewhere: number): string[] {
  const facts = t === 1 ? '1 fact away' : `${t} facts away`
  return [
    onFrontier === undefined ? `nothing is ${facts}` : `${facts}: ${numberText(onFrontier)}`,
    ...(elsewhere >= 0.005 ? [`no name: ${numberText(elsewhere)}`] : []),
  ]
}

function unreachedHeading({ unreachedTop, width, person }: GraphLayout): string[] {
  if (unreachedTop === undefined) return []
  return [
    element('line', {
      x1: 14,
      x2: width - 14,
      y1: unreachedTop,
      y2: unreachedTop,
      class: 'axis',
      'stroke-dasharray': '2 4',
    }),
    label(14, unreachedTop + 16, `no chain of facts leads here from ${shorten(person, 20)}`, { class: 'muted small' }),
  ]
}

/** Forwards a gentle S; within a column or backwards an arc. */
function edge(source: PlacedNode, target: PlacedNode): string {
  const [from, to] = [
    { x: source.x, y: source.y },
    { x: target.x, y: target.y },
  ]
  const forwards = to.x > from.x
  const bend = forwards ? (to.x - from.x) / 2 : 26
  const first = { x: from.x + bend, y: from.y }
  const second = { x: forwards ? to.x - bend : to.x + bend, y: to.y }
  const end = towards(to, second, 9)
  const tip = [towards(to, second, 7), sideways(to, second, 11, 2.6), sideways(to, second, 11, -2.6)]
  const path = `M${point(towards(from, first, 7))}C${point(first)} ${point(second)} ${point(end)}`
  return (
    element('path', { d: path, class: 'edge', 'stroke-width': 1.1 }) +
    element('path', { d: `M${tip.map(point).join('L')}Z`, class: 'head' })
  )
}

interface Point {
  readonly x: number
  readonly y: number
}

const point = ({ x, y }: Point): string => `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`

/** The point `distance` from `from` on the way to `to`. */
function towards(from: Point, to: Point, distance: number): Point {
  return sideways(from, to, distance, 0)
}

function sideways(from: Point, to: Point, along: number, across: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length]
  return { x: from.x + along * dx - across * dy, y: from.y + along * dy + across * dx }
}

/** The area is the probability. */
const glowRadius = (probability: number): number => GLOW * Math.sqrt(probability)

function glow({ x, y }: PlacedNode, probability: number): string {
  const r = glowRadius(probability)
  if (r < 0.5) return ''
  const circle = (radius: number, opacity: number): string =>
    element('circle', { cx: x, cy: y, r: radius, class: 'glow', 'fill-opacity': opacity })
  return circle(1.4 * r, 0.22) + circle(r, 0.9)
}

function mark(node: PlacedNode, probability: number, expected: boolean, { nameLength, width }: GraphLayout): string {
  const { x, y, name, kind, hops } = node
  const away = hops < 0 ? 'not reached' : hops === 1 ? '1 fact away' : `${hops} facts away`
  // Name and number stand clear of what is drawn around the node.
  const clear = Math.max(expected ? RING : 8, 1.4 * glowRadius(probability)) + 2
  const ring = { cx: x, cy: y, r: RING, class: 'frontier', 'stroke-width': 1.2, 'stroke-dasharray': '2.5 2.5' }
  const named = { class: kind === 'concept' ? 'name' : 'name strong', 'text-anchor': 'middle' }
  const side = x > width - 45 ? -1 : 1
  const value = { class: 'name strong', 'text-anchor': side > 0 ? 'start' : 'end' }
  return element('g', {}, [
    `<title>${escapeText(`${name}: ${numberText(probability)}; ${kind}, ${away}`)}</title>`,
    ...(expected ? [element('circle', ring)] : []),
    shape(node, 'outline'),
    label(x, y + Math.max(20, clear + 8), shorten(name, nameLength), named),
    ...(probability >= WRITTEN ? [label(x + 0.8 * clear * side, y - 0.6 * clear, numberText(probability), value)] : []),
  ])
}

/** A diamond for the person, squares for the options, circles for the rest. The outline stays visible over the glow. */
function shape({ x, y, kind }: PlacedNode, part: 'disc' | 'outline'): string {
  if (kind === 'concept') return element('circle', { cx: x, cy: y, r: 4, class: `node ${part}`, 'stroke-width': 1.3 })
  const turned = kind === 'person' ? { transform: `rotate(45 ${x} ${y})` } : {}
  const square = { x: x - 5, y: y - 5, width: 10, height: 10, rx: 1.5, ...turned }
  return element('rect', { ...square, class: `node ${kind} ${part}`, 'stroke-width': 2.4 })
}

function describe(
  { nodes }: GraphLayout,
  of: (node: PlacedNode) => number,
  frontier: readonly number[],
  heading: string,
): string {
  const read = nodes
    .filter((node) => of(node) >= WRITTEN)
    .sort((a, b) => of(b) - of(a))
    .map((node) => `${node.name} ${numberText(of(node))}`)
  const expected = nodes.filter(({ id }) => frontier.includes(id)).map(({ name }) => name)
  const reads = read.length > 0 ? read.join(', ') : 'no name of the question'
  return `${heading} reads as ${reads}. That many facts away: ${expected.length > 0 ? expected.join(', ') : 'nothing'}.`
}
