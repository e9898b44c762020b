/**
 * Errors of a device as errors of ours, at the call that caused them.
 *
 * WebGPU reports in three ways: error scopes, the `uncapturederror` event and the `lost` promise; bun-webgpu also throws.
 * Everything here ends in a BackendError, and a lost device says so at every later call.
 */

import { BackendError, DisposedError } from '@afterthought/core'

export class DeviceGuard {
  readonly device: GPUDevice
  private loss: GPUDeviceLostInfo | undefined
  private uncaptured: GPUError | undefined
  private disposed = false

  constructor(device: GPUDevice) {
    this.device = device
    device.lost.then((info) => {
      this.loss = info
    })
    device.onuncapturederror = (event) => {
      this.uncaptured ??= event.error
    }
  }

  dispose(): void {
    this.disposed = true
  }

  /** @throws DisposedError, or BackendError if the device is lost or an earlier command turned out invalid */
  check(where: string): void {
    if (this.disposed) throw new DisposedError('the backend has been disposed of', { where })
    if (this.loss) {
      throw new BackendError('the GPU device is lost', {
        where,
        actual: [this.loss.reason, this.loss.message].filter((part) => part).join(': '),
        hint: 'Open a new device with webgpu(); buffers of the lost one are gone',
      })
    }
    if (this.uncaptured) {
      const { message } = this.uncaptured
      this.uncaptured = undefined
      throw new BackendError('the GPU refused a command', { where, actual: message })
    }
  }

  /** Runs `body` in error scopes. Synchronous throws, rejections and scoped errors all become a BackendError. */
  async scoped<Result>(where: string, body: () => Result | Promise<Result>): Promise<Result> {
    this.check(where)
    const { device } = this
    for (const filter of ['out-of-memory', 'validation', 'internal'] as const) device.pushErrorScope(filter)
    let pending: Promise<Result>
    try {
      pending = Promise.resolve(body())
    } catch (error) {
      pending = Promise.reject(error)
    }
    // Scopes are a stack of the device: they close before anything else can run.
    const scopes = Promise.all([device.popErrorScope(), device.popErrorScope(), device.popErrorScope()])
    const [outcome, errors] = await Promise.allSettled([pending, scopes])
    const reported = errors.status === 'fulfilled' ? errors.value.find((error) => error !== null) : errors.reason
    if (outcome.status === 'fulfilled' && !reported) return outcome.value
    const thrown = outcome.status === 'rejected' ? outcome.reason : reported
    await settle()
    this.check(where)
    throw this.wrap(thrown, where)
  }

  wrap(error: unknown, where: string): Error {
    if (error instanceof BackendError || error instanceof DisposedError) return error
    const message = (error as { message?: unknown } | undefined)?.message
    return new BackendError('the GPU refused a command', {
      where,
      actual: typeof message === 'string' ? message : String(error),
      cause: error,
    })
  }
}

/** Lets the `lost` promise tell why before a rejection is reported. */
export const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))
