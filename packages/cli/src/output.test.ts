/** What goes where, and in which colours. */

import { ArgumentError } from '@afterthought/core'
import { expect, test } from 'vitest'
import { errorDocument, Output, type Sink, toJson, wantsColor } from './output.ts'
import { formatTable } from './table.ts'
import { UsageError } from './usage-error.ts'

function recorder(isTTY: boolean): Sink & { text: string } {
  return {
    text: '',
    isTTY,
    write(text) {
      this.text += text
    },
  }
}

test.each([
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: '1' }, false],
  [true, { NO_COLOR: '' }, true],
  [false, { FORCE_COLOR: '1' }, true],
  [true, { FORCE_COLOR: '0' }, false],
  [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [false, { CI: 'true' }, false],
])('terminal %s with %o: colour %s', (isTTY, environment, expected) => {
  expect(wantsColor(recorder(isTTY), environment)).toBe(expected)
})

test('with --json stdout has the document alone; notes and bars go to stderr, or nowhere for the quiet', () => {
  const [stdout, stderr] = [recorder(true), recorder(true)]
  const output = new Output({ stdout, stderr, environment: {} }, { json: true, quiet: false })
  output.write('for people')
  output.note('a note')
  const progress = output.progress('answered', 2)
  progress.advance(1)
  progress.end()
  output.result({ a: 1 }, () => 'for people')
  expect(stdout.text).toBe('{"a":1}\n')
  expect(stderr.text).toContain('a note')
  expect(stderr.text).toContain('answered 1/2')

  const silent = recorder(true)
  const quiet = new Output({ stdout, stderr: silent, environment: {} }, { json: false, quiet: true })
  quiet.note('a note')
  quiet.progress('answered', 2).advance(1)
  expect(silent.text).toBe('')
})

test('a bar moves on terminals only, and not in CI', () => {
  for (const [isTTY, environment] of [
    [false, {}],
    [true, { CI: 'true' }],
  ] as const) {
    const stderr = recorder(isTTY)
    const output = new Output({ stdout: recorder(false), stderr, environment }, { json: false, quiet: false })
    output.progress('answered', 2).advance(1)
    expect(stderr.text).toBe('')
  }
})

test('JSON never holds NaN or infinities, and vectors are lists', () => {
  expect(toJson({ vector: Float32Array.of(1, 2.5) })).toBe('{"vector":[1,2.5]}')
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(() => toJson({ deep: [{ value }] })).toThrow(/value is/)
  }
  expect(() => toJson({ vector: Float32Array.of(Number.NaN) })).toThrow(/NaN/)
})

test('error documents keep the parts of an error, whatever was thrown', () => {
  const parts = { where: 'a', expected: 'b', actual: 'c', hint: 'd' }
  expect(errorDocument(new ArgumentError('wrong', parts)).error).toEqual({
    code: 'ARGUMENT',
    message: 'a: wrong; expected b, got c. d',
    ...parts,
  })
  expect(errorDocument(new UsageError('wrong')).error).toEqual({ code: 'USAGE', message: 'wrong' })
  expect(errorDocument(new Error('oops')).error).toEqual({ code: 'INTERNAL', message: 'oops' })
  expect(errorDocument('oops').error).toEqual({ code: 'INTERNAL', message: 'oops' })
})

test('tables measure what is seen, not what is written', () => {
  const columns = [{ title: 'name' }, { title: 'n', align: 'right' }] as const
  expect(
    formatTable(columns, [
      ['\u001B[1mab\u001B[22m', '10'],
      ['c', '9'],
    ]),
  ).toBe(['name   n', '\u001B[1mab\u001B[22m    10', 'c      9'].join('\n'))
})
