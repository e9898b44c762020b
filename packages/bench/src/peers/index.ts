/** Whom the suites compare with. */

import type { Peer } from '../contender.ts'
import { floor } from './floor.ts'
import { jaxJs } from './jax-js.ts'
import { pythonPeer } from './python.ts'

export const peers: Readonly<Record<string, Peer>> = {
  floor,
  hf: pythonPeer('hf.py', 'Hugging Face transformers with its KV cache, on PyTorch'),
  coconut: pythonPeer('coconut.py', 'the public Coconut schedule on PyTorch: the prefix is read again for every token'),
  'jax-js': jaxJs,
  torch: pythonPeer('train.py', 'training steps in PyTorch'),
}
