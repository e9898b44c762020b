/**
 * Node, Bun and Deno: runs one check and prints its report as the last line, as JSON.
 *
 *     server.ts smoke|conformance [webgpu|bun-webgpu]
 */

import { fileURLToPath } from 'node:url'
import { requestDevice } from '@afterthought/backend-webgpu'
import { openFolder } from '@afterthought/core/files'
import { conformance } from './conformance.ts'
import { smoke } from './smoke.ts'

const [check, binding] = process.argv.slice(2)
const models = new URL('../packages/cli/models/prosqa/', import.meta.url)
const folders = { open: (name: string) => openFolder(fileURLToPath(new URL(name, models))) }
const device = await requestDevice(binding ? { binding: binding as 'webgpu' | 'bun-webgpu' } : {})
const report = check === 'conformance' ? await conformance({ device }) : await smoke(folders, { device })
device.destroy()
console.log(JSON.stringify(report))
process.exitCode = report.ok ? 0 : 1
