/** A TypeDoc plugin: modules are called what one imports, `@afterthought/core/data`, and not where they lie. */

import { Converter, ReflectionKind } from 'typedoc'

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return
    reflection.name = `@afterthought/${reflection.name.replace('/src', '')}`
  })
}
