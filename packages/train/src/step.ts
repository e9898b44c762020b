/**
 * A training step as one compiled graph: loss, gradient, clipping and AdamW, with weights and moments as inputs whose
 * storage the outputs take over. Accumulation splits it in two: one graph adds up gradients, one applies their mean.
 *
 * The objective is a traced function of weights and batch. It may unroll as many latent steps as it likes: what is
 * differentiated is all of it, or what `stopGradient` leaves (truncated back-propagation).
 */

import {
  type Backend,
  type Buffer,
  ExecutableCache,
  F,
  FormatError,
  formatSpec,
  type Graph,
  gradient,
  type HostTensor,
  lower,
  NumericError,
  operations,
  type Parameter,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorSpec,
  type Traced,
  trace,
  type Weights,
} from '@afterthought/core'
import { type AdamWOptions, adamw, clipFactor, type ParameterGroup, stepScalars } from './adamw.ts'

/** Scalars by name: `loss` is what is minimised, the others are reported. */
export type Terms = Readonly<Record<string, Tensor>> & { readonly loss: Tensor }

type Values = Readonly<Record<string, Tensor>>

/** What is minimised. `key` names the function and everything its trace depends on beside the shapes of its batch. */
export interface Objective {
  readonly key: string
  terms(weights: Weights, batch: Values): Terms
}

export type Batch = Readonly<Record<string, HostTensor>>

/** The objective's terms, averaged over micro-batches, and `gradientNorm` before clipping. */
export type Report = Readonly<Record<string, number>>

/** Weights and moments by kind and name: `weight:NAME`, `first:NAME`, `second:NAME`. */
export type TrainingState = ReadonlyMap<string, HostTensor>

export const weightKey = (name: string): string => `weight:${name}`

/** The state before the first step. */
export function initialState(weights: ReadonlyMap<string, HostTensor>): TrainingState {
  return new Map([...weights].map(([name, tensor]) => [weightKey(name), tensor]))
}

/** Weights under training and what AdamW remembers of them, on a backend. */
export class Trainer {
  readonly backend: Backend
  /** Optimiser steps since the moments were zero. */
  steps: number
  private readonly options: AdamWOptions
  private readonly specs: ReadonlyMap<string, TensorSpec>
  private readonly trained: readonly string[]
  private readonly programs: ExecutableCache
  private readonly termNames = new Map<string, readonly string[]>()
  private readonly state: Record<string, Buffer>

  /**
   * @param state as `initialState` makes it or `download` gave it after `steps` steps
   * @throws FormatError if a moment has another shape than its weight, or is missing after the first step
   */
  constructor(backend: Backend, state: TrainingState, options: AdamWOptions = {}, steps = 0) {
    this.backend = backend
    this.steps = steps
    this.options = options
    this.programs = new ExecutableCache(backend)
    const prefix = weightKey('')
    const weights = [...state].filter(([key]) => key.startsWith(prefix))
    this.specs = new Map(weights.map(([key, tensor]) => [key.slice(prefix.length), tensor]))
    this.trained = [...this.specs.keys()].filter((name) => this.groupOf(name) !== undefined)
    const known = Object.entries(this.stateSpecs()).map(([key, spec]) => {
      const tensor = state.get(key) ?? (steps === 0 ? zeros(spec.shape) : undefined)
      return [key, checkedTensor(key, tensor, spec)] as const
    })
    this.state = Object.fromEntries(known.map(([key, tensor]) => [key, backend.upload(tensor)]))
  }

