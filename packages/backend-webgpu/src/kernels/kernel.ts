/**
 * What a kernel is: a piece of WGSL, the storage it touches, its parameters and how many workgroups it takes.
 *
 * All kernels have one frame: parameters in a uniform at binding 0, storage from binding 1 on, a one-dimensional
 * workgroup, and a linear workgroup index `group` that spans more than 65,535 groups. Shapes are parameters, not code, so
 * that a pipeline serves every shape; text that differs (fused expressions, storage formats) makes another pipeline.
 */

import type { Slot } from '../plan/views.ts'

export interface Binding {
  /** Name in the kernel's text. */
  readonly name: string
  readonly slot: Slot
  readonly access: 'read' | 'write'
  /** WGSL element type of the array. */
  readonly type: string
  /** Part of the slot, in bytes: weights larger than a binding are bound in slabs. */
  readonly range?: { readonly offset: number; readonly size: number }
}

export type Feature = 'f16' | 'subgroups'

export type Parameters = Readonly<Record<string, number | { readonly f32: number }>>

export interface Kernel {
  /** The operation, for profiles and error messages. */
  readonly label: string
  readonly bindings: readonly Binding[]
  readonly parameters: Parameters
  /** Invocations of a workgroup. */
  readonly size: number
  readonly groups: number
  /** Module-scope functions and workgroup variables. */
  readonly declarations?: readonly string[]
  /** Body of `main`, with `group`, `lane` and `p` (parameters) in scope; with subgroups also `subLane` and `subSize`. */
  readonly body: string
  readonly features?: readonly Feature[]
  /** Floating-point operations, for profiles. */
  readonly flops: number
  /** Bytes read and written, where it is not all that is bound. */
  readonly bytes?: number
  /** The first binding (written) may be the same storage as this one: element i is read before it is written. */
  readonly inPlaceWith?: Slot
  /** A whole-slot copy from this slot, which falls away if both come to share storage. */
  readonly copyOf?: Slot
}

/** The full text. A written binding that took over the storage of a read one is declared once. */
export function assemble(kernel: Kernel, inPlace: boolean): string {
  const features = kernel.features ?? []
  const enables = features.map((feature) => `enable ${feature};\n`).join('')
  const fields = Object.entries(kernel.parameters).map(
    ([name, value]) => `  ${name}: ${typeof value === 'number' ? 'u32' : 'f32'},`,
  )
  const storage = declaredBindings(kernel, inPlace).map(
    ({ name, access, type }, i) =>
      `@group(0) @binding(${i + 1}) var<storage, ${access === 'read' ? 'read' : 'read_write'}> ${name}: array<${type}>;`,
  )
  const subgroups = features.includes('subgroups')
    ? ', @builtin(subgroup_invocation_id) subLane: u32, @builtin(subgroup_size) subSize: u32'
    : ''
  const body = inPlace ? aliased(kernel) : kernel.body
  return `${enables}struct Parameters {
${fields.join('\n')}
}
@group(0) @binding(0) var<uniform> p: Parameters;
${storage.join('\n')}
${[...new Set(kernel.declarations)].join('\n')}
@compute @workgroup_size(${kernel.size})
fn main(@builtin(workgroup_id) groupId: vec3<u32>, @builtin(num_workgroups) groupCount: vec3<u32>,
  @builtin(local_invocation_index) lane: u32${subgroups}) {
  let group = groupId.y * groupCount.x + groupId.x;
${body}
}
`
}

/** Bindings in declaration order, without the read binding that is the same storage as the written one. */
export function declaredBindings(kernel: Kernel, inPlace: boolean): readonly Binding[] {
  return inPlace ? kernel.bindings.filter((binding) => !isReplaced(kernel, binding)) : kernel.bindings
}

const isReplaced = (kernel: Kernel, { access, slot }: Binding): boolean =>
  access === 'read' && slot === kernel.inPlaceWith

function aliased(kernel: Kernel): string {
  const target = kernel.bindings[0]!
  let { body } = kernel
  for (const binding of kernel.bindings) {
    if (isReplaced(kernel, binding)) body = body.replaceAll(`${binding.name}[`, `${target.name}[`)
  }
  return body
}

/** Bytes of the uniform: scalars of four bytes, in order. */
export function encodeParameters(parameters: Parameters, target: DataView, offset: number): void {
  Object.values(parameters).forEach((value, i) => {
    if (typeof value === 'number') target.setUint32(offset + 4 * i, value, true)
    else target.setFloat32(offset + 4 * i, value.f32, true)
  })
}

const MAX_GROUPS = 65535

/** Workgroups along x and y; the last row may be partly idle. */
export function grid(groups: number): readonly [number, number] {
  if (groups <= MAX_GROUPS) return [groups, 1]
  const rows = Math.ceil(groups / MAX_GROUPS)
  return [Math.ceil(groups / rows), rows]
}

const bind =
  (access: Binding['access']) =>
  (name: string, { slot }: { slot: Slot }, type = 'f32'): Binding => ({ name, slot, access, type })

export const read: ReturnType<typeof bind> = bind('read')
export const write: ReturnType<typeof bind> = bind('write')

const INVOCATIONS = 64

/** A kernel that computes each of `count` elements on its own: `i` is in scope of its body. */
export function perElement(count: number, kernel: Omit<Kernel, 'size' | 'groups'>): Kernel {
  return {
    ...kernel,
    parameters: { count, ...kernel.parameters },
    size: INVOCATIONS,
    groups: Math.ceil(count / INVOCATIONS),
    body: `
  let i = group * ${INVOCATIONS}u + lane;
  if (i >= p.count) { return; }${kernel.body}`,
  }
}
