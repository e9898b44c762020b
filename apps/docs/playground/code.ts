/**
 * The program for what is on screen: plain JavaScript over the published packages, which runs in the page's sandbox as it
 * stands, and elsewhere with another line for where the models come from.
 */

import { type PlaygroundState, refinementOf } from './state.ts'

export function programFor(state: PlaygroundState): string {
  const { model, latents, seed, slots, question } = state
  const refinement = latents > 0 ? refinementOf(state) : undefined
  const references = refinement?.search ? ['good', 'bad'] : []
  const replaced = slots !== 'own' && latents > 0
  const foreign = replaced && slots === 'other-question'
  const options = [
    `latents: ${latents}`,
    'endIds: prompt.endIds',
    'stopIds: []',
    ...(refinement ? [`refinement: ${literal(refinement)}`] : []),
    ...(replaced ? [foreign ? 'replace: foreign' : `replace: '${slots}'`] : []),
    ...(seed === 0 ? [] : [`seed: ${seed}`]),
    'record: true',
  ]
  return `import { describeThoughts, loadModel, reference, rollout } from '@afterthought/core'
import { ${foreign ? 'generateProsqa, ' : ''}taskOf } from '@afterthought/core/data'
import { memoryFolder } from '@afterthought/core/io'

const backend = reference()
const load = async (name) => {
  const files = {}
  const names = ['config.json', 'tokenizer.json', 'model.safetensors']
  if (name.startsWith('main')) names.push('latent_config.json')
  for (const file of names) {
    const response = await fetch(new URL(\`models/prosqa/\${name}/\${file}\`, site))
    files[file] = new Uint8Array(await response.arrayBuffer())
  }
  return loadModel(memoryFolder(name, files), backend)
}

const main = await load('${model}')
${references.map((role) => `const ${role} = await load('${role}')\n`).join('')}const task = taskOf(main)
const prompt = task.encode(
  ${quoted(question)},
)
${foreign ? foreignThoughts(latents, seed) : ''}
const { rows } = await rollout({ ${['main', ...references].join(', ')} }, [prompt.promptIds], {
${options.map((option) => `  ${option},\n`).join('')}})

const thoughts = await describeThoughts(main, prompt.promptIds, rows[0], prompt)
for (const { t, norm, displacement, entropy, top } of thoughts) {
  const reading = top.map(({ token, probability }) => \`\${token} \${probability.toFixed(2)}\`)
  console.log(t, 'norm', norm.toFixed(2), 'step', displacement.toFixed(2), 'entropy', entropy.toFixed(2), ...reading)
}
console.log(prompt.answer(rows[0].tokens))
`
}

function foreignThoughts(latents: number, seed: number): string {
  return `
const [other] = generateProsqa({ count: 1, seed: ${seed + 1}, hops: [3, 4] })
const { promptIds, endIds } = task.encode(other.question)
const theirs = await rollout({ main }, [promptIds], { latents: ${latents}, endIds, stopIds: [] })
const foreign = Float32Array.from(theirs.rows[0].thoughts.flatMap((thought) => [...thought]))
`
}

function quoted(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\s+/g, ' ')}'`
}

/** A JavaScript literal, keys unquoted. */
function literal(value: object): string {
  const parts = Object.entries(value).map(([key, part]) => {
    const shown = typeof part === 'object' ? literal(part) : typeof part === 'string' ? `'${part}'` : String(part)
    return `${key}: ${shown}`
  })
  return `{ ${parts.join(', ')} }`
}
