/**
 * The built site in Debian's Chromium: every page without an error; the playground with WebGPU off, then with WebGPU in
 * software; its numbers against `afterthought solve --json`; keyboard, links, small screens, both themes.
 *
 *     node --import tsx --conditions=@afterthought/source scripts/check-browser.ts [--screenshots FOLDER]
 *
 * CHROMIUM names another browser.
 */

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { defaults, type PlaygroundState, toFragment } from '../playground/state.ts'
import { htmlPages, serveSite } from './site.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const flag = process.argv.indexOf('--screenshots')
const pictures = flag > 0 ? process.argv[flag + 1] : undefined
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** First paint of the playground, in milliseconds. */
const MOST_PAINT = 3000
/** Between backends; the numbers are 32-bit floats. */
const TOLERANCE = 1e-3
const PATIENCE = 120_000

let failed = 0
function check(what: string, holds: boolean, seen: unknown = ''): void {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${seen === '' ? '' : `: ${seen}`}`)
  if (!holds) failed += 1
}

// ── pages ──

async function checkPages(browser: Browser, site: string): Promise<void> {
  const troubles: string[] = []
  const page = await open(browser, {}, troubles)
  for (const { address } of htmlPages()) {
    if (address === '/404') continue
    await page.goto(site + address, { waitUntil: 'load' })
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
    if (wide) troubles.push(`${address}: wider than the window`)
  }
  check(`every page without an error`, troubles.length === 0, troubles.join('\n     '))
  await page.context().close()
}

async function open(browser: Browser, options: BrowserContextOptions, troubles: string[]): Promise<Page> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE)
  const page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') troubles.push(`${page.url()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => troubles.push(`${page.url()}: ${error.message}`))
  page.on('requestfailed', (request) => {
    // A page that is left lets go of what it was fetching.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') troubles.push(`${page.url()}: ${request.url()} failed`)
  })
  page.on('response', (response) => {
    if (response.status() >= 400) troubles.push(`${page.url()}: ${response.url()} ${response.status()}`)
  })
  return page
}

// ── the playground ──

const settled = (page: Page) => page.waitForSelector('.playground[data-busy=false][data-live=true]')

/** Waits until a change has been seen and thought through. */
async function rethought(page: Page, act: () => Promise<unknown>): Promise<void> {
  await act()
  await page.waitForTimeout(700)
  await settled(page)
}

interface Seen {
  readonly answers: readonly string[]
  /** Rows of thoughts: entropy, displacement, norm, of the run by itself and the changed one, and moved. */
  readonly numbers: readonly (readonly number[])[]
}

function read(page: Page): Promise<Seen> {
  return page.evaluate(() => ({
    answers: [...document.querySelectorAll<HTMLElement>('.playground .answer')].map(
      ({ dataset }) => dataset.answer ?? '',
    ),
    numbers: [...document.querySelectorAll('.playground table.numbers tbody tr')].map((row) =>
      [...row.querySelectorAll<HTMLElement>('td')].map(({ dataset }) => Number(dataset.value)),
    ),
  }))
}

interface Solved {
  readonly answer: string
  readonly thoughts: readonly {
    readonly entropy: number
    readonly displacement: number
    readonly norm: number
    readonly moved: number
  }[]
}

function solve(question: string, options: readonly string[]): Promise<Solved> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(root, 'node_modules/.bin/afterthought'), ['solve', '-', '--json', '--quiet', ...options])
    let output = ''
    child.stdout.on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', () => resolve(JSON.parse(output)))
    child.stdin.end(question)
  })
}

/** Both sides of the page against two runs of the command. */
async function compare(what: string, seen: Seen, state: PlaygroundState, changed: readonly string[]): Promise<void> {
  const common = ['--latents', String(state.latents)]
  const [before, after] = await Promise.all([
    solve(state.question, common),
    solve(state.question, [...common, ...changed]),
  ])
  check(
    `${what}: answers`,
    seen.answers[0] === before.answer && seen.answers[1] === after.answer,
    seen.answers.join(' / '),
  )
  const expected = before.thoughts.map((plain, i) => {
    const other = after.thoughts[i]!
    return [plain.entropy, other.entropy, plain.displacement, other.displacement, plain.norm, other.norm, other.moved]
  })
  const gap = Math.max(
    ...expected.flatMap((row, i) => row.map((value, j) => Math.abs(value - (seen.numbers[i]?.[j] ?? Infinity)))),
  )
  check(
    `${what}: ${expected.length} × 7 numbers`,
    seen.numbers.length === expected.length && gap < TOLERANCE,
    `largest gap ${gap.toExponential(1)}`,
  )
}

