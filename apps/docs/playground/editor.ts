/** The code editor: CodeMirror with JavaScript, in the site's light and dark. */

import { javascript } from '@codemirror/lang-javascript'
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { Compartment, type Extension } from '@codemirror/state'
import { tags } from '@lezer/highlight'
import { basicSetup, EditorView } from 'codemirror'

export interface CodeEditor {
  text(): string
  replace(text: string): void
  setDark(dark: boolean): void
  close(): void
}

const highlight = (colors: Readonly<Record<'keyword' | 'string' | 'number' | 'comment' | 'name', string>>): Extension =>
  syntaxHighlighting(
    HighlightStyle.define([
      { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: colors.keyword },
      { tag: [tags.string, tags.special(tags.string), tags.regexp], color: colors.string },
      { tag: [tags.number, tags.bool, tags.null], color: colors.number },
      { tag: tags.comment, color: colors.comment, fontStyle: 'italic' },
      { tag: [tags.function(tags.variableName), tags.function(tags.propertyName)], color: colors.name },
    ]),
  )

/** GitHub's colours, as the code of the other pages has them. */
const light = highlight({
  keyword: '#cf222e',
  string: '#0a3069',
  number: '#0550ae',
  comment: '#59636e',
  name: '#6639ba',
})
const dark = highlight({
  keyword: '#ff7b72',
  string: '#a5d6ff',
  number: '#79c0ff',
  comment: '#9198a1',
  name: '#d2a8ff',
})

export function createEditor(place: HTMLElement, text: string, isDark: boolean, onChange: () => void): CodeEditor {
  const theme = new Compartment()
  const themeOf = (darkNow: boolean): Extension => [EditorView.theme({}, { dark: darkNow }), darkNow ? dark : light]
  const view = new EditorView({
    parent: place,
    doc: text,
    extensions: [
      basicSetup,
      javascript(),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ 'aria-label': 'Code' }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) onChange()
      }),
      theme.of(themeOf(isDark)),
    ],
  })
  return {
    text: () => view.state.doc.toString(),
    replace: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    setDark: (darkNow) => view.dispatch({ effects: theme.reconfigure(themeOf(darkNow)) }),
    close: () => view.destroy(),
  }
}
