/**
 * Export: a graph as one `.onnx` file with its weights beside it, for any ONNX Runtime and the servers built on it.
 *
 * Serving profile: opset 20 and IR 10 (Triton's ONNX Runtime 1.20 stops at 21 and 10), standard operators only (weights of
 * low-bit integers need `MatMulNBits` of `com.microsoft`, which standard builds have), batch as the first, symbolic axis
 * of every input and output, so that servers can batch requests, and integers as int64 where asked.
 */

import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import {
  AfterthoughtError,
  ArgumentError,
  bytesPerElement,
  type DType,
  FileError,
  type Graph,
  lower,
  type OpName,
  type Parameter,
  sizeOf,
  type Tensor,
} from '@afterthought/core'
import { makeFolder, systemWords, writeFileAtomically } from '@afterthought/core/files'
import { convert, nativeOps, type WeightBytes, type WeightUse, weightUses } from './convert/convert.ts'
import { bytesOf } from './convert/emitter.ts'
import type { Dimension } from './model.ts'
import { IR_VERSION, OPSET } from './model.ts'
import { parameterFor } from './weights/parameter.ts'
import { type Bits, type QuantizedLayout, quantize, quantizedLayoutOf } from './weights/quantize.ts'
import { isPackable, packedBytes } from './weights/store.ts'

export interface ExportOptions {
  readonly graph: Graph
  /** One entry per graph parameter, by name. */
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Path of the model. */
  readonly file: string
  /** Path of the weights, in the same folder. Default: that of the model with `.data` behind it. */
  readonly weights?: string
  /**
   * The extent that stands for the batch in the graph and becomes symbolic: a prime that divides no other extent, see
   * core's `exportGraph`. Without it all shapes are exported as they are.
   */
  readonly batch?: number
  /** Inputs that are i32 in the graph and int64 in the file. */
  readonly wideInputs?: readonly string[]
  /** How weight matrices are stored. Default `f32`. */
  readonly dtype?: 'f32' | 'int8' | 'int4'
}

export interface ExportedValue {
  readonly name: string
  readonly dtype: 'float32' | 'int32' | 'int64' | 'bool'
  readonly shape: readonly Dimension[]
}

export interface ExportReport {
  readonly file: string
  readonly weights: string
  /** Of both files. */
  readonly bytes: number
  readonly opset: number
  readonly irVersion: number
  readonly inputs: readonly ExportedValue[]
  readonly outputs: readonly ExportedValue[]
}

/** The operators of this package that are not in the standard are spelled out. */
const outsideStandard: ReadonlySet<OpName> = new Set<OpName>(['rmsNorm', 'rotary', 'silu'])
const standardOps: ReadonlySet<OpName> = new Set([...nativeOps].filter((op) => !outsideStandard.has(op)))

/**
 * Writes `graph` and its weights.
 *
 * @throws ArgumentError if the two files are not in one folder, or for a batch of 1; GraphError if the graph mixes rows of the batch;
 * ShapeError, NumericError for weights; FileError if the disk refuses, and then neither file has changed
 */
export async function exportOnnx(options: ExportOptions): Promise<ExportReport> {
  const { file, weights = `${file}.data`, batch, wideInputs = [], dtype = 'f32' } = options
  if (dirname(file) !== dirname(weights) || file === weights) {
    throw new ArgumentError('a model finds its weights in its own folder only', {
      where: 'export',
      expected: `another file in ${dirname(file)}`,
      actual: weights,
    })
  }
  if (batch !== undefined && batch < 2) {
    throw new ArgumentError('an extent that divides all others cannot stand for the batch', {
      where: 'export',
      expected: 'a large prime, or none for a fixed batch',
      actual: `${batch}`,
    })
  }
  const graph = lower(options.graph, standardOps)
  const layout = new WeightLayout(graph, basename(weights), dtype === 'f32' ? undefined : dtype === 'int8' ? 8 : 4)
  const batchInput = graph.inputs.find(({ value }) => value.shape[0] === batch)
  const model = convert(graph, {
    target: {
      cpuOnly: false,
      ...(batch !== undefined && batchInput && { batch: { name: BATCH, extent: batch, input: batchInput.name } }),
    },
    inputName: (name) => name,
    outputName: (name) => name,
    weight: (name, use) => layout.find(name, use),
    wideInputs: new Set(wideInputs),
  })
  const weightBytes = await writeWeights(weights, layout, options.parameters)
  const encoded = model.encode()
  await writeFileAtomically(file, encoded)
  const wide = new Set(wideInputs)
  const describe = ({ name, value }: { name: string; value: Tensor }): ExportedValue => ({
    name,
    dtype: wide.has(name) ? 'int64' : typeNames[value.dtype],
    shape: value.shape.map((extent) => (extent === batch ? BATCH : extent)),
  })
  return {
    file,
    weights,
    bytes: encoded.byteLength + weightBytes,
    opset: OPSET,
    irVersion: IR_VERSION,
    inputs: graph.inputs.map(describe),
    outputs: graph.outputs.map(describe),
  }
}

