/** One dispatch with a known answer: the proof that a device computes at all. */

import { BackendUnavailableError } from '@afterthought/core'

const COUNT = 64
/** Knuth's multiplicative hash: products wrap around, so saturating or skipped arithmetic shows. */
const FACTOR = 2654435761
const OFFSET = 7

const code = `
@group(0) @binding(0) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(${COUNT})
fn main(@builtin(local_invocation_index) i: u32) { result[i] = i * ${FACTOR}u + ${OFFSET}u; }`

/** @throws BackendUnavailableError if the numbers are wrong */
export async function selfTest(device: GPUDevice): Promise<void> {
  const size = COUNT * 4
  const result = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC })
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  try {
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } }],
    })
    const pipeline = await device.createComputePipelineAsync({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
    })
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: result } }] }))
    pass.dispatchWorkgroups(1)
    pass.end()
    encoder.copyBufferToBuffer(result, 0, staging, 0, size)
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ)
    const values = new Uint32Array(staging.getMappedRange().slice(0))
    const wrong = values.findIndex((value, i) => value !== (Math.imul(i, FACTOR) + OFFSET) >>> 0)
    if (wrong >= 0) {
      throw new BackendUnavailableError('the device computes wrong numbers', {
        where: `webgpu: self-test, element ${wrong}`,
        expected: `${(Math.imul(wrong, FACTOR) + OFFSET) >>> 0}`,
        actual: `${values[wrong]}`,
        hint: 'Update the GPU driver',
      })
    }
  } catch (cause) {
    if (cause instanceof BackendUnavailableError) throw cause
    throw new BackendUnavailableError('the self-test did not run', { where: 'webgpu', cause })
  } finally {
    result.destroy()
    staging.destroy()
  }
}
