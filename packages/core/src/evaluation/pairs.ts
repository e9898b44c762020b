/**
 * Finding pairs: neighbouring questions that differ only in the person they ask about.
 *
 * In such a set a rule that ignores the person gets exactly one of two right, so the share of pairs with both right is
 * the figure that a shortcut cannot reach. Pairs are found in the text, so any file laid out like this counts.
 */

/**
 * Whether items 2i and 2i + 1 are pairs throughout: equal facts, equal options, another person. A single item may be
 * left over, as happens when a file is cut.
 *
 * @returns the number of pairs, 0 if the questions are not laid out so
 */
export function countPairs(questions: readonly string[]): number {
  const pairs = Math.floor(questions.length / 2)
  for (let i = 0; i < pairs; i++) {
    if (!isPair(questions[2 * i] ?? '', questions[2 * i + 1] ?? '')) return 0
  }
  return pairs
}

function isPair(first: string, second: string): boolean {
  const [a, b] = [askOf(first), askOf(second)]
  return a !== undefined && b !== undefined && a.rest === b.rest && a.person !== b.person
}

/** The person of the closing question, and all the rest. */
function askOf(question: string): { person: string; rest: string } | undefined {
  const at = question.lastIndexOf('.') + 1
  const match = /^(\s*Is )(\S+)( .*)$/su.exec(question.slice(at))
  const [, before = '', person = '', after = ''] = match ?? []
  return match === null ? undefined : { person, rest: question.slice(0, at) + before + after }
}
