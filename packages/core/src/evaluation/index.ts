/**
 * Evaluation: what is right, how sure one can be, and what a rule without reasoning would score.
 */

export { exactMatch, extractAnswer, normalizeAnswer, numberOf, numericMatch } from './answers.ts'
export { type Control, type ControllableSettings, controls, findControls, type ThoughtReplacement } from './controls.ts'
export { type EvaluateOptions, type EvaluationSettings, evaluate, permuted } from './evaluate.ts'
export {
  type Baseline,
  blindBaseline,
  constantBaseline,
  type GraphRule,
  graphRules,
  type RuleAccuracy,
  ruleAccuracy,
  ruleTable,
} from './heuristics.ts'
export { countPairs } from './pairs.ts'
export {
  type Comparison,
  type Evaluation,
  type EvaluationOptions,
  type EvaluationRow,
  evaluationReport,
  type ItemRecord,
  type RowInput,
  type Share,
} from './report.ts'
export {
  bootstrapInterval,
  type Difference,
  holm,
  type Interval,
  mcnemarExact,
  pairedDifference,
  wilsonInterval,
} from './statistics.ts'
