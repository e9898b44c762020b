import type { StepRecord, TrainingRun } from '../src/run.ts'

/** Every step that is left, and the checkpoint behind the last. */
export async function finish(run: TrainingRun): Promise<{ records: StepRecord[]; state: Uint8Array }> {
  const records: StepRecord[] = []
  while (!run.finished) records.push(await run.step())
  return { records, state: await run.checkpoint() }
}
