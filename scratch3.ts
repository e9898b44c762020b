import { conformanceCases, randomModel, randomFamilies } from '@afterthought/core/testing'
import { trace } from '@afterthought/core'
import { webgpu } from './packages/backend-webgpu/src/index.ts'
import { cacheSpecs, cacheOutputs, tracedCache } from './packages/core/src/models/kv-cache.ts'
import { TracedDecoder } from './packages/core/src/models/traced.ts'
const backend = await webgpu(JSON.parse(process.env.OPTS ?? '{}'))
for (const family of ['gpt2', 'llama', 'qwen2', 'qwen3'] as const) {
  const model: any = randomModel(family, backend, 1)
  const counts: number[] = []
  for (const layers of [2, 3]) {
    const config = { ...model.config, layers }
    const parameters = new Map(model.weights('main'))
    for (const [name, p] of [...parameters] as any) { for (const l of [2]) { const n = name.replace(/\.[01]\./, '.2.'); if (!parameters.has(n)) parameters.set(n, { ...p, identity: p.identity + '2' }) } }
    const caches = cacheSpecs('main', config, 1, 16)
    const g = trace('step', { input: { shape: [1, 1, config.width], dtype: 'f32' }, start: { shape: [1], dtype: 'i32' }, length: { shape: [], dtype: 'i32' }, ...caches }, (inputs) => {
      const d = new TracedDecoder('main', config, tracedCache('main', config, inputs, inputs.length!, false))
      const { lastHidden, next } = d.step(inputs.input!)
      return { outputs: { lastHidden, ...cacheOutputs('main', next.cache as any) }, aliases: Object.fromEntries(Object.keys(caches).map((n) => [n, n])) }
    })
    const e = await backend.compile(g, parameters as any)
    counts.push(e.steps.length)
    if (layers === 2) console.log(family, e.steps.map((s) => s.kernel.label).join(' | '))
  }
  console.log(family, 'total', counts, 'per layer', counts[1]! - counts[0]!)
}
process.exit(0)
