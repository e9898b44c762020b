/**
 * The same checks in every runtime, each on a software adapter: Node and Bun on Mesa's CPU driver (f16, subgroups), Deno on
 * the same without subgroups, Chromium on SwiftShader (no f16).
 *
 *     node runtime-tests/run.mjs [node|bun|bun-webgpu|deno|chromium …] [--conformance] [--fixture FOLDER]
 *
 * The smoke test, unless another check is asked for; with it the `afterthought` command is started in runtimes that have
 * processes. A runtime or adapter that is missing is a failure.
 */

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium as chromiumPath, gpuEnvironment } from '../scripts/gpu-setup.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const server = join(root, 'runtime-tests', 'server.ts')
const command = join(root, 'packages', 'cli', 'bin', 'afterthought.js')
const condition = '--conditions=@afterthought/source'
const timeLimit = 20 * 60_000

const { values, positionals: asked } = parseArgs({
  options: { conformance: { type: 'boolean' }, fixture: { type: 'string' } },
  allowPositionals: true,
})
const check = values.fixture ? ['fixture', values.fixture] : [values.conformance ? 'conformance' : 'smoke']

/** Bun's and Deno's binaries come as packages of their own; install scripts do not run here. */
function binary(scope, name) {
  const folder = join(root, 'node_modules', scope)
  const packages = existsSync(folder) ? readdirSync(folder) : []
  const candidates = packages.flatMap((each) => [join(folder, each, 'bin', name), join(folder, each, name)])
  return candidates.find((path) => existsSync(path) || existsSync(`${path}.exe`))
}

const environment = { ...process.env, ...gpuEnvironment(true) }
const bun = binary('@oven', 'bun')
const deno = [binary('@deno', 'deno'), 'run', '-A', '--quiet']
// wgpu takes the driver as it is.
const { VK_INSTANCE_LAYERS: _, ...withoutLayer } = environment

const runtimes = {
  node: () => child([process.execPath, '--import', 'tsx', condition, server, ...check], environment),
  bun: () => child([bun, condition, server, ...check, '--binding', 'webgpu'], environment),
  'bun-webgpu': () => child([bun, condition, server, ...check, '--binding', 'bun-webgpu'], environment),
  deno: () => child([...deno, condition, server, ...check], withoutLayer),
  chromium,
}

const commands = {
  node: () => solve([process.execPath], environment),
  bun: () => solve([bun], environment),
  deno: () => solve(deno, withoutLayer),
}

/** Runs a process and reads the JSON on its last line. */
function child([program, ...args], env) {
  if (!program) throw new Error('the runtime is not installed')
  return new Promise((resolve, reject) => {
    const running = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeLimit })
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

/** The command itself, refining the embedded model's thoughts. */
async function solve(start, env) {
  const question = 'Tom is a wumpus. Every wumpus is a lorpus. Every jelpus is a yumpus. Is Tom a lorpus or yumpus?'
  const words = ['solve', question, '--step', '0.25', '--backend', 'webgpu', '--json', '--quiet']
  const { answer, settings, error } = await child([...start, command, ...words], env)
  return { ok: answer === 'Tom is a lorpus.' && settings.backend === 'webgpu', answer, error }
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
  const folders = { models: join(root, 'packages', 'cli', 'models', 'prosqa'), fixture: values.fixture ?? '' }
  const pages = createServer(({ url = '/' }, response) => {
    const [, first, ...path] = url.split('/')
    const file = first in folders ? normalize(join(folders[first], ...path)) : ''
    if (url === '/')
      response.setHeader('content-type', 'text/html').end('<script type="module" src="/page.js"></script>')
    else if (url === '/page.js') response.setHeader('content-type', 'text/javascript').end(outputFiles[0].contents)
    else if (file && existsSync(file)) response.end(readFileSync(file))
    else response.writeHead(404).end()
  })
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve))
  return pages
}

async function chromium() {
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
      page.evaluate((name) => globalThis.checks[name](), check[0]),
      new Promise((_resolve, reject) => setTimeout(() => reject(new Error('out of time')), timeLimit).unref()),
    ])
  } finally {
    await browser.close()
    pages.close()
  }
}

let failed = false
async function perform(name, work) {
  const start = performance.now()
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
  try {
    const report = await work()
    console.log(`${report.ok ? 'ok  ' : 'FAIL'} ${name}, ${seconds()}: ${JSON.stringify(report)}`)
    failed ||= !report.ok
  } catch (error) {
    console.log(`FAIL ${name}, ${seconds()}: ${error.message}`)
    failed = true
  }
}

for (const name of asked.length > 0 ? asked : Object.keys(runtimes)) {
  await perform(name, runtimes[name])
  if (check[0] === 'smoke' && commands[name]) await perform(`the command in ${name}`, commands[name])
}
process.exitCode = failed ? 1 : 0
