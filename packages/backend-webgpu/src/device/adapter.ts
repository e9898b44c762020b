/**
 * Finding a GPU, in every runtime: the one place that knows how browsers, Deno, Node and Bun differ.
 *
 * Order: the runtime's own `navigator.gpu`, then the npm packages `webgpu` (Dawn for Node) and `bun-webgpu`. Dawn can fall
 * through to a "null backend" that lists every feature and computes nothing, so an adapter is believed only after one
 * dispatch has given the right numbers.
 */

import { BackendUnavailableError } from '@afterthought/core'
import { selfTest } from './self-test.ts'

/** Bindings loaded so far. Dawn crashes once the object behind a living device is collected: none is ever let go. */
const loaded = new Map<string, Promise<GPU>>()

export interface DeviceRequest {
  /** Force one of the npm bindings instead of the first that works. */
  readonly binding?: 'webgpu' | 'bun-webgpu'
}

/** What runs the kernels, in words; `software` adapters are for tests, the CPU backends are faster. */
export interface AdapterDescription {
  readonly name: string
  readonly software: boolean
}

export type WebGpuStatus =
  | ({ readonly available: true; readonly features: readonly string[] } & AdapterDescription)
  | { readonly available: false; readonly reason: string }

const ownFeatures: readonly GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query']

/**
 * A device with the largest limits its adapter offers, proven by a dispatch.
 *
 * @throws BackendUnavailableError with the reason: no binding, no adapter, null backend, wrong results
 */
export async function requestDevice(request: DeviceRequest = {}): Promise<GPUDevice> {
  const adapter = await requestAdapter(request)
  const device = await adapter.requestDevice({
    requiredLimits: limitsOf(adapter),
    requiredFeatures: ownFeatures.filter((feature) => adapter.features.has(feature)),
  })
  // Errors are read where they arise; without a handler bun-webgpu prints them as well.
  device.onuncapturederror = () => {}
  descriptions.set(device, describe(adapter.info))
  await selfTest(device)
  return device
}

/** What `afterthought doctor` prints. Opens a device, tests it and gives it back. Never throws. */
export async function webgpuStatus(request: DeviceRequest = {}): Promise<WebGpuStatus> {
  try {
    const device = await requestDevice(request)
    const status = {
      available: true as const,
      ...describeDevice(device),
      features: ownFeatures.filter((feature) => device.features.has(feature)),
    }
    device.destroy()
    return status
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

const descriptions = new WeakMap<GPUDevice, AdapterDescription>()

/** Also for devices made elsewhere, as far as they tell. */
export function describeDevice(device: GPUDevice): AdapterDescription {
  return descriptions.get(device) ?? describe(device.adapterInfo)
}

const softwareNames = /software|swiftshader|llvmpipe|lavapipe|basic render/i

/** `isFallbackAdapter` is false on SwiftShader and lavapipe alike, so the names decide. Deno gives numbers for vendors. */
function describe(info: GPUAdapterInfo | undefined): AdapterDescription {
  const words = [info?.vendor, info?.architecture, info?.device, info?.description].filter((word) => word)
  const name = words.join(' ') || 'unnamed adapter'
  const software = softwareNames.test(name) || info?.isFallbackAdapter === true || denoSoftware.has(info?.vendor ?? '')
  return { name, software }
}

/** PCI and Khronos vendor ids of Mesa's and Google's CPU drivers, as wgpu prints them. */
const denoSoftware: ReadonlySet<string> = new Set(['65541', '6880'])

async function requestAdapter(request: DeviceRequest): Promise<GPUAdapter> {
  const gpu = await findGpu(request)
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) {
    throw new BackendUnavailableError('no adapter', {
      where: 'webgpu',
      hint: 'Install a Vulkan, Metal or Direct3D 12 driver; in Chromium check chrome://gpu',
    })
  }
  if (adapter.info?.device === 'null-backend') {
    throw new BackendUnavailableError('only the null backend, which computes nothing', {
      where: 'webgpu',
      hint: 'Install a GPU driver that Dawn accepts',
    })
  }
  return adapter
}

async function findGpu({ binding }: DeviceRequest): Promise<GPU> {
  const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu
  if (own && !binding) return own
  const reasons: string[] = []
  for (const name of binding ? [binding] : (['webgpu', 'bun-webgpu'] as const)) {
    try {
      const gpu = loaded.get(name) ?? loaders[name]()
      loaded.set(name, gpu)
      return await gpu
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  throw new BackendUnavailableError('no WebGPU in this runtime', {
    where: 'webgpu',
    actual: reasons.join('; '),
    hint: 'Run npm install webgpu (Node, Bun) or bun add bun-webgpu (Bun)',
  })
}

// Bundlers for browsers must not follow these imports: the packages hold native libraries.
const load = (name: string): Promise<Record<string, unknown>> => import(/* @vite-ignore */ name)

const loaders = {
  async webgpu(): Promise<GPU> {
    const module = await load('webgpu')
    Object.assign(globalThis, module.globals)
    return (module.create as (flags: string[]) => GPU)([])
  },
  async 'bun-webgpu'(): Promise<GPU> {
    const module = await load('bun-webgpu')
    await (module.setupGlobals as (options: object) => Promise<void>)({})
    return (globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu
  },
}

/** Every numeric limit, zeros included: bun-webgpu refuses a partial list. Minimums are better when small: left out. */
function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {}
  for (const key in adapter.limits) {
    const value = adapter.limits[key as keyof GPUSupportedLimits]
    if (typeof value === 'number' && !key.startsWith('min')) limits[key] = value
  }
  return limits
}
