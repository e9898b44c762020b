/**
 * Afterthought's core: tensors that are traced, compiled and replayed; decoders over them; continuous thoughts and their
 * refinement. No runtime's own API is used here, so it runs wherever JavaScript does.
 *
 * Reading order: latent/rollout → latent/refine → models/gpt2 → nn/cache → tensor/ops → compile/lower → backend.
 */

export { gradient } from './autodiff/gradient.ts'
export { type Backend, type Buffer, derivedBackend, type Executable, type Parameter } from './backend.ts'
export { ExecutableCache } from './compile/cache.ts'
export { lower } from './compile/lower.ts'
export { eliminateDeadCode, optimize } from './compile/optimize.ts'
export { printGraph } from './compile/print.ts'
export { verify } from './compile/verify.ts'
export * from './errors.ts'
export { type ExportedGraph, type ExportGraphOptions, exportGraph } from './latent/export-graph.ts'
export {
  type Refinement,
  type RefinementOptions,
  type ResidualOptions,
  resolveRefinement,
  type SearchOptions,
} from './latent/options.ts'
export type { ThoughtModels } from './latent/programs.ts'
export { contrastiveGradient, contrastiveLoss, refine } from './latent/refine.ts'
export { type Rollout, type RolloutOptions, type RolloutRow, type RolloutStep, rollout } from './latent/rollout.ts'
export type { SamplingOptions } from './latent/sampling.ts'
export {
  describeThoughts,
  type ReadingOptions,
  readStates,
  type StateReading,
  type ThoughtRecord,
  type TokenReading,
} from './latent/trajectory.ts'
export { KvCache } from './models/kv-cache.ts'
export { type ForwardOptions, type ForwardOutputs, LanguageModel, loadModel } from './models/language-model.ts'
export { asRow, lastRow, TracedDecoder } from './models/traced.ts'
export { growingCache, type KeyValues, positionsOf, promptedCache, type TracedCache } from './nn/cache.ts'
export type { Weights } from './nn/layers.ts'
export { reference } from './reference/backend.ts'
export { responsive } from './reference/responsive.ts'
export type { Attributes, OpName } from './tensor/attributes.ts'
export * as F from './tensor/functional.ts'
export type { Constant, Graph, Named, Node, Output, Tensor } from './tensor/graph.ts'
export { operations, primitives } from './tensor/ops.ts'
export { constant, parameter, type Traced, trace } from './tensor/trace.ts'
export {
  allocate,
  bytesPerElement,
  type DType,
  formatSpec,
  type HostArray,
  type HostArrays,
  type HostTensor,
  type Shape,
  sameShape,
  sizeOf,
  stridesOf,
  type TensorSpec,
} from './tensor/types.ts'
