import { derivedBackend, type HostTensor, loadModel, reference } from '@afterthought/core'
import { Random } from '@afterthought/core/data'
import { memoryFolder, writeSafetensors } from '@afterthought/core/io'
import { describe, expect, it } from 'vitest'
import { finish } from '../test/finish.ts'
import { tinyRecipe } from '../test/tiny-recipe.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { Curriculum } from './curriculum.ts'
import { drawPuzzle } from './puzzles.ts'
import { parseRecipe } from './recipe.ts'
import { TrainingRun } from './run.ts'
import { puzzleAccuracy } from './validation.ts'

describe('a training run', () => {
  it('goes through its phases, and its ladder up', async () => {
    const { records } = await finish(await TrainingRun.start(new Curriculum(tinyRecipe), reference()))
    expect(records.map(({ task }) => task)).toEqual([
      ...new Array(3).fill('queries'),
      ...new Array(6).fill('thoughts'),
      ...new Array(3).fill('tokens'),
    ])
    const ladder = records.filter(({ phase }) => phase === 1).map(({ thoughts }) => thoughts)
    expect(ladder[0]).toBe(1)
    expect(ladder.at(-1)).toBe(2)
    expect(records.every(({ report }) => Number.isFinite(report.loss))).toBe(true)
  })

  it('holds no compiled step of a phase that is over', async () => {
    const held = new Set<object>()
    const backend = reference()
    const compile: typeof backend.compile = async (graph, parameters) => {
      const compiled = await backend.compile(graph, parameters)
      const program = {
        run: compiled.run.bind(compiled),
        dispose: () => {
          held.delete(program)
          compiled.dispose()
        },
      }
      held.add(program)
      return program
    }
    const run = await TrainingRun.start(new Curriculum(tinyRecipe), derivedBackend(backend, { compile }))
    const before: object[] = []
    let latest: number | undefined
    while (!run.finished) {
      const { phase } = await run.step()
      if (phase !== latest) {
        expect([...held].filter((program) => before.includes(program))).toEqual([])
        latest = phase
      }
      before.push(...held)
    }
    await run.dispose()
    expect(held.size).toBe(0)
  })

  it('is the same bit by bit, whether or not it was taken up from a checkpoint, wherever that was', async () => {
    const backend = reference()
    const whole = await finish(await TrainingRun.start(new Curriculum(tinyRecipe), backend))
    for (const stop of [1, 4, 6, 9]) {
      const first = await TrainingRun.start(new Curriculum(tinyRecipe), backend)
      for (let i = 0; i < stop; i++) await first.step()
      const checkpoint = await readCheckpoint(await first.checkpoint())
      const second = TrainingRun.resume(checkpoint, new Curriculum(checkpoint.recipe), backend)
      expect(second.steps).toBe(stop)
      const rest = await finish(second)
      expect(rest.records).toEqual(whole.records.slice(stop))
      expect(rest.state).toEqual(whole.state)
    }
  })

  it('differs with another seed', async () => {
    const backend = reference()
    const first = await (await TrainingRun.start(new Curriculum(tinyRecipe), backend)).step()
    const second = await (await TrainingRun.start(new Curriculum({ ...tinyRecipe, seed: 4 }), backend)).step()
    expect(second.report.loss).not.toBe(first.report.loss)
  })

  it('writes a model that loads, and counts its right answers', async () => {
    const backend = reference()
    const course = new Curriculum({ ...tinyRecipe, latents: 2, phases: tinyRecipe.phases.slice(0, 2) })
    const run = await TrainingRun.start(course, backend)
    await run.step()
    const model = await loadModel(memoryFolder('trained', await run.model()), backend)
    expect(model.config.width).toBe(16)
    expect(model.latent).toMatchObject({ latents: 2, endIds: [44] })
    const random = new Random(1)
    const puzzles = Array.from({ length: 7 }, () => drawPuzzle(random, 'tiny'))
    const accuracy = await puzzleAccuracy(run.trainer, course, puzzles, 2)
    expect(accuracy * 7).toBeCloseTo(Math.round(accuracy * 7), 5)
  })

  it('refuses what is no checkpoint, or not one of its recipe', async () => {
    const run = await TrainingRun.start(new Curriculum(tinyRecipe), reference())
    const bytes = (await run.model())['model.safetensors'] as Uint8Array
    await expect(readCheckpoint(bytes)).rejects.toThrow('not a training checkpoint')
    await run.step()
    const checkpoint = await readCheckpoint(await run.checkpoint())
    const resume = (state: ReadonlyMap<string, HostTensor>): unknown =>
      TrainingRun.resume({ ...checkpoint, state }, new Curriculum(tinyRecipe), reference())
    const [key, tensor] = [...checkpoint.state].find(([name]) => name.startsWith('second:'))!
    expect(() => resume(new Map([...checkpoint.state].filter(([name]) => name !== key)))).toThrow(/second:.*nothing/)
    expect(() => resume(new Map([...checkpoint.state, [key, { ...tensor, shape: [1] }]]))).toThrow(
      /of this training; .*\[1\]/,
    )
    const negative = { ...checkpoint.position, done: -1 }
    await expect(readCheckpoint(writeCheckpoint({ ...checkpoint, position: negative }), 'x')).rejects.toThrow(
      /x: position: bad "done"/,
    )
    const metadata = { format: 'afterthought-training-1', position: '{' }
    await expect(readCheckpoint(writeSafetensors(new Map(), metadata))).rejects.toThrow(/position: not JSON/)
  })
})

