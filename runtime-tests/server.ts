/**
 * Node, Bun and Deno: runs one check and prints its report as the last line, as JSON.
 *
 *     server.ts smoke | conformance | fixture FOLDER [--binding webgpu|bun-webgpu]
 */

import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type DeviceRequest, requestDevice } from '@afterthought/backend-webgpu'
import { openFolder } from '@afterthought/core/files'
import { conformance } from './conformance.ts'
import { fixture } from './fixture.ts'
import { smoke } from './smoke.ts'

const { values, positionals } = parseArgs({ options: { binding: { type: 'string' } }, allowPositionals: true })
const [check, folder = ''] = positionals
const models = new URL('../packages/cli/models/prosqa/', import.meta.url)
const device = await requestDevice(values as DeviceRequest)

const checks: Readonly<Record<string, () => Promise<{ readonly ok: boolean }>>> = {
  smoke: () => smoke({ open: (name) => openFolder(fileURLToPath(new URL(name, models))) }, { device }),
  conformance: () => conformance({ device }),
  fixture: async () => fixture(await openFolder(folder), { device }),
}
const report = await checks[check!]!()
device.destroy()
console.log(JSON.stringify(report))
process.exitCode = report.ok ? 0 : 1
