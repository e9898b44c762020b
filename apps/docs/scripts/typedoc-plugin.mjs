/**
 * A TypeDoc plugin: modules are called what one imports, `@afterthought/core/data`, and not where they lie; and links to
 * the second heading of a name that a page has only once go to that one.
 */

import { Converter, ReflectionKind } from 'typedoc'
import { MarkdownPageEvent } from 'typedoc-plugin-markdown'

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return
    reflection.name = `@afterthought/${reflection.name.replace('/src', '')}`
  })
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    const headings = [...page.contents.matchAll(/^#+ (.+)$/gm)].map(([, text]) => text.toLowerCase().replace(/\W/g, ''))
    page.contents = page.contents.replace(/\]\(#([\w]+)-(\d+)\)/g, (link, name, number) =>
      headings.filter((heading) => heading === name).length > Number(number) ? link : `](#${name})`,
    )
  })
}
