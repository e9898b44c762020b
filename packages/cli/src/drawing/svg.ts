/**
 * SVG as text: elements, escaping, and the frame of a picture. Everything that is drawn comes from names and tokens of
 * other people, so no text gets into a picture without going through `escapeText`.
 */

import { stylesheet } from './theme.ts'

export type Attributes = Readonly<Record<string, string | number | undefined>>

/** XML has no form for most control characters and for halves of surrogate pairs: they become the replacement sign. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to replace
const unwritable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu

/** Text for the inside of an element or of a quoted attribute, in XML and HTML alike. */
export function escapeText(text: string): string {
  return text
    .replace(unwritable, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
}

/** An element with children that are markup already. Numbers are written to a hundredth; undefined leaves one out. */
export function element(name: string, attributes: Attributes, children: readonly string[] = []): string {
  const written = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${typeof value === 'number' ? round(value) : escapeText(value)}"`],
  )
  const open = `<${name}${written.join('')}`
  return children.length === 0 ? `${open}/>` : `${open}>${children.join('')}</${name}>`
}

/** A line of text at a point. */
export function label(x: number, y: number, text: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, [escapeText(text)])
}

export function group(attributes: Attributes, children: readonly string[]): string {
  return children.length === 0 ? '' : element('g', attributes, children)
}

export function moved(x: number, y: number, children: readonly string[]): string {
  return group({ transform: `translate(${round(x)} ${round(y)})` }, children)
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** A drawing before it stands somewhere: its size in pixels, what it says in words, its elements. */
export interface Drawing {
  readonly width: number
  readonly height: number
  /** What it is, in a few words: the name that a screen reader reads first. */
  readonly title: string
  /** What can be seen in it. */
  readonly description: string
  readonly elements: readonly string[]
}

/**
 * The drawing as an SVG element that shrinks with its page.
 *
 * @param id distinguishes the drawings of one page
 */
export function inlineSvg(drawing: Drawing, id: string): string {
  const { width, height, title, description, elements } = drawing
  const box = { viewBox: `0 0 ${round(width)} ${round(height)}`, width, height }
  const named = { role: 'img', 'aria-labelledby': `${id}-title ${id}-description` }
  return element('svg', { xmlns: 'http://www.w3.org/2000/svg', class: 'afterthought', ...box, ...named }, [
    element('title', { id: `${id}-title` }, [escapeText(title)]),
    element('desc', { id: `${id}-description` }, [escapeText(description)]),
    ...elements,
  ])
}

/** The drawing as a file of its own: its colours inside, light or dark as its viewer prefers. */
export function svgFile(drawing: Drawing): string {
  const { width, height } = drawing
  const ground = element('rect', { width, height, class: 'ground' })
  const style = `<style>${stylesheet}</style>`
  return `${inlineSvg({ ...drawing, elements: [style, ground, ...drawing.elements] }, 'drawing')}\n`
}
