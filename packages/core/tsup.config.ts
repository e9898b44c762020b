import { defineConfig } from 'tsup'
import { packageBuild } from '../../tsup.shared.ts'

export default defineConfig(
  packageBuild({
    index: 'src/index.ts',
    'testing/index': 'testing/index.ts',
    'io/index': 'src/io/index.ts',
    'data/index': 'src/data/index.ts',
    'evaluation/index': 'src/evaluation/index.ts',
    'train/index': 'src/train/index.ts',
    'files/index': 'src/files/index.ts',
  }),
)
