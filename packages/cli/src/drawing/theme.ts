/**
 * Colours and type of all pictures, in one stylesheet: light, and dark where the viewer prefers it.
 *
 * Classes instead of variables, because drawing programs and converters read the former and not the latter. Text keeps a
 * contrast of 4.5 : 1 or more on every ground that it stands on; no meaning hangs on colour alone.
 */

interface Palette {
  readonly ground: string
  readonly panel: string
  readonly line: string
  readonly ink: string
  readonly muted: string
  /** Where the thought is. */
  readonly glow: string
  /** The person asked about, and the scale of a heat map. */
  readonly root: string
  /** The two options. */
  readonly option: string
  /** Most of a scale's colour that text can still be read on. */
  readonly strength: number
}

const light: Palette = {
  ground: '#ffffff',
  panel: '#f5f6f8',
  line: '#c9ced6',
  ink: '#1a1d23',
  muted: '#5b6370',
  glow: '#e8590c',
  root: '#2563c9',
  option: '#0b766e',
  strength: 0.7,
}

const dark: Palette = {
  ground: '#14161a',
  panel: '#1d2026',
  line: '#434a56',
  ink: '#e9ebef',
  muted: '#9fa8b5',
  glow: '#ff9a52',
  root: '#86b4ff',
  option: '#56d3c4',
  strength: 0.5,
}

function rules(palette: Palette): string {
  const { ground, panel, line, ink, muted, glow, root, option, strength } = palette
  return [
    `.afterthought .ground{fill:${ground}}`,
    `.afterthought .panel{fill:${panel}}`,
    `.afterthought text{fill:${ink}}`,
    `.afterthought text.muted{fill:${muted}}`,
    `.afterthought text.name{stroke:${panel}}`,
    `.afterthought .edge,.afterthought .axis{stroke:${line};fill:none}`,
    `.afterthought .head{fill:${line}}`,
    `.afterthought .node{stroke:${muted}}`,
    `.afterthought .node.disc{fill:${ground}}`,
    `.afterthought .node.person{stroke:${root}}`,
    `.afterthought .node.option{stroke:${option}}`,
    `.afterthought .glow{fill:${glow}}`,
    `.afterthought .frontier{stroke:${ink};fill:none}`,
    `.afterthought .series{stroke:${glow};fill:none}`,
    `.afterthought .point{fill:${glow}}`,
    `.afterthought .series.second{stroke:${root}}`,
    `.afterthought .point.second{fill:${root}}`,
    `.afterthought .series.expected{stroke:${muted}}`,
    `.afterthought .heat{fill:${root};opacity:${strength}}`,
    `.afterthought .best{stroke:${ink};fill:none}`,
  ].join('')
}

/** For pages around the pictures. */
export const palettes: { readonly light: Palette; readonly dark: Palette } = { light, dark }

export const fontFamily = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif'

/** @param dark what the rules for dark grounds stand in: a media query, or the selector of a page with a switch of its own */
export function stylesheetFor(dark: string): string {
  return [
    `.afterthought{max-width:100%;height:auto}`,
    `.afterthought text{font:13px ${fontFamily};font-variant-numeric:tabular-nums}`,
    `.afterthought text.small{font-size:11px}`,
    `.afterthought text.strong{font-weight:600}`,
    `.afterthought .node.outline{fill:none}`,
    // Names stay legible across edges and glow.
    `.afterthought text.name{font-size:10.5px;paint-order:stroke;stroke-width:3px;stroke-linejoin:round}`,
    rules(palettes.light),
    `${dark}{${rules(palettes.dark)}}`,
  ].join('')
}

export const stylesheet: string = stylesheetFor('@media (prefers-color-scheme:dark)')
