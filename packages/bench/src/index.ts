/**
 * Speed against peers, as ratios taken in one run.
 *
 * Reading order: bench → suites/trajectory → suites/suite → measure → contender → peers/.
 */

export { type BenchOptions, type BenchReport, runBench, suites } from './bench.ts'
export type { Agreement, Contender, Peer, Run, Workload } from './contender.ts'
export type { Machine } from './machine.ts'
export type { Measurement, Spread } from './measure.ts'
export { peers } from './peers/index.ts'
export type { Row } from './report.ts'
export type { Suite, SuiteContext } from './suites/suite.ts'
export { formatProfile, type KernelTime, type Profile, type Roof } from './webgpu/profile.ts'
export { type ModelProfile, type ProfileOptions, profileModel } from './webgpu/profile-model.ts'