  /**
   * One optimiser step on the mean gradient of the batches.
   *
   * @throws NumericError if the loss or the gradient is no longer finite
   */
  async step(objective: Objective, batches: readonly Batch[], learningRate: number): Promise<Report> {
    const scalars = { scalars: vector(stepScalars(learningRate, this.steps + 1, this.options)) }
    const [only] = batches
    const reports =
      only && batches.length === 1
        ? [await this.run('step', objective, { ...only, ...scalars })]
        : await this.accumulated(objective, batches, scalars)
    this.steps++
    const report = averaged(reports)
    const bad = Object.keys(report).find((name) => !Number.isFinite(report[name]))
    if (bad === undefined) return report
    throw new NumericError('training has diverged', {
      where: `step ${this.steps}: ${bad}`,
      expected: 'a finite number',
      actual: `${report[bad]}`,
      hint: 'Lower the learning rate, clip the gradient or warm up longer, and resume from the last checkpoint',
    })
  }

  /** Forgets the moments, as if this were the first step. */
  resetMoments(): void {
    this.steps = 0
    for (const [key, spec] of Object.entries(this.stateSpecs())) {
      if (key.startsWith(weightKey(''))) continue
      this.state[key]!.dispose()
      this.state[key] = this.backend.upload(zeros(spec.shape))
    }
  }

  /** Lets go of the compiled steps, one for every objective and every shape of its batches: each holds much memory. */
  async forgetPrograms(): Promise<void> {
    await this.programs.dispose()
  }

  /** The objective's terms without a step. */
  evaluate(objective: Objective, batch: Batch): Promise<Report> {
    return this.run('evaluate', objective, batch)
  }

  /** Everything a later `Trainer` needs to go on, beside `steps`. */
  async download(): Promise<TrainingState> {
    const tensors = new Map<string, HostTensor>()
    for (const [key, buffer] of Object.entries(this.state)) {
      tensors.set(key, { shape: buffer.shape, dtype: buffer.dtype, data: await this.backend.download(buffer) })
    }
    return tensors
  }

  async dispose(): Promise<void> {
    await this.programs.dispose()
    for (const buffer of Object.values(this.state)) buffer.dispose()
  }

  private async accumulated(objective: Objective, batches: readonly Batch[], scalars: Batch): Promise<Report[]> {
    const sums = Object.fromEntries(
      this.trained.map((name) => {
        return [`sum:${name}`, this.backend.upload(zeros(this.specs.get(name)!.shape))]
      }),
    )
    const reports: Report[] = []
    for (const batch of batches) reports.push(await this.run('accumulate', objective, batch, sums))
    const share = { ...scalars, share: vector(Float32Array.of(1 / batches.length)) }
    const { gradientNorm } = await this.run('apply', undefined, share, sums)
    for (const buffer of Object.values(sums)) buffer.dispose()
    return reports.map((report) => ({ ...report, gradientNorm: gradientNorm! }))
  }

  private async run(
    kind: Kind,
    objective: Objective | undefined,
    host: Batch,
    extra: Readonly<Record<string, Buffer>> = {},
  ): Promise<Report> {
    const signature = Object.entries(host).map(([name, spec]) => `${name}:${formatSpec(spec)}`)
    const key = [kind, objective?.key ?? '', ...signature].join('|')
    const program = await this.programs.get(key, () => this.trace(kind, key, objective, host), NO_PARAMETERS)
    const given = Object.fromEntries(Object.entries(host).map(([name, value]) => [name, this.backend.upload(value)]))
    const { report } = await program.run({ ...this.state, ...extra, ...given })
    const values = await this.backend.download(report!)
    for (const buffer of [...Object.values(given), report!]) buffer.dispose()
    return Object.fromEntries(this.termNames.get(key)!.map((name, i) => [name, values[i]!]))
  }

  private trace(kind: Kind, key: string, objective: Objective | undefined, host: Batch): Graph {
    const sums = kind === 'accumulate' || kind === 'apply' ? this.specsOf('sum', this.trained) : {}
    const specs = { ...this.stateSpecs(), ...sums, ...host }
    const graph = trace(kind, specs, (inputs) => {
      const { terms, state } = this.body(kind, objective, inputs)
      this.termNames.set(key, Object.keys(terms))
      const report = F.concat(
        Object.values(terms).map((term) => F.reshape(term, [1])),
        0,
      )
      return {
        outputs: { report, ...state },
        aliases: Object.fromEntries(Object.keys(state).map((name) => [name, name])),
      } satisfies Traced
    })
    // Differentiated by their parts, such operations share those parts with the forward pass if that is in parts too.
    const { ops } = this.backend
    return lower(graph, new Set([...ops].filter((op) => operations[op].gradient !== 'decompose')))
  }

