import { conformanceCases } from '@afterthought/core/testing'
import { webgpu, requestDevice } from './packages/backend-webgpu/src/index.ts'
const options = JSON.parse(process.env.OPTS ?? '{}')
let backend = await webgpu(process.env.BINDING ? { ...options, device: await requestDevice({ binding: process.env.BINDING as any }) } : options)
console.log(backend.adapter)
const filter = process.argv[2]
let ok = 0, bad = 0
const t0 = performance.now()
for (const { name, run } of conformanceCases()) {
  if (filter && !name.includes(filter)) continue
  const start = performance.now()
  try { await run(backend); ok++ } catch (e: any) { bad++; console.log('FAIL', name, '\n   ', e.message?.slice(0, 300), e.code ? '' : e.stack?.split('\n').slice(1, 5).join('\n')) }
  const ms = performance.now() - start
  if (ms > 2000) console.log('slow', name, ms | 0)
}
console.log(ok, 'ok', bad, 'failed', (performance.now() - t0) | 0, 'ms')
process.exit(0)
