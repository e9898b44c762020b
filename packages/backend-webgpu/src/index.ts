/**
 * Afterthought's own WebGPU kernels, for browsers, Deno, Node and Bun.
 *
 * Reading order: backend → plan/schedule → plan/plan → plan/operations → plan/allocate → executable → kernels/matmul.
 */

export { type WebGpuBackend, type WebGpuOptions, webgpu } from './backend.ts'
export {
  type AdapterDescription,
  type DeviceRequest,
  requestDevice,
  type WebGpuStatus,
  webgpuStatus,
} from './device/adapter.ts'
export type { DeviceBuffer } from './device/buffers.ts'
export type { WebGpuExecutable } from './executable.ts'
export type { Kernel } from './kernels/kernel.ts'
export type { WeightFormat } from './plan/weights.ts'