  private body(kind: Kind, objective: Objective | undefined, inputs: Values): { terms: Values; state: Values } {
    const { trained } = this
    const sumOf = (name: string): Tensor => inputs[`sum:${name}`]!
    if (kind === 'apply') {
      const share = F.reshape(inputs.share!, [])
      return this.update(
        trained.map((name) => F.mul(sumOf(name), share)),
        inputs,
        {},
      )
    }
    const terms = objective!.terms((name) => inputs[weightKey(name)]!, inputs)
    if (kind === 'evaluate') return { terms, state: {} }
    const gradients = gradient(
      terms.loss,
      trained.map((name) => inputs[weightKey(name)]!),
    )
    if (kind === 'step') return this.update(gradients, inputs, terms)
    return {
      terms,
      state: Object.fromEntries(trained.map((name, i) => [`sum:${name}`, F.add(sumOf(name), gradients[i]!)])),
    }
  }

  private update(gradients: readonly Tensor[], inputs: Values, terms: Values): { terms: Values; state: Values } {
    const { norm, factor } = clipFactor(gradients, this.options.clip)
    const state: Record<string, Tensor> = {}
    this.trained.forEach((name, i) => {
      const clipped = factor ? F.mul(gradients[i]!, factor) : gradients[i]!
      const before = {
        weight: inputs[weightKey(name)]!,
        first: inputs[`first:${name}`]!,
        second: inputs[`second:${name}`]!,
      }
      const after = adamw(before, clipped, inputs.scalars!, this.options, this.groupOf(name)!)
      for (const [part, value] of Object.entries(after)) state[`${part}:${name}`] = value
    })
    return { terms: { ...terms, gradientNorm: norm }, state }
  }

  private groupOf(name: string): ParameterGroup | undefined {
    const group = this.options.groupOf?.(name) ?? {}
    return group === 'frozen' ? undefined : group
  }

  private stateSpecs(): Record<string, TensorSpec> {
    const moments = ['first', 'second'].map((kind) => this.specsOf(kind, this.trained))
    return Object.assign(this.specsOf('weight', [...this.specs.keys()]), ...moments) as Record<string, TensorSpec>
  }

  private specsOf(kind: string, names: readonly string[]): Record<string, TensorSpec> {
    return Object.fromEntries(
      names.map((name) => [`${kind}:${name}`, { shape: this.specs.get(name)!.shape, dtype: 'f32' }]),
    )
  }
}

/** @throws FormatError if the tensor of a state is not what is expected, or there is none */
export function checkedTensor(key: string, tensor: HostTensor | undefined, expected: TensorSpec): HostTensor {
  if (tensor && formatSpec(tensor) === formatSpec(expected)) return tensor
  throw new FormatError('not the state of this training', {
    where: `state: ${key}`,
    expected: formatSpec(expected),
    actual: tensor ? formatSpec(tensor) : 'nothing',
  })
}

/** Weights are inputs here: they change. */
const NO_PARAMETERS = (): ReadonlyMap<string, Parameter> => new Map()

type Kind = 'step' | 'accumulate' | 'apply' | 'evaluate'

const zeros = (shape: Shape): HostTensor => ({ shape, dtype: 'f32', data: new Float32Array(sizeOf(shape)) })

const vector = (data: Float32Array): HostTensor => ({ shape: [data.length], dtype: 'f32', data })

function averaged(reports: readonly Report[]): Report {
  const names = Object.keys(reports[0] ?? {})
  const mean = (name: string): number => reports.reduce((sum, report) => sum + report[name]!, 0) / reports.length
  return Object.fromEntries(names.map((name) => [name, mean(name)]))
}
