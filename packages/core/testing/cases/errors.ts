/** Misuse: every kind is refused with an error that says where, and leaves everything else usable. */

import type { Buffer } from '../../src/backend.ts'
import type { AfterthoughtError } from '../../src/errors.ts'
import * as F from '../../src/tensor/functional.ts'
import type { Graph } from '../../src/tensor/graph.ts'
import { operations, primitives } from '../../src/tensor/ops.ts'
import { parameter, trace } from '../../src/tensor/trace.ts'
import { ConformanceError } from '../compare.ts'
import { parameterOf, tensorOf } from '../tensors.ts'
import type { Case } from './case.ts'

/** @throws ConformanceError unless `action` fails with an error of class `code` whose message holds `mention` */
async function expectRefusal(action: () => unknown, code: string, where: string, mention = ''): Promise<void> {
  let refusal: unknown
  try {
    await action()
  } catch (error) {
    refusal = error
  }
  // By its code, not its class: the backend may carry a copy of core of its own.
  const { code: actualCode, message = '' } = (refusal ?? {}) as Partial<AfterthoughtError>
  if (actualCode === code && message.includes(mention)) return
  throw new ConformanceError('misuse must be refused', {
    where,
    expected: mention ? `an error ${code} that names '${mention}'` : `an error ${code}`,
    actual: refusal === undefined ? 'no error' : `${actualCode ?? 'an error without a code'}: ${message || refusal}`,
  })
}

const x = tensorOf([1, 2, 3])

const scaled = (): Graph =>
  trace('scaled', { x, y: x }, (inputs) => ({
    outputs: { z: F.mul(F.add(inputs.x!, inputs.y!), parameter('scale', [3])) },
  }))

const scale = tensorOf([2, 2, 2])

/** A buffer that no backend made. */
const foreign: Buffer = { shape: [3], dtype: 'f32', dispose() {} }

export const errorCases: readonly Case[] = [
  {
    name: 'backend: has every primitive operation and element type',
    async run({ backend }) {
      const missing = [...primitives].filter((op) => !backend.ops.has(op))
      const unknown = [...backend.ops].filter((op) => !Object.hasOwn(operations, op))
      const types = (['f32', 'i32', 'bool'] as const).filter((dtype) => !backend.dtypes.has(dtype))
      const wrong = [...missing, ...unknown, ...types]
      if (wrong.length > 0) {
        throw new ConformanceError('missing or unknown', { where: backend.name, actual: wrong.join(', ') })
      }
    },
  },
  {
    name: 'errors: data that is not what its shape and type say',
    async run({ backend }) {
      await expectRefusal(() => backend.upload({ shape: [4], dtype: 'f32', data: x.data }), 'SHAPE', 'too little data')
      await expectRefusal(() => backend.upload({ shape: [3], dtype: 'i32', data: x.data }), 'SHAPE', 'floats as i32')
    },
  },
  {
    name: 'errors: inputs that are missing, of another type, or of another backend',
    async run(trial) {
      const executable = await trial.compile(scaled(), { scale })
      const good = trial.upload(x)
      const wrong: Record<string, Buffer> = {
        'another shape': trial.upload(tensorOf([1, 2])),
        'another rank': trial.upload(tensorOf([1, 2, 3], [3, 1])),
        'another type': trial.upload(tensorOf([1, 2, 3], [3], 'i32')),
        'another backend': foreign,
      }
      await expectRefusal(() => executable.run({ x: good }), 'SHAPE', 'a missing input', 'y')
      for (const [where, y] of Object.entries(wrong)) {
        await expectRefusal(() => executable.run({ x: good, y }), 'SHAPE', where, 'y')
      }
      const { z } = await trial.run(executable, { x: good, y: good })
      trial.expect(await trial.download(z!), tensorOf([4, 8, 12]), 'pointwise', 'a good run after refused ones')
    },
  },
  {
    name: 'errors: use after disposal',
    async run(trial) {
      const executable = await trial.backend.compile(scaled(), new Map([['scale', parameterOf(scale)]]))
      const [good, gone] = [trial.upload(x), trial.backend.upload(x)]
      gone.dispose()
      gone.dispose()
      await expectRefusal(() => trial.backend.download(gone), 'DISPOSED', 'download of a disposed buffer')
      await expectRefusal(() => executable.run({ x: good, y: gone }), 'DISPOSED', 'run with a disposed buffer')
      await trial.run(executable, { x: good, y: good })
      executable.dispose()
      executable.dispose()
      await expectRefusal(() => executable.run({ x: good, y: good }), 'DISPOSED', 'run of a disposed executable')
      await expectRefusal(() => trial.backend.download(foreign), 'SHAPE', 'download of a foreign buffer')
    },
  },
  {
    name: 'errors: weights that are missing, of another shape, or unreadable',
    async run(trial) {
      const { backend } = trial
      await expectRefusal(() => backend.compile(scaled(), new Map()), 'SHAPE', 'a missing weight', 'scale')
      const short = new Map([['scale', parameterOf(tensorOf([2, 2]))]])
      await expectRefusal(() => backend.compile(scaled(), short), 'SHAPE', 'a weight of another shape', 'scale')
      let readable = false
      const fragile = {
        ...parameterOf(tensorOf([3, 3, 3])),
        identity: 'a weight that cannot be read at first',
        read: async () => {
          if (!readable) throw new ConformanceError('unreadable')
          return Float32Array.of(3, 3, 3)
        },
      }
      // A backend may wrap the failure, and it may only read when it first runs.
      const attempt = async (): Promise<Record<string, Buffer>> => {
        const executable = await backend.compile(scaled(), new Map([['scale', fragile]]))
        return executable.run({ x: trial.upload(x), y: trial.upload(x) })
      }
      const failure = await attempt().catch((error: unknown) => error)
      if (!(failure instanceof Error)) throw new ConformanceError('an unreadable weight must be an error')
      readable = true
      const { z } = await attempt()
      trial.expect(await trial.download(z!), tensorOf([6, 12, 18]), 'pointwise', 'the weight once it can be read')
      z!.dispose()
    },
  },
  {
    name: 'errors: a graph that breaks a rule',
    async run({ backend }) {
      const graph = scaled()
      const parameters = new Map([['scale', parameterOf(scale)]])
      const withoutNodes = { ...graph, nodes: [] }
      await expectRefusal(
        () => backend.compile(withoutNodes, parameters),
        'GRAPH',
        'an output that nothing computes',
        'z',
      )
    },
  },
  {
    name: 'dispose: the backend refuses work afterwards',
    async run({ backend }) {
      await backend.dispose()
      await backend.dispose()
      await expectRefusal(() => backend.upload(x), 'DISPOSED', 'upload after disposal')
      const compile = (): unknown => backend.compile(scaled(), new Map([['scale', parameterOf(scale)]]))
      await expectRefusal(compile, 'DISPOSED', 'compile after disposal')
    },
  },
]
