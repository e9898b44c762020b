/**
 * Data: ProsQA items, questions and their symbolic form, the calibrated generator, and readers of the public formats.
 */

export { type Dataset, type QuestionRecord, readRecords } from './formats.ts'
export {
  type GeneratorOptions,
  type GraphParameters,
  type Grown,
  generateProsqa,
  growGraph,
  longGraphs,
  neighborsByHop,
  realGraphs,
} from './generator.ts'
export { childrenOf, distancesFrom, type Edge, parentsOf, shortestPathLevels, UNREACHABLE, walkSets } from './graph.ts'
export {
  type ProsqaItem,
  type ProsqaRule,
  type ProsqaViolation,
  parseProsqaItem,
  parseProsqaItems,
  prosqaViolations,
} from './prosqa.ts'
export { type ProsqaStatistics, prosqaStatistics } from './prosqa-statistics.ts'
export {
  type EncodedQuestion,
  encodeProsqa,
  type Fact,
  frontiers,
  hopDistances,
  type ProsqaQuestion,
  parseProsqaQuestion,
} from './question.ts'
export { Random, type RandomState } from './random.ts'
export { questionText, type Task, type TaskPrompt, taskOf } from './task.ts'
export { concepts, persons, prosqaTokens, prosqaWords, SYMBOL_COUNT } from './vocabulary.ts'