const BATCH = 'batch'
const typeNames: { readonly [Type in DType]: ExportedValue['dtype'] } = { f32: 'float32', i32: 'int32', bool: 'bool' }

/** Weights start at pages, so that they can be mapped. */
const ALIGNMENT = 4096

interface Placed {
  readonly name: string
  readonly value: Tensor
  readonly offset: number
  readonly byteLength: number
  /** Set where the weight is packed. */
  readonly quantized: QuantizedLayout | undefined
}

/** Which bytes of the weights file hold what. */
class WeightLayout {
  private readonly placed = new Map<string, Placed>()
  private readonly location: string
  private end = 0

  constructor(graph: Graph, location: string, bits: Bits | undefined) {
    this.location = location
    const uses = weightUses(graph)
    for (const { name, value } of graph.parameters) {
      for (const use of uses.get(name) ?? []) {
        const packed = bits && isPackable(use, uses.get(name)!)
        this.place(name, value, packed ? quantizedLayoutOf(value.shape, use.transposed, bits) : undefined)
      }
    }
  }

  get entries(): Iterable<Placed> {
    return this.placed.values()
  }

  find(name: string, use: WeightUse): WeightBytes {
    const packed = use.kind === 'product' ? this.placed.get(`${name}|packed`) : undefined
    const { offset, byteLength, quantized } = packed ?? this.placed.get(name)!
    const data = { location: this.location, offset, byteLength }
    return quantized ? packedBytes(data, quantized) : { form: 'plain', data }
  }

  private place(name: string, value: Tensor, quantized: QuantizedLayout | undefined): void {
    const key = quantized ? `${name}|packed` : name
    if (this.placed.has(key)) return
    const byteLength = quantized?.totalBytes ?? sizeOf(value.shape) * bytesPerElement(value.dtype)
    const offset = Math.ceil(this.end / ALIGNMENT) * ALIGNMENT
    this.placed.set(key, { name, value, offset, byteLength, quantized })
    this.end = offset + byteLength
  }
}

/** Writes a file beside `path` and renames it, tensor by tensor. Returns its size. */
async function writeWeights(
  path: string,
  layout: WeightLayout,
  parameters: ReadonlyMap<string, Parameter>,
): Promise<number> {
  const temporary = `${path}.${randomUUID()}.tmp`
  let end = 0
  try {
    await makeFolder(dirname(path))
    const handle = await open(temporary, 'wx')
    try {
      for (const { name, value, offset, byteLength, quantized } of layout.entries) {
        const data = await parameterFor(parameters, name, value, 'export').read()
        const bytes = quantized ? await quantize(data as Float32Array, quantized) : bytesOf(data)
        for (let done = 0; done < byteLength; done += MAX_WRITE) {
          const part = bytes.subarray(done, done + MAX_WRITE)
          await handle.write(part, 0, part.byteLength, offset + done)
        }
        end = offset + byteLength
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
    return end
  } catch (cause) {
    await rm(temporary, { force: true })
    if (cause instanceof AfterthoughtError) throw cause
    throw new FileError(systemWords(cause), { where: path, cause })
  }
}

/** One `write` call takes less than 2 GiB. */
const MAX_WRITE = 2 ** 30