describe('a curriculum', () => {
  it('keeps no model of a step that it does not take', () => {
    expect(() => new Curriculum({ ...tinyRecipe, keep: { early: 13 } })).toThrow(/keep: early: .*at most 12, got 13/)
  })

  it('says when its graphs fit into none of its rows', () => {
    expect(() => new Curriculum({ ...tinyRecipe, lengths: [4] }).batches(0)).toThrow(/tiny graphs do not fit.*4 tokens/)
  })
})

describe('parseRecipe', () => {
  const refuse = (changes: object, message: RegExp): void => {
    expect(() => parseRecipe({ ...tinyRecipe, ...changes }, 'r.json')).toThrow(message)
  }
  it('names what is wrong', () => {
    refuse({ batch: 0 }, /r\.json: bad "batch"/)
    refuse({ accumulate: 4 }, /"accumulate".*divisor/)
    refuse({ lengths: [32, 16] }, /"lengths".*ascending/)
    refuse({ schedule: {} }, /schedule: bad "peak"/)
    refuse({ supervision: 'all' }, /"supervision"/)
    refuse({ phases: [] }, /"phases"/)
    refuse({ phases: [{ task: 'dance', graphs: ['tiny'], steps: 1 }] }, /phases\[0\].*"task"/)
    refuse({ phases: [{ task: 'queries', graphs: ['huge'], steps: 1 }] }, /"graphs"/)
    refuse({ optimizer: { betas: [0.9, 1] } }, /"betas"/)
    refuse({ optimizer: { betas: [0.9, '0.98'] } }, /"betas"/)
    refuse({ latents: 2 }, /"latents".*writing/)
    refuse({ keep: { '../early': 3 } }, /keep: bad "\.\.\/early"/)
    refuse({ keep: { early: 0 } }, /keep: bad "early"/)
    refuse({ learningRate: 1 }, /r\.json: bad "learningRate".*no other key/)
    refuse({ phases: [{ task: 'tokens', graphs: ['tiny'], steps: 1, chain: false }] }, /phases\[0\]: bad "chain"/)
    refuse({ phases: [{ task: 'queries', graphs: ['tiny'], steps: 1, skip: 1 }] }, /phases\[0\]: bad "skip"/)
    refuse({ phases: [{ task: 'thoughts', graphs: ['tiny'], steps: 1, thoughts: 2, pass: 0.5 }] }, /bad "pass"/)
    refuse({ supervision: 'none' }, /"supervision".*ladder/)
    refuse({ model: { ...tinyRecipe.model, model_type: 'rnn' } }, /model_type/)
    refuse({ model: { ...tinyRecipe.model, vocab_size: 45 } }, /"model".*46 tokens, got 45/)
    refuse({ model: { ...tinyRecipe.model, max_position_embeddings: 63 } }, /"model".*64 positions.*got 63/)
  })
})
