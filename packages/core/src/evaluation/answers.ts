/**
 * From generated text to right or wrong: Coconut's extraction rule, exact match, and numeric match.
 */

/**
 * The answer in a generated text: what follows the last `#`, without commas, trimmed (Coconut's rule). A text without
 * `#` is all answer. Give it the new text only: a `#` in the question would break the rule.
 */
export function extractAnswer(generated: string): string {
  return normalizeAnswer(generated.slice(generated.lastIndexOf('#') + 1))
}

/** An answer as it is compared: without commas, trimmed. */
export function normalizeAnswer(answer: string): string {
  return answer.replaceAll(',', '').trim()
}

/** Equality of two answers after normalisation. */
export function exactMatch(answer: string, gold: string): boolean {
  return normalizeAnswer(answer) === normalizeAnswer(gold)
}

/** Equality of two answers as numbers, within 1e-6 of the gold answer; false if either is no number. */
export function numericMatch(answer: string, gold: string): boolean {
  const [value, expected] = [numberOf(answer), numberOf(gold)]
  return value !== undefined && expected !== undefined && Math.abs(value - expected) <= 1e-6 * Math.abs(expected)
}

/** The number an answer states, in decimal or scientific notation; undefined if it states none. */
export function numberOf(answer: string): number | undefined {
  const text = normalizeAnswer(answer)
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined
}
