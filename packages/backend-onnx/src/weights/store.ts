/**
 * Where the bytes of every weight lie.
 *
 * A 32-bit weight of a safetensors file is mapped from where it is, through links or not: ONNX Runtime accepts external
 * data anywhere below a root folder that the session names, and the root of the file system is one. Everything else is
 * brought into its form once and mapped from the cache; what is too small to be worth a file goes into the model itself.
 */

import { bytesPerElement, type Graph, type Parameter, sizeOf } from '@afterthought/core'
import { type ConvertOptions, type WeightBytes, type WeightUse, weightUses } from '../convert/convert.ts'
import { bytesOf } from '../convert/emitter.ts'
import type { ExternalData } from '../model.ts'
import { WeightCache } from './cache.ts'
import { CHECK_FIRST, FiniteCheck, type MappedParameter } from './finite.ts'
import { parameterFor } from './parameter.ts'
import { type Bits, type QuantizedLayout, quantize, quantizedLayoutOf } from './quantize.ts'

/** Weights below this size are copied into each model. */
const INLINE_BYTES = 16 * 1024

export interface BoundWeights {
  readonly weight: ConvertOptions['weight']
  /** Folder that the locations start from. */
  readonly root: string
  /** Fails if a mapped weight turns out not to be finite. */
  readonly verified: Promise<void>
}

export class WeightStore {
  private readonly bits: Bits | undefined
  private readonly cache: WeightCache
  private readonly finite: FiniteCheck

  /** @param bits of the matrices that products read; undefined: as they are */
  constructor(bits?: Bits, cache: WeightCache = new WeightCache()) {
    this.bits = bits
    this.cache = cache
    this.finite = new FiniteCheck(cache)
  }

  /**
   * Finds, checks and where necessary converts the weights of `graph`.
   *
   * @throws ShapeError naming a missing or mis-shaped weight, FileError, NumericError
   */
  async bind(graph: Graph, parameters: ReadonlyMap<string, Parameter>): Promise<BoundWeights> {
    const uses = weightUses(graph)
    const forms = new Map<string, WeightBytes>()
    const mapped: MappedParameter[] = []
    for (const { name, value } of graph.parameters) {
      const parameter = parameterFor(parameters, name, value, graph.name)
      for (const use of uses.get(name) ?? []) {
        forms.set(keyOf(name, use), await this.form(parameter, use, uses.get(name)!, mapped))
      }
    }
    const verified = this.finite.check(mapped)
    verified.catch(() => undefined)
    const bytes = mapped.reduce((sum, { location }) => sum + location.byteLength, 0)
    if (bytes <= CHECK_FIRST) await verified
    return { weight: (name, use) => forms.get(keyOf(name, use))!, root: this.cache.root, verified }
  }

  dispose(): Promise<void> {
    return this.cache.dispose()
  }

  private form(
    parameter: Parameter,
    use: WeightUse,
    uses: readonly WeightUse[],
    mapped: MappedParameter[],
  ): Promise<WeightBytes> | WeightBytes {
    if (this.bits && isPackable(use, uses)) return this.packed(parameter, use, this.bits)
    if (isMapped(parameter) && this.cache.reaches(parameter.location.path)) {
      mapped.push(parameter)
      const { path, offset, byteLength } = parameter.location
      return { form: 'plain', data: { location: this.cache.locationOf(path), offset, byteLength } }
    }
    return this.converted(parameter)
  }

  /** As 32-bit values, which the user's file does not hold. */
  private async converted(parameter: Parameter): Promise<WeightBytes> {
    const byteLength = sizeOf(parameter.shape) * bytesPerElement(parameter.dtype)
    const read = async (): Promise<Uint8Array> => bytesOf(await parameter.read())
    if (byteLength <= INLINE_BYTES) return { form: 'inline', bytes: await read() }
    const path = await this.cache.file(parameter.identity, parameter.dtype, byteLength, read)
    return { form: 'plain', data: { location: this.cache.locationOf(path), offset: 0, byteLength } }
  }

  private async packed(parameter: Parameter, { transposed }: WeightProduct, bits: Bits): Promise<WeightBytes> {
    const layout = quantizedLayoutOf(parameter.shape, transposed, bits)
    const form = `int${bits}/${layout.block}${transposed ? '' : 'T'}`
    const path = await this.cache.file(parameter.identity, form, layout.totalBytes, async () =>
      quantize((await parameter.read()) as Float32Array, layout),
    )
    return packedBytes({ location: this.cache.locationOf(path), offset: 0, byteLength: layout.totalBytes }, layout)
  }
}

type WeightProduct = Extract<WeightUse, { kind: 'product' }>

/** Whether a weight is packed for `use`. Gradients read a matrix along both axes: such a one is not. */
export function isPackable(use: WeightUse, uses: readonly WeightUse[]): use is WeightProduct {
  return use.kind === 'product' && uses.filter(({ kind }) => kind === 'product').length === 1
}

/** Codes and scales in the bytes that `quantize` made. */
export function packedBytes(data: ExternalData, layout: QuantizedLayout): WeightBytes {
  const { packedBytes, scaleBytes, bits, block } = layout
  return {
    form: 'packed',
    packed: { ...data, byteLength: packedBytes },
    scales: { ...data, offset: data.offset + packedBytes, byteLength: scaleBytes },
    bits,
    block,
  }
}

function isMapped(parameter: Parameter): parameter is MappedParameter {
  return parameter.location !== undefined
}

function keyOf(name: string, use: WeightUse): string {
  return use.kind === 'values' ? name : `${name}|${use.transposed}`
}
