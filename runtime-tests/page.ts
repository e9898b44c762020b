/** Chromium: the checks as functions of the page; model files come from the server that serves it. */

import { memoryFolder } from '@afterthought/core/io'
import { conformance } from './conformance.ts'
import { smoke } from './smoke.ts'

const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'latent_config.json']

async function open(name: string): ReturnType<Parameters<typeof smoke>[0]['open']> {
  const contents: Record<string, Uint8Array> = {}
  for (const file of files) {
    const response = await fetch(`/models/${name}/${file}`)
    if (response.ok) contents[file] = new Uint8Array(await response.arrayBuffer())
  }
  return memoryFolder(name, contents)
}

Object.assign(globalThis, {
  checks: { smoke: () => smoke({ open }), conformance: (only?: string) => conformance({}, only) },
})
