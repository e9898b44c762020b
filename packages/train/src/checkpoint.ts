/**
 * A checkpoint: weights, moments, the step's number, the course's progress and its recipe in one safetensors file. The
 * data's position is the step's number. Written by us, and read like any file that somebody may have cut short or made up.
 */

import { FormatError } from '@afterthought/core'
import { ConfigReader, expectedParameters, parseSafetensors, writeSafetensors } from '@afterthought/core/io'
import type { Course, Progress } from './course.ts'
import { SHARE, section } from './recipe-parts.ts'
import { checkedTensor, type TrainingState, weightKey } from './step.ts'
import { readTensors } from './stored-tensors.ts'

const FORMAT = 'afterthought-training-1'
const COUNTER = { min: 0, max: Number.MAX_SAFE_INTEGER }

/** What a run had come to. */
export interface Checkpoint {
  /** Of the run's course, as JSON. */
  readonly recipe: unknown
  readonly state: TrainingState
  readonly position: Position
}

export interface Position {
  readonly done: number
  /** Optimiser steps since the moments were zero. */
  readonly moments: number
  readonly progress: Progress
}

export function writeCheckpoint({ recipe, state, position }: Checkpoint): Uint8Array {
  const metadata = { format: FORMAT, recipe: JSON.stringify(recipe), position: JSON.stringify(position) }
  return writeSafetensors(state, metadata)
}

/**
 * @param where the bytes come from, for errors
 * @throws FormatError or ConfigError if they are no checkpoint
 */
export async function readCheckpoint(bytes: Uint8Array, where = 'checkpoint'): Promise<Checkpoint> {
  const { metadata, tensors } = await parseSafetensors(bytes, where)
  if (metadata.format !== FORMAT) {
    throw new FormatError('not a training checkpoint', { where, expected: FORMAT, actual: metadata.format })
  }
  const state = await readTensors(tensors)
  const position = parsePosition(parsed(metadata, 'position', where), `${where}: position`)
  return { recipe: parsed(metadata, 'recipe', where), state, position }
}

function parsed(metadata: Readonly<Record<string, string>>, key: string, where: string): unknown {
  try {
    return JSON.parse(metadata[key] ?? '')
  } catch (cause) {
    throw new FormatError('not JSON', { where: `${where}: ${key}`, actual: (cause as Error).message, cause })
  }
}

function parsePosition(json: unknown, where: string): Position {
  const reader = new ConfigReader(json, where)
  const progress = section(reader, 'progress')
  return {
    done: reader.integer('done', COUNTER),
    moments: reader.integer('moments', COUNTER),
    progress: { thoughts: progress.integer('thoughts', COUNTER), mass: progress.number('mass', SHARE) },
  }
}

/** @throws FormatError if the weights are not those of the course's model */
export function refuseOthers({ state }: Checkpoint, { config }: Course): void {
  for (const [name, shape] of expectedParameters(config)) {
    checkedTensor(weightKey(name), state.get(weightKey(name)), { shape, dtype: 'f32' })
  }
}
