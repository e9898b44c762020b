/**
 * The same checks in every runtime, each on a software adapter: Node and Bun on Mesa's CPU driver (f16, subgroups), Deno on
 * the same without subgroups, Chromium on SwiftShader (no f16).
 *
 *     node runtime-tests/run.mjs [node|bun|bun-webgpu|deno|chromium …] [--conformance]
 *
 * A runtime or adapter that is missing is a failure.
 */

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium as chromiumPath, gpuEnvironment } from '../scripts/gpu-setup.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const server = join(root, 'runtime-tests', 'server.ts')
const condition = '--conditions=@afterthought/source'
const timeLimit = 20 * 60_000

/** Bun's and Deno's binaries come as packages of their own; install scripts do not run here. */
function binary(scope, name) {
  const folder = join(root, 'node_modules', scope)
  if (!existsSync(folder)) return undefined
  const candidates = readdirSync(folder).flatMap((each) => [join(folder, each, 'bin', name), join(folder, each, name)])
  return candidates.find((path) => existsSync(path) || existsSync(`${path}.exe`))
}

const environment = { ...process.env, ...gpuEnvironment(true) }
const bun = binary('@oven', 'bun')
const deno = binary('@deno', 'deno')
// wgpu takes the driver as it is.
const { VK_INSTANCE_LAYERS: _, ...withoutLayer } = environment

const runtimes = {
  node: (check) => child(process.execPath, ['--import', 'tsx', condition, server, check], environment),
  bun: (check) => child(bun, [condition, server, check, 'webgpu'], environment),
  'bun-webgpu': (check) => child(bun, [condition, server, check, 'bun-webgpu'], environment),
  deno: (check) => child(deno, ['run', '-A', '--quiet', condition, server, check], withoutLayer),
  chromium,
}

/** Runs a process and reads the report on its last line. */
function child(command, args, env) {
  if (!command) throw new Error('the runtime is not installed')
  return new Promise((resolve, reject) => {
    const running = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeLimit })
    let output = ''
    let errors = ''
    running.stdout.on('data', (data) => (output += data))
    running.stderr.on('data', (data) => (errors += data))
    running.on('error', reject)
    running.on('close', (code, signal) => {
      const last = output.trim().split('\n').at(-1)
      if (!last?.startsWith('{')) reject(new Error(`exit ${code ?? signal}\n${errors.slice(-2000)}`))
      // The report counts, and so does a crash on the way out.
      else resolve({ ...JSON.parse(last), ...(signal && { ok: false, signal }) })
    })
  })
}

/** Serves the bundled page and the models on this machine, which browsers count as a secure context. */
async function serve() {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [join(root, 'runtime-tests', 'page.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['@afterthought/source'],
  })
  const models = join(root, 'packages', 'cli', 'models', 'prosqa')
  const pages = createServer(({ url = '/' }, response) => {
    const file = normalize(join(models, url.slice('/models'.length)))
    if (url === '/')
      response.setHeader('content-type', 'text/html').end('<script type="module" src="/page.js"></script>')
    else if (url === '/page.js') response.setHeader('content-type', 'text/javascript').end(outputFiles[0].contents)
    else if (url.startsWith('/models/') && file.startsWith(models) && existsSync(file)) response.end(readFileSync(file))
    else response.writeHead(404).end()
  })
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve))
  return pages
}

async function chromium(check) {
  if (!existsSync(chromiumPath)) throw new Error(`no ${chromiumPath}`)
  const { chromium: launcher } = await import('playwright-core')
  const pages = await serve()
  const browser = await launcher.launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  })
  try {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${pages.address().port}/`)
    await page.waitForFunction(() => globalThis.checks)
    return await Promise.race([
      page.evaluate((name) => globalThis.checks[name](), check),
      new Promise((_resolve, reject) => setTimeout(() => reject(new Error('out of time')), timeLimit).unref()),
    ])
  } finally {
    await browser.close()
    pages.close()
  }
}

const asked = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const check = process.argv.includes('--conformance') ? 'conformance' : 'smoke'
let failed = false
for (const name of asked.length > 0 ? asked : Object.keys(runtimes)) {
  const start = performance.now()
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
  try {
    const report = await runtimes[name](check)
    console.log(`${report.ok ? 'ok  ' : 'FAIL'} ${name}, ${seconds()}: ${JSON.stringify(report)}`)
    failed ||= !report.ok
  } catch (error) {
    console.log(`FAIL ${name}, ${seconds()}: ${error.message}`)
    failed = true
  }
}
process.exitCode = failed ? 1 : 0
