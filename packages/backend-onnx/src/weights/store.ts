/**
 * Where the bytes of every weight lie.
 *
 * A 32-bit weight of a safetensors file is mapped from where it is, through links or not: ONNX Runtime accepts external
 * data anywhere below a root folder that the session names, and the root of the file system is one. Everything else is
 * brought into its form once and mapped from the cache; what is too small to be worth a file goes into the model itself.
 */

import {
  bytesPerElement,
  formatSpec,
  type Graph,
  type Parameter,
  ShapeError,
  sizeOf,
  type TensorSpec,
} from '@afterthought/core'
import { type ConvertOptions, type WeightBytes, type WeightUse, weightUses } from '../convert/convert.ts'
import { bytesOf } from '../convert/emitter.ts'
import { WeightCache } from './cache.ts'
import { CHECK_FIRST, FiniteCheck, type MappedParameter } from './finite.ts'
import { type Bits, quantize, quantizedLayout } from './quantize.ts'

/** Weights below this size are copied into each model. */
const INLINE_BYTES = 16 * 1024

/** Elements that share a scale. */
const BLOCK = 32

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
      const parameter = checked(parameters.get(name), value, `${graph.name}: parameter '${name}'`)
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
    const products = uses.filter(({ kind }) => kind === 'product')
    // Gradients read a matrix both ways; it cannot be packed along two axes.
    if (this.bits && use.kind === 'product' && products.length === 1) return this.packed(parameter, use, this.bits)
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
    const [rows, width] = parameter.shape as [number, number]
    const layout = transposed ? quantizedLayout(rows, width, bits, BLOCK) : quantizedLayout(width, rows, bits, BLOCK)
    const { packedBytes, scaleBytes } = layout
    const form = `int${bits}/${BLOCK}${transposed ? '' : 'T'}`
    const path = await this.cache.file(parameter.identity, form, packedBytes + scaleBytes, async () =>
      quantize((await parameter.read()) as Float32Array, transposed, layout),
    )
    const location = this.cache.locationOf(path)
    return {
      form: 'packed',
      packed: { location, offset: 0, byteLength: packedBytes },
      scales: { location, offset: packedBytes, byteLength: scaleBytes },
      bits,
      block: BLOCK,
    }
  }
}

type WeightProduct = Extract<WeightUse, { kind: 'product' }>

function isMapped(parameter: Parameter): parameter is MappedParameter {
  return parameter.location !== undefined
}

function keyOf(name: string, use: WeightUse): string {
  return use.kind === 'values' ? name : `${name}|${use.transposed}`
}

function checked(parameter: Parameter | undefined, value: TensorSpec, where: string): Parameter {
  if (parameter && formatSpec(parameter) === formatSpec(value)) return parameter
  throw new ShapeError(parameter ? 'the weight has another type' : 'the weight is missing', {
    where,
    expected: formatSpec(value),
    actual: parameter ? formatSpec(parameter) : 'nothing',
  })
}
