/**
 * Wrong use of the command: exit status 2. Apart from core's errors, so that a typing mistake is reported without loading
 * anything; the fields are theirs.
 */

export interface UsageParts {
  /** The option or operand. */
  readonly where?: string
  readonly expected?: string
  readonly actual?: string
  readonly hint?: string
}

export class UsageError extends Error {
  readonly code = 'USAGE'
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly actual: string | undefined
  readonly hint: string | undefined

  constructor(message: string, { where, expected, actual, hint }: UsageParts = {}) {
    let text = where ? `${where}: ${message}` : message
    if (expected !== undefined) text += `; expected ${expected}`
    if (actual !== undefined) text += `${expected === undefined ? ';' : ','} got ${actual}`
    if (hint !== undefined) text += `. ${hint}`
    super(text)
    this.name = 'UsageError'
    this.where = where
    this.expected = expected
    this.actual = actual
    this.hint = hint
  }
}

/** "Did you mean …?" for the known name nearest to `name`, or undefined if none is near. */
export function suggestion(name: string, known: readonly string[], prefix = ''): string | undefined {
  const [nearest] = known
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .filter(({ candidate, distance }) => distance <= (name.length > 3 ? 2 : 1) || candidate.startsWith(name))
    .sort((a, b) => a.distance - b.distance)
  return nearest && `Did you mean ${prefix}${nearest.candidate}?`
}

/** Levenshtein's distance: insertions, deletions and replacements of single characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, replaced))
    }
    row = next
  }
  return row[b.length]!
}
