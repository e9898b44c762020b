/**
 * The words of ProsQA, and the token ids of its symbolic form.
 *
 * Names after facebookresearch/coconut (MIT), which took the concepts from ProntoQA's fictional ontology.
 */

/** The 17 persons. */
export const persons: readonly string[] =
  'Alex Bob Carol Davis Eva Fae Gabriel Jack Max Oliver Polly Rex Sally Sam Stella Tom Wren'.split(' ')

/** The 38 concepts. */
export const concepts: readonly string[] = (
  'bompus boompus brimpus chorpus dumpus felpus fompus gerpus gorpus grimpus gwompus hilpus impus jelpus jompus ' +
  'kerpus lempus lorpus numpus quimpus rempus rompus rorpus scrompus shumpus sterpus storpus terpus timpus tumpus ' +
  'vumpus worpus wumpus yerpus yimpus yumpus zhorpus zumpus'
).split(' ')

/** Every token of a ProsQA text when words and punctuation are tokens: 17 + 38 + 7 = 62. */
export const prosqaWords: readonly string[] = [...persons, ...concepts, 'Every', 'is', 'a', 'Is', 'or', '.', '?']

/** Names a symbolic question can hold: token ids 0 … 39. */
export const SYMBOL_COUNT = 40

/** Token ids of the symbolic form beside the symbols; `eos` is also the padding, `latent` is never trained. */
export const prosqaTokens = { eos: 40, separator: 41, question: 42, root: 43, answer: 44, latent: 45 } as const

const markers: ReadonlyMap<number, string> = new Map([
  [prosqaTokens.eos, '<eos>'],
  [prosqaTokens.separator, '|'],
  [prosqaTokens.question, '[Q]'],
  [prosqaTokens.root, '[R]'],
  [prosqaTokens.answer, '[A]'],
  [prosqaTokens.latent, '<latent>'],
])

/** How a token of the symbolic form is written when it does not stand for a name of the question. */
export function symbolicTokenText(id: number): string {
  return markers.get(id) ?? String(id)
}
