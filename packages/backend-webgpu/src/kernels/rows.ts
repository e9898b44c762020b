/**
 * Operations over the last axis, one workgroup per row: softmax, log-softmax, layer and RMS norm, cross-entropy.
 *
 * Rows are dense, one behind the other; they are read two or three times, which caches make cheap, and every intermediate
 * stays in registers.
 */

import type { View } from '../plan/views.ts'
import { type Kernel, read, write } from './kernel.ts'
import { lanes, ROW_LANES, rowReductions, type Target } from './workgroup.ts'

/** @param flops per element */
function rowKernel(
  target: Target,
  { rows, width }: { rows: number; width: number },
  kernel: Pick<Kernel, 'label' | 'bindings' | 'parameters' | 'body' | 'flops'>,
): Kernel {
  return {
    ...kernel,
    parameters: { rows, width, ...kernel.parameters },
    size: ROW_LANES,
    groups: rows,
    ...rowReductions(target, ['Sum', 'Max']),
    body: `
  if (group >= p.rows) { return; }
  let base = p.xAt + group * p.width;
  let to = group * p.width;
${kernel.body}`,
    flops: kernel.flops * rows * width,
  }
}

const each = (statement: string): string => `  for (var j = lane; j < p.width; j += ${ROW_LANES}u) { ${statement} }`

const maximumAndSum = (target: Target): string => `
  var top = lowest(lane);
${each('top = max(top, x[base + j]);')}
  top = rowMax(top, ${lanes(target)});
  var sum = 0.0;
${each('sum += exp(x[base + j] - top);')}
  sum = rowSum(sum, ${lanes(target)});`

/** softmax or logSoftmax of dense rows. */
export function softmax(target: Target, op: 'softmax' | 'logSoftmax', x: View, out: View): Kernel {
  const store = op === 'softmax' ? 'exp(x[base + j] - top) / sum' : 'x[base + j] - top - log(sum)'
  return rowKernel(target, rowsOf(x), {
    label: op,
    bindings: [write('out', out), read('x', x)],
    parameters: { xAt: x.offset },
    body: `${maximumAndSum(target)}\n${each(`out[to + j] = ${store};`)}`,
    flops: 20,
  })
}

export function crossEntropy(target: Target, logits: View, labels: View, out: View): Kernel {
  return rowKernel(target, rowsOf(logits), {
    label: 'crossEntropy',
    bindings: [write('out', out), read('x', logits), read('labels', labels, 'i32')],
    parameters: { xAt: logits.offset, labelsAt: labels.offset },
    // A label outside the classes gives NaN instead of a plausible number.
    body: `${maximumAndSum(target)}
  if (lane == 0u) {
    let label = labels[p.labelsAt + group];
    let known = label < i32(p.width);
    let at = x[base + u32(clamp(label, 0, i32(p.width) - 1))];
    let loss = select(bitcast<f32>(0x7fc00000u | (lane & 0u)), top + log(sum) - at, known);
    out[group] = select(loss, 0.0, label < 0);
  }`,
    flops: 20,
  })
}

/** (x − mean) / √(variance + ε) · weight + bias */
export function layerNorm(target: Target, [x, weight, bias]: readonly View[], epsilon: number, out: View): Kernel {
  return rowKernel(target, rowsOf(x!), {
    label: 'layerNorm',
    bindings: [write('out', out), read('x', x!), read('weight', weight!), read('bias', bias!)],
    parameters: { xAt: x!.offset, weightAt: weight!.offset, biasAt: bias!.offset, epsilon: { f32: epsilon } },
    body: `
  var sum = 0.0;
${each('sum += x[base + j];')}
  let mean = rowSum(sum, ${lanes(target)}) / f32(p.width);
  var squares = 0.0;
${each('let d = x[base + j] - mean; squares += d * d;')}
  let scale = 1.0 / sqrt(rowSum(squares, ${lanes(target)}) / f32(p.width) + p.epsilon);
${each('out[to + j] = (x[base + j] - mean) * scale * weight[p.weightAt + j] + bias[p.biasAt + j];')}`,
    flops: 8,
  })
}

/** x / √(mean x² + ε) · weight */
export function rmsNorm(target: Target, [x, weight]: readonly View[], epsilon: number, out: View): Kernel {
  return rowKernel(target, rowsOf(x!), {
    label: 'rmsNorm',
    bindings: [write('out', out), read('x', x!), read('weight', weight!)],
    parameters: { xAt: x!.offset, weightAt: weight!.offset, epsilon: { f32: epsilon } },
    body: `
  var squares = 0.0;
${each('let v = x[base + j]; squares += v * v;')}
  let scale = 1.0 / sqrt(rowSum(squares, ${lanes(target)}) / f32(p.width) + p.epsilon);
${each('out[to + j] = x[base + j] * scale * weight[p.weightAt + j];')}`,
    flops: 4,
  })
}

function rowsOf({ shape }: View): { rows: number; width: number } {
  const width = shape.at(-1)!
  return { rows: shape.slice(0, -1).reduce((product, extent) => product * extent, 1), width }
}
