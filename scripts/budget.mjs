/**
 * Line budgets: a core that one person can read, backends that stay small, files that are chapters. Every line counts,
 * comments too; tests do not.
 *
 *     node scripts/budget.mjs
 */

import { packageNames, sourcesOf } from './sources.mjs'

const perFile = 500
const perPackage = { core: 10_000, 'backend-onnx': 4_000, 'backend-webgpu': 4_000 }

let failed = false
for (const name of packageNames) {
  const files = sourcesOf(name).map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
  const total = files.reduce((sum, { lines }) => sum + lines, 0)
  const limit = perPackage[name] ?? Number.POSITIVE_INFINITY
  console.log(`${name.padEnd(16)} ${String(total).padStart(6)} lines${Number.isFinite(limit) ? ` of ${limit}` : ''}`)
  if (total > limit) failed = true
  for (const { path, lines } of files.filter((file) => file.lines > perFile)) {
    console.log(`  ${path}: ${lines} lines, at most ${perFile}: split it where its subject splits`)
    failed = true
  }
}
if (failed) process.exitCode = 1
