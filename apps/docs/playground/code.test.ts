import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { programFor } from './code.ts'
import { defaults, type PlaygroundState } from './state.ts'

function syntaxErrors(code: string): string[] {
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, allowJs: true }
  const { diagnostics = [] } = ts.transpileModule(code, {
    fileName: 'code.js',
    reportDiagnostics: true,
    compilerOptions: options,
  })
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

const changes: readonly Partial<PlaygroundState>[] = [
  {},
  { alpha: 0 },
  { alpha: 0, step: 0.25, sign: 'paper' },
  { step: 0.25, direction: 'randomDirection', seed: 7 },
  { latents: 0 },
  { slots: 'zero' },
  { slots: 'pause', model: 'main-early' },
  { slots: 'other-question', seed: 3 },
  { slots: 'other-question', latents: 0 },
]

describe('the program for what is on screen', () => {
  test.each(changes)('is JavaScript: %o', (change) => {
    expect(syntaxErrors(programFor({ ...defaults, ...change }))).toEqual([])
  })

  test('a question cannot leave its string', () => {
    const code = programFor({ ...defaults, question: "'); alert(1) //\\'\n Is Tom a b or c?" })
    expect(syntaxErrors(code)).toEqual([])
    expect(code).toContain("'\\'); alert(1) //\\\\\\' Is Tom a b or c?'")
  })

  test('loads references only where they are asked', () => {
    expect(programFor(defaults)).not.toContain("load('good')")
    expect(programFor({ ...defaults, step: 0.25 })).toContain('rollout({ main, good, bad }')
  })
})
