/** Chromium: the checks as functions of the page; the files of models come from the server that serves it. */

import { type ModelFolder, memoryFolder } from '@afterthought/core/io'
import { conformance } from './conformance.ts'
import { fixture } from './fixture.ts'
import { smoke } from './smoke.ts'

const modelFiles = ['config.json', 'model.safetensors', 'tokenizer.json', 'latent_config.json']
const fixtureFiles = ['model_good.safetensors', 'model_bad.safetensors', 'expected.json', 'expected.safetensors']

async function open(address: string): Promise<ModelFolder> {
  const contents: Record<string, Uint8Array> = {}
  for (const file of [...modelFiles, ...fixtureFiles]) {
    const response = await fetch(`${address}/${file}`)
    if (response.ok) contents[file] = new Uint8Array(await response.arrayBuffer())
  }
  return memoryFolder(address, contents)
}

Object.assign(globalThis, {
  checks: {
    smoke: () => smoke({ open: (name) => open(`/models/${name}`) }),
    conformance: () => conformance(),
    fixture: async () => fixture(await open('/fixture')),
  },
})
