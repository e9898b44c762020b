/**
 * The site: pages in pages/, colours and components in theme/, code quoted from the sources by name.
 *
 * VitePress checks every link between pages while it builds; scripts/check-site.ts checks the rest.
 */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transformerTwoslash } from '@shikijs/vitepress-twoslash'
import { ModuleKind, ModuleResolutionKind, ScriptTarget } from 'typescript'
import { type DefaultTheme, defineConfig } from 'vitepress'
import { stylesheetFor } from '../../../packages/cli/src/drawing/theme.ts'
import { modelFiles } from './model-files.ts'
import { pictures } from './pictures.ts'
import { quotations } from './quotations.ts'
import { report } from './report.ts'
import { tables } from './tables.ts'

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Where the site will lie: `/` alone, or `/name/` below somebody's pages. */
const base = (process.env.DOCS_BASE ?? '/') as `/${string}/`

export default defineConfig({
  title: 'Afterthought',
  description:
    'Run, refine and look inside the continuous thoughts of latent-reasoning models, in any JavaScript runtime.',
  base,
  srcDir: 'pages',
  outDir: 'dist',
  cleanUrls: true,
  lastUpdated: false,
  head: [
    ['link', { rel: 'icon', href: `${base}icon.svg`, type: 'image/svg+xml' }],
    ['style', {}, stylesheetFor('.dark')],
    ['meta', { name: 'theme-color', content: '#e8590c' }],
  ],
  themeConfig: {
    logo: '/icon.svg',
    nav: [
      { text: 'Guide', link: '/guide/', activeMatch: '^/guide/' },
      { text: 'Methods', link: '/methods/', activeMatch: '^/methods/' },
      { text: 'Internals', link: '/internals/', activeMatch: '^/internals/' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
      { text: 'Playground', link: '/playground' },
    ],
    sidebar: {
      '/guide/': guide(),
      '/methods/': methods(),
      '/internals/': internals(),
      '/api/': apiSidebar(),
    },
    outline: { level: [2, 3] },
    search: { provider: 'local', options: { _render: searchable } },
    socialLinks: [{ icon: 'github', link: 'https://github.com/afterthought-js/afterthought' }],
    footer: { message: 'MIT. Every number on this site was measured; every picture is a run.' },
  },
  markdown: {
    theme: { light: 'github-light', dark: 'github-dark' },
    config(md) {
      md.use(quotations).use(pictures).use(tables).use(report)
    },
    codeTransformers: [
      transformerTwoslash({
        twoslashOptions: {
          compilerOptions: {
            target: ScriptTarget.ES2022,
            module: ModuleKind.ESNext,
            moduleResolution: ModuleResolutionKind.Bundler,
            customConditions: ['@afterthought/source'],
            allowImportingTsExtensions: true,
            noEmit: true,
            strict: true,
            skipLibCheck: true,
            lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts'],
            types: ['node', '@webgpu/types'],
          },
        },
      }) as never, // VitePress carries an older Shiki, whose transformers have the same shape
    ],
  },
  vite: {
    plugins: [modelFiles()],
    resolve: { conditions: ['@afterthought/source'] },
    worker: { format: 'es' },
    // The editor and the runtime of WebAssembly are loaded when they are used, not before.
    build: { chunkSizeWarningLimit: 900 },
    server: { fs: { allow: [local('../../..')] } },
  },
})

function guide(): DefaultTheme.SidebarItem[] {
  return [
    {
      text: 'Start',
      items: [
        { text: 'A thought without words', link: '/guide/' },
        { text: 'Quick start', link: '/guide/quick-start' },
      ],
    },
    {
      text: 'Use',
      items: [
        { text: 'Backends', link: '/guide/backends' },
        { text: 'Loading models', link: '/guide/models' },
        { text: 'Refining thoughts', link: '/guide/refining' },
        { text: 'Evaluating honestly', link: '/guide/evaluating' },
        { text: 'Training', link: '/guide/training' },
        { text: 'What thoughts are worth', link: '/guide/report' },
        { text: 'And the literature', link: '/guide/literature' },
        { text: 'Exporting', link: '/guide/exporting' },
      ],
    },
  ]
}

function methods(): DefaultTheme.SidebarItem[] {
  return [
    {
      text: 'Methods',
      items: [
        { text: 'Overview', link: '/methods/' },
        { text: 'Coconut', link: '/methods/coconut' },
        { text: 'Residual refinement', link: '/methods/residual' },
        { text: 'Contrastive feedback', link: '/methods/contrastive' },
        { text: 'Controls', link: '/methods/controls' },
      ],
    },
  ]
}

function internals(): DefaultTheme.SidebarItem[] {
  return [
    {
      text: 'From a thought to a kernel',
      items: [
        { text: 'Overview', link: '/internals/' },
        { text: '1 Trace', link: '/internals/trace' },
        { text: '2 Graph', link: '/internals/graph' },
        { text: '3 Gradient', link: '/internals/gradient' },
        { text: '4 Lower', link: '/internals/lower' },
        { text: '5 Plan', link: '/internals/plan' },
        { text: '6 Kernel', link: '/internals/kernel' },
      ],
    },
  ]
}

/** Written by TypeDoc beside its pages. */
function apiSidebar(): DefaultTheme.SidebarItem[] {
  const file = local('../pages/api/typedoc-sidebar.json')
  if (!existsSync(file)) return []
  return [{ text: 'API', items: JSON.parse(readFileSync(file, 'utf8')) }]
}

/** The API pages are found by their names; their text would triple the index. */
function searchable(
  source: string,
  env: { relativePath: string },
  md: { render(source: string, env: unknown): string },
) {
  if (env.relativePath.startsWith('api/')) return md.render(source.slice(0, source.indexOf('\n## ') + 1), env)
  return md.render(source, env)
}
