/**
 * Elementwise operations in WGSL, one entry per operation of core's table, plus the composites that are elementwise.
 *
 * WGSL's own functions are not trusted where the specification leaves them loose: sine and cosine may be off by 2⁻¹¹, tanh
 * may overflow, minimum and maximum may ignore NaN, and SwiftShader's exp and log make numbers of it. Values are f32, i32, or bool as 0 or 1 in a u32.
 */

import type { DType, OpName } from '@afterthought/core'

export const storageType = (dtype: DType): string => (dtype === 'bool' ? 'u32' : dtype)

interface Writer {
  /** Weight of one evaluation against a load or store, which is about 4. */
  readonly cost: number
  /** The WGSL expression over named operands of type `from`. */
  write(operands: readonly string[], from: DType, to: DType): string
  readonly uses?: readonly (keyof typeof elementFunctions)[]
}

export const elementFunctions = {
  isNan: 'fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }',
  maxNan: 'fn maxNan(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, isNan(b)), a, isNan(a)); }',
  minNan: 'fn minNan(a: f32, b: f32) -> f32 { return select(select(min(a, b), b, isNan(b)), a, isNan(a)); }',
  expOf: 'fn expOf(x: f32) -> f32 { return select(exp(x), x, isNan(x)); }',
  logOf: `fn logOf(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  if (isNan(x) || x == bitcast<f32>(0x7f800000u | (bits & 0u))) { return x; }
  if (x > 0.0) { return log(x); }
  return bitcast<f32>(select(0x7fc00000u, 0xff800000u, x == 0.0) | (bits & 0u));
}`,
  tanhSafe: 'fn tanhSafe(x: f32) -> f32 { return select(tanh(clamp(x, -15.0, 15.0)), x, isNan(x)); }',
  sigmoid: 'fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + expOf(-x)); }',
  softplus: `fn softplus(x: f32) -> f32 {
  let e = exp(-abs(x));
  let value = max(x, 0.0) + select(log(1.0 + e), e * (1.0 - e * (0.5 - e / 3.0)), e < 0.01);
  return select(value, x, isNan(x));
}`,
  // Maclaurin series below one; above, the Chebyshev fit of erfc with relative error 1.2e-7 (Numerical Recipes, 6.2).
  erfOf: `fn erfOf(x: f32) -> f32 {
  let z = abs(x);
  if (z < 1.0) {
    let s = x * x;
    var term = x;
    var total = x;
    for (var n = 1; n < 12; n++) {
      term *= -s / f32(n);
      total += term / f32(2 * n + 1);
    }
    return 1.1283791670955126 * total;
  }
  let t = 1.0 / (1.0 + 0.5 * z);
  let poly = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
    + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let value = 1.0 - t * exp(-z * z + poly);
  return select(select(value, -value, x < 0.0), x, isNan(x));
}`,
  // Cody-Waite reduction by π/2 in three parts, then the minimax polynomials of Cephes' sinf and cosf.
  turn: `fn turn(x: f32, quarters: i32) -> f32 {
  let k = round(x * 0.63661977236758134);
  let r = fma(k, -7.54978941586159635e-8, fma(k, -4.83751296997070312e-4, fma(k, -1.5703125, x)));
  let s = r * r;
  let sine = r + r * s * (-1.6666654611e-1 + s * (8.3321608736e-3 - s * 1.9515295891e-4));
  let cosine = 1.0 - 0.5 * s + s * s * (4.166664568298827e-2 + s * (-1.388731625493765e-3 + s * 2.443315711809948e-5));
  let q = (i32(k) + quarters) & 3;
  let value = select(sine, cosine, (q & 1) == 1);
  return select(value, -value, q >= 2);
}`,
  gelu: `fn gelu(x: f32) -> f32 { return 0.5 * x * (1.0 + tanhSafe(0.7978845608028654 * (x + 0.044715 * x * x * x))); }`,
  geluErf: 'fn geluErf(x: f32) -> f32 { return 0.5 * x * (1.0 + erfOf(x * 0.7071067811865476)); }',
} as const

const call = (name: keyof typeof elementFunctions, cost = 8): Writer => ({
  cost,
  write: (operands) => `${name}(${operands.join(', ')})`,
  uses: dependencies(name),
})

const infix = (operator: string): Writer => ({ cost: 1, write: ([a, b]) => `${a} ${operator} ${b}` })
const builtin = (name: string): Writer => ({ cost: 4, write: (operands) => `${name}(${operands.join(', ')})` })
const compare = (operator: string): Writer => ({ cost: 1, write: ([a, b]) => `select(0u, 1u, ${a} ${operator} ${b})` })

/** Extremes of f32 keep NaN; those of i32 have none. */
const extreme = (name: 'max' | 'min'): Writer => ({
  cost: 2,
  write: ([a, b], from) => (from === 'f32' ? `${name}Nan(${a}, ${b})` : `${name}(${a}, ${b})`),
  uses: ['isNan', `${name}Nan`],
})

function dependencies(name: keyof typeof elementFunctions): (keyof typeof elementFunctions)[] {
  const used = (Object.keys(elementFunctions) as (keyof typeof elementFunctions)[]).filter(
    (other) => other !== name && elementFunctions[name].includes(`${other}(`),
  )
  return [...new Set([...used.flatMap(dependencies), name])]
}

/** Names of core's operations; `geluErf` is `gelu` without approximation. */
export type ElementOp = OpName | 'geluErf'

export const elementOps: Readonly<Partial<Record<ElementOp, Writer>>> = {
  neg: { cost: 1, write: ([x]) => `-${x}` },
  exp: call('expOf', 4),
  log: call('logOf', 4),
  sqrt: builtin('sqrt'),
  abs: builtin('abs'),
  tanh: call('tanhSafe'),
  sigmoid: call('sigmoid'),
  erf: call('erfOf', 20),
  softplus: call('softplus'),
  relu: { cost: 1, write: ([x]) => `select(${x}, 0.0, ${x} < 0.0)` },
  sin: { cost: 16, write: ([x]) => `turn(${x}, 0)`, uses: ['turn'] },
  cos: { cost: 16, write: ([x]) => `turn(${x}, 1)`, uses: ['turn'] },
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: { cost: 2, write: ([a, b]) => `${a} / ${b}` },
  maximum: extreme('max'),
  minimum: extreme('min'),
  equal: compare('=='),
  less: compare('<'),
  lessEqual: compare('<='),
  and: infix('&'),
  or: infix('|'),
  not: { cost: 1, write: ([x]) => `1u - ${x}` },
  where: { cost: 1, write: ([condition, a, b]) => `select(${b}, ${a}, ${condition} != 0u)` },
  cast: {
    cost: 1,
    write: ([x], from, to) =>
      to === 'bool' ? `select(1u, 0u, ${x} == ${storageType(from)}(0))` : `${storageType(to)}(${x})`,
  },
  gelu: call('gelu', 12),
  geluErf: call('geluErf', 24),
  silu: { cost: 8, write: ([x]) => `${x} * sigmoid(${x})`, uses: dependencies('sigmoid') },
}
