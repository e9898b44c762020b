/** Families by the `model_type` of config.json. A new family is one file and one line here. */

import type { DecoderConfig } from '../io/config.ts'
import type { Family } from './family.ts'
import { gpt2 } from './gpt2.ts'
import { llama } from './llama.ts'

export const families: Readonly<Record<DecoderConfig['family'], Family>> = { gpt2, llama, qwen2: llama, qwen3: llama }
