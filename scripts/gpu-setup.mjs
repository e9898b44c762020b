/**
 * A WebGPU adapter for tests on machines without a GPU: Mesa's CPU driver for Vulkan, made acceptable to Dawn by the layer
 * of runtime-tests/vulkan-layer.
 *
 *     node scripts/gpu-setup.mjs            installs what is missing (Debian, as root), builds the layer, prints the variables
 *     eval "$(node scripts/gpu-setup.mjs)"  and sets them
 *
 * The tests call `setup` by themselves. Variables that are set already are left alone: to run the tests on a real GPU, set
 * VK_DRIVER_FILES to its driver (on macOS and Windows nothing is needed, and nothing is done).
 */

import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'runtime-tests', 'vulkan-layer')
const built = join(root, 'node_modules', '.cache', 'vulkan-layer')
const library = join(built, 'libafterthought-layer.so')
const packages = ['libvulkan1', 'mesa-vulkan-drivers', 'libvulkan-dev', 'gcc', 'libc6-dev', 'chromium']

const driverFolder = '/usr/share/vulkan/icd.d'

/** Mesa's CPU driver; its file is named after the architecture. */
function softwareDriver() {
  if (!existsSync(driverFolder)) return undefined
  const name = readdirSync(driverFolder).find((file) => file.startsWith('lvp_icd'))
  return name && join(driverFolder, name)
}

/** Where Debian puts it. */
export const chromium = '/usr/bin/chromium'

function isInstalled() {
  return softwareDriver() && existsSync('/usr/include/vulkan/vk_layer.h') && existsSync('/usr/bin/gcc')
}

function apt(...args) {
  execFileSync('apt-get', args, { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
}

function install() {
  if (process.platform !== 'linux' || process.getuid() !== 0 || !existsSync('/usr/bin/apt-get')) return
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', ...packages)
}

function buildLayer() {
  const code = join(source, 'layer.c')
  if (existsSync(library) && statSync(library).mtimeMs > statSync(code).mtimeMs) return
  mkdirSync(built, { recursive: true, mode: 0o700 })
  copyFileSync(join(source, 'layer.json'), join(built, 'layer.json'))
  execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-fvisibility=hidden', '-o', library, code], { stdio: 'inherit' })
}

/**
 * Variables under which Dawn and wgpu find an adapter; none where the machine has what it needs, or cannot be given it.
 *
 * @param {boolean} mayInstall whether Debian packages may be installed
 */
export function gpuEnvironment(mayInstall) {
  if (process.platform !== 'linux' || process.env.VK_DRIVER_FILES) return {}
  if (mayInstall && (!isInstalled() || !existsSync(chromium))) install()
  if (!isInstalled()) return {}
  buildLayer()
  return {
    VK_DRIVER_FILES: softwareDriver(),
    // Loaders before 1.3.207 know the older name only.
    VK_ICD_FILENAMES: softwareDriver(),
    VK_LAYER_PATH: built,
    VK_INSTANCE_LAYERS: 'VK_LAYER_AFTERTHOUGHT_tests',
    // Silences a harmless message of the loader.
    ...(!process.env.XDG_RUNTIME_DIR && { XDG_RUNTIME_DIR: built }),
  }
}

/** vitest's global setup: its workers inherit the variables. */
export function setup() {
  Object.assign(process.env, gpuEnvironment(true))
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [name, value] of Object.entries(gpuEnvironment(true))) console.log(`export ${name}='${value}'`)
}