async function checkPlayground(browser: Browser, site: string): Promise<void> {
  const troubles: string[] = []
  const page = await open(browser, { viewport: { width: 1280, height: 900 } }, troubles)
  await page.goto(`${site}/playground`)
  const paint = await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        new PerformanceObserver((list) =>
          resolve(list.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity),
        ).observe({ type: 'paint', buffered: true })
      }),
  )
  check('first paint of the playground', paint <= MOST_PAINT, `${paint.toFixed(0)} ms`)
  await settled(page)
  check('computes without WebGPU', (await backendOf(page)) === 'onnx:wasm', await backendOf(page))
  await compare('the first question', await read(page), defaults, ['--alpha', '0.3'])

  // A slider, by keyboard.
  await rethought(page, () => page.locator('input[name=alpha]').press('ArrowRight'))
  await compare('α moved by keyboard', await read(page), defaults, ['--alpha', '0.35'])
  const link = page.url()

  // The other controls.
  await rethought(page, () => page.getByRole('button', { name: 'Contrast', exact: true }).click())
  await compare('contrast', await read(page), defaults, ['--step', '0.25'])
  await rethought(page, () => page.locator('select[name=sign]').selectOption('paper'))
  await compare('the printed sign', await read(page), defaults, ['--step', '0.25', '--sign', 'paper'])
  await rethought(page, () => page.getByRole('button', { name: 'Random direction' }).click())
  await compare('a random direction', await read(page), defaults, ['--step', '0.25', '--control', 'random-direction'])
  await rethought(page, () => page.getByRole('button', { name: 'Zero' }).click())
  await compare('zeroed', await read(page), defaults, ['--replace', 'zero'])
  await rethought(page, () => page.getByRole('button', { name: 'Pause' }).click())
  await compare('pause', await read(page), defaults, ['--replace', 'pause'])
  await rethought(page, () => page.getByRole('button', { name: 'Swap' }).click())
  const swapped = await read(page)
  check(
    'swapped thoughts move',
    swapped.numbers.every((row) => row[6]! > 0.1),
    swapped.numbers.map((row) => row[6]!.toFixed(1)).join(' '),
  )

  // A question of one's own, and one that is none.
  const own =
    'Tom is a wumpus. Every wumpus is a lorpus. Every lorpus is a jelpus. Sam is a yumpus. Is Tom a jelpus or yumpus?'
  await rethought(page, () => page.getByRole('button', { name: 'Blend' }).click())
  await rethought(page, () => page.locator('.playground textarea').fill(own))
  await compare('a typed question', await read(page), { ...defaults, question: own }, ['--alpha', '0.3'])
  await page.locator('.playground textarea').fill('What is the capital of France?')
  await page.waitForSelector('.question [role=alert]')
  check(
    'nonsense is refused with a reason',
    true,
    ((await page.locator('.question [role=alert]').textContent()) ?? '').slice(0, 70),
  )
  await rethought(page, () => page.getByRole('button', { name: 'New question' }).click())
  const made = await page.locator('.playground textarea').inputValue()
  check('a new question is made', /^\S.* Is \w+ a \w+ or \w+\?$/s.test(made) && made !== own, made.slice(-40))

  // The link carries the state.
  await page.goto('about:blank')
  await page.goto(link)
  await settled(page)
  check('the link carries α', (await page.locator('input[name=alpha]').inputValue()) === '0.35', new URL(link).hash)

  // The code runs, and says the same answer.
  const run = page.locator('.code').getByRole('button', { name: 'Run' })
  await run.scrollIntoViewIfNeeded()
  await page.waitForSelector('.cm-content')
  await run.click()
  await page.waitForSelector('.output[data-running=false]')
  const lines = ((await page.locator('.output').textContent()) ?? '').trim().split('\n')
  const { answers } = await read(page)
  check('the code says the same answer', lines.at(-1) === answers[1] && lines.length === 7, lines.at(-1))
  await page.locator('.cm-content').click()
  await page.keyboard.press('Control+Home')
  await page.keyboard.type("console.log('edited')\n")
  await run.click()
  await page.waitForFunction(() => document.querySelector('.output')?.textContent?.startsWith('edited'))
  check('edited code runs', true)
  await page.waitForSelector('.output[data-running=false]')

  // The interpreter gives the same numbers.
  await rethought(page, () => page.locator('.status select').selectOption('reference'))
  check('computes with the reference', (await backendOf(page)) === 'reference')
  await compare('the reference', await read(page), defaults, ['--alpha', '0.35'])
  check('no errors in the playground', troubles.length === 0, troubles.join('\n     '))
  await page.context().close()
}

