/**
 * The acceptance test of backends, and what tests share: the conformance suite, comparison within stated tolerances,
 * seeded random tensors and models, readers of stored expectations. Needs no test runner.
 */

export { allclose, ConformanceError, expectClose, maxError, type Tolerance } from './compare.ts'
export {
  type ConformanceCase,
  type ConformanceOptions,
  conformanceCases,
  type TestRunner,
  testBackend,
} from './conformance.ts'
export { goldenTensor, readTensors } from './goldens.ts'
export { type RandomFamily, randomFamilies, randomModel } from './random-model.ts'
export { parameterOf, parametersOf, RandomTensors, tensorOf } from './tensors.ts'
export { f32Tolerances, type Precision } from './trial.ts'
