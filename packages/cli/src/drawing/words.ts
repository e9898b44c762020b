/** Names, tokens and numbers as they are written into pictures. */

/** The last sentence, which asks; facts come before it. */
export function askedIn(question: string): string {
  return (
    question
      .trim()
      .split(/(?<=[.!?\n])\s+/)
      .at(-1) ?? question
  )
}

/** A token as it can be seen: blanks and line ends get signs. */
export function visibleToken(token: string): string {
  if (token === '') return '(nothing)'
  return token.replace(/^ | $/g, '␣').replace(/\r?\n/g, '↵').replace(/\t/g, '⇥')
}

export function shorten(text: string, length: number): string {
  const characters = [...text]
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`
}

/** Two decimals below ten, fewer above. */
export function numberText(value: number): string {
  const size = Math.abs(value)
  return size < 10 ? value.toFixed(2) : size < 100 ? value.toFixed(1) : value.toFixed(0)
}

/** Words into lines; a word that is longer than a line is cut. */
export function wrap(text: string, length: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    const last = lines.at(-1)
    if (last !== undefined && [...last].length + 1 + [...word].length <= length)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(shorten(word, length))
  }
  return lines
}
