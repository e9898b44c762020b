/**
 * Where the names of a ProsQA question stand: one column per number of facts from the person, ordered so that few edges
 * cross (barycentres, after Sugiyama, Tagawa and Toda 1981); names that no chain of facts reaches in rows below.
 */

import type { EncodedQuestion } from '@afterthought/core/data'
import type { GraphView } from '../thinking.ts'

/** What a drawing takes of a question: plain data. */
export type DrawnQuestion = Omit<EncodedQuestion, 'answerText'>

export interface PlacedNode {
  readonly id: number
  readonly name: string
  /** Facts from the person; −1 where no chain of facts leads. */
  readonly hops: number
  readonly kind: 'person' | 'option' | 'concept'
  readonly x: number
  readonly y: number
}

export interface GraphLayout {
  readonly width: number
  readonly height: number
  readonly nodes: readonly PlacedNode[]
  /** Facts between names that can be reached, as nodes. */
  readonly edges: readonly (readonly [PlacedNode, PlacedNode])[]
  /** Where the rows of unreached names begin, if there are any. */
  readonly unreachedTop: number | undefined
  /** Characters of a name that fit between two columns. */
  readonly nameLength: number
  readonly person: string
}

const ROW = 54
const MARGIN = { x: 32, y: 26 }
const UNREACHED = { perRow: 6, row: 38, heading: 24 }
const CHARACTER = 6

export function layoutGraph(question: DrawnQuestion, view: GraphView, width: number): GraphLayout {
  const { symbols, edges, optionIds, personId, person } = question
  const layers = orderedLayers(question, view.hops)
  const tallest = Math.max(...layers.map((layer) => layer.length))
  const reachedHeight = tallest * ROW + 2 * MARGIN.y - ROW
  const unreached = symbols.flatMap((_, id) => (view.hops[id]! < 0 ? [id] : []))
  const column = (width - 2 * MARGIN.x) / Math.max(layers.length - 1, 1)
  const place = (id: number, x: number, y: number): PlacedNode => ({
    id,
    name: symbols[id]!,
    hops: view.hops[id]!,
    kind: id === personId ? 'person' : optionIds.includes(id) ? 'option' : 'concept',
    x,
    y,
  })
  const reachedNodes = layers.flatMap((layer, hops) =>
    layer.map((id, i) => place(id, MARGIN.x + hops * column, reachedHeight / 2 + (i - (layer.length - 1) / 2) * ROW)),
  )
  const unreachedTop = unreached.length > 0 ? reachedHeight + 14 : undefined
  const gap = (width - 2 * MARGIN.x) / (UNREACHED.perRow - 1)
  const unreachedNodes = unreached.map((id, i) =>
    place(
      id,
      MARGIN.x + (i % UNREACHED.perRow) * gap,
      unreachedTop! + UNREACHED.heading + 12 + Math.floor(i / UNREACHED.perRow) * UNREACHED.row,
    ),
  )
  const byId = new Map([...reachedNodes, ...unreachedNodes].map((node) => [node.id, node]))
  const rows = Math.ceil(unreached.length / UNREACHED.perRow)
  return {
    width,
    height: unreachedTop === undefined ? reachedHeight : unreachedTop + UNREACHED.heading + rows * UNREACHED.row + 6,
    nodes: [...byId.values()],
    edges: distinct(edges).flatMap(([source, target]) =>
      view.hops[source]! >= 0 ? [[byId.get(source)!, byId.get(target)!] as const] : [],
    ),
    unreachedTop,
    nameLength: Math.max(4, Math.floor(Math.min(column, gap) / CHARACTER)),
    person,
  }
}

/** A fact may be told twice. */
function distinct(edges: DrawnQuestion['edges']): DrawnQuestion['edges'] {
  return [...new Map(edges.map((edge) => [edge.join(), edge])).values()]
}

/** Ids by number of facts from the person, each column in an order with few crossings. */
function orderedLayers({ symbols, edges }: DrawnQuestion, hops: readonly number[]): number[][] {
  const layers: number[][] = Array.from({ length: Math.max(...hops) + 1 }, () => [])
  symbols.forEach((_, id) => layers[hops[id]!]?.push(id))
  const neighbours = symbols.map((_, id) =>
    edges.flatMap(([source, target]) => (source === id ? [target] : target === id ? [source] : [])),
  )
  for (let sweep = 0; sweep < 8; sweep++) {
    const order = sweep % 2 === 0 ? layers.map((_, i) => i) : layers.map((_, i) => layers.length - 1 - i)
    for (const i of order) {
      const beside = layers[sweep % 2 === 0 ? i - 1 : i + 1]
      if (beside) sortByBarycentre(layers[i]!, beside, neighbours)
    }
  }
  return layers
}

/** Sorts a column by the mean place of each name's neighbours in the column beside it; a name without any keeps its place. */
function sortByBarycentre(
  layer: number[],
  beside: readonly number[],
  neighbours: readonly (readonly number[])[],
): void {
  const places = new Map(beside.map((id, i) => [id, (i + 0.5) / beside.length]))
  const own = new Map(layer.map((id, i) => [id, (i + 0.5) / layer.length]))
  const centre = (id: number): number => {
    const found = neighbours[id]!.flatMap((other) => places.get(other) ?? [])
    return found.length === 0 ? own.get(id)! : found.reduce((sum, place) => sum + place, 0) / found.length
  }
  const centres = new Map(layer.map((id) => [id, centre(id)]))
  layer.sort((a, b) => centres.get(a)! - centres.get(b)! || own.get(a)! - own.get(b)!)
}
