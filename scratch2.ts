import { openLocalFolder } from './packages/core/src/files/open.ts'
import { verifyFixture } from './packages/core/src/testing/fixture.ts'
import { webgpu } from './packages/backend-webgpu/src/index.ts'
const options = JSON.parse(process.env.OPTS ?? '{}')
for (const f of (process.argv[2] ?? 'gpt2,llama,qwen2,qwen3').split(',')) {
  const backend = await webgpu(options)
  const t0 = performance.now()
  const report = await verifyFixture(await openLocalFolder(new URL(`../shared/fixtures/${f}-tiny`, import.meta.url).pathname), backend)
  const worst = (re: RegExp) => Math.max(...report.checks.filter((c) => re.test(c.name)).map((c) => c.maxError))
  console.log(f, report.ok, report.checks.length, (performance.now() - t0) | 0, 'ms', 'logits', worst(/logits/), 'hidden', worst(/hidden|thoughts/), 'MB', backend.allocatedBytes / 2 ** 20)
  for (const c of report.checks.filter((c) => !c.ok)) console.log('   ', c.name, c.maxError, c.tolerance)
  await backend.dispose()
}
process.exit(0)