const backendOf = (page: Page) =>
  page.evaluate(() => document.querySelector<HTMLElement>('.playground')?.dataset.backend)

// ── how it looks ──

async function checkLooks(browser: Browser, site: string): Promise<void> {
  const shown = [
    { address: '/', name: 'home' },
    { address: '/guide/', name: 'guide' },
    { address: '/methods/contrastive', name: 'method' },
    { address: `/playground#${toFragment({ ...defaults, at: 3 })}`, name: 'playground' },
  ]
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      const troubles: string[] = []
      const page = await open(browser, { viewport: { width, height: 844 }, colorScheme }, troubles)
      for (const { address, name } of shown) {
        await page.goto('about:blank')
        await page.goto(site + address)
        if (name === 'playground') await settled(page)
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        check(`${name}, ${colorScheme}, ${width} px: fits`, overflow <= 0, overflow)
        await page.evaluate(axe)
        const violations = await page.evaluate(async () => {
          const { violations: found } = await (
            globalThis as unknown as {
              axe: {
                run(
                  context: object,
                  options: object,
                ): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }>
              }
            }
          ).axe.run(
            { exclude: [['.VPNav'], ['.VPSidebar'], ['.VPLocalNav'], ['.cm-editor'], ['.vp-code']] },
            { runOnly: ['wcag2a', 'wcag2aa'] },
          )
          return found.map(
            ({ id, nodes }) =>
              `${id} (${nodes
                .map(({ target }) => target.join(' '))
                .slice(0, 3)
                .join('; ')})`,
          )
        })
        check(`${name}, ${colorScheme}, ${width} px: accessible`, violations.length === 0, violations.join(', '))
        if (pictures)
          await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`), fullPage: true })
      }
      check(`${colorScheme}, ${width} px: no errors`, troubles.length === 0, troubles.join('\n     '))
      await page.context().close()
    }
  }
}

async function checkWebGpu(site: string): Promise<void> {
  const browser = await launch(['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'])
  const troubles: string[] = []
  const page = await open(browser, {}, troubles)
  await page.goto(`${site}/playground`)
  await settled(page)
  const best = await backendOf(page)
  check('WebGPU in software is not taken for a GPU', best === 'onnx:wasm', best)
  await rethought(page, () => page.locator('.status select').selectOption('webgpu'))
  check('computes with WebGPU where it is asked for', (await backendOf(page)) === 'webgpu', await backendOf(page))
  await compare('WebGPU', await read(page), defaults, ['--alpha', '0.3'])
  await rethought(page, () => page.getByRole('button', { name: 'Contrast', exact: true }).click())
  await compare('contrast on WebGPU', await read(page), defaults, ['--step', '0.25'])
  check('no errors with WebGPU', troubles.length === 0, troubles.join('\n     '))
  await browser.close()
}

const launch = (args: readonly string[]) => chromium.launch({ executablePath, args: ['--no-sandbox', ...args] })

if (!existsSync(executablePath)) {
  console.log(`${executablePath} is missing: apt-get install chromium, or name another browser in CHROMIUM`)
  process.exit(1)
}
if (pictures) mkdirSync(pictures, { recursive: true })
const site = await serveSite()
const browser = await launch([])
try {
  await checkPages(browser, site.address)
  await checkPlayground(browser, site.address)
  await checkLooks(browser, site.address)
  await checkWebGpu(site.address)
} finally {
  await browser.close()
  await site[Symbol.asyncDispose]()
}
console.log(failed === 0 ? 'all of it holds' : `${failed} checks failed`)
process.exitCode = failed === 0 ? 0 : 1
