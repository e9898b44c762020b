/** Words to values: every kind of option, and every way of getting one wrong. */

import { expect, test } from 'vitest'
import { parseArguments } from './arguments.ts'
import { UsageError } from './usage-error.ts'

const specs = {
  json: { type: 'flag', description: '' },
  model: { type: 'text', description: '' },
  step: { type: 'number', description: '' },
  latents: { type: 'integer', description: '' },
  threads: { type: 'integer', least: 1, description: '' },
  sign: { type: 'choice', choices: ['code', 'paper'], description: '' },
  alphas: { type: 'numbers', description: '' },
  settings: { type: 'names', choices: ['plain', 'residual'], description: '' },
  controls: { type: 'names', choices: ['zero'], also: { form: 'latents-K', matches: /^latents-\d$/ }, description: '' },
  rate: { type: 'number', above: 0, most: 1, description: '' },
  peer: { type: 'names', description: '' },
} as const

const parse = (line: string) => parseArguments(line === '' ? [] : line.split(' '), specs)

test('nothing given: flags are false, everything else is undefined', () => {
  const { values, operands } = parse('')
  expect(values.json).toBe(false)
  expect(Object.entries(values).filter(([, value]) => value !== undefined)).toEqual([['json', false]])
  expect(operands).toEqual([])
})

test('values have the declared types', () => {
  const { values, operands } = parse('data.json --json --model a/b --step -0.25 --latents=6 --sign paper')
  expect(values).toMatchObject({ json: true, model: 'a/b', step: -0.25, latents: 6, sign: 'paper' })
  expect(operands).toEqual(['data.json'])
  expect(parse('--step 1e-3').values.step).toBe(0.001)
})

test.each([
  ['--alphas 0 0.1 0.3 --json', [0, 0.1, 0.3]],
  ['--alphas 0,0.1 0.3', [0, 0.1, 0.3]],
  ['--alphas=0,0.1,0.3', [0, 0.1, 0.3]],
  ['--alphas 0 --alphas -1', [0, -1]],
])('numbers may be listed by commas, spaces and repetition: %s', (line, expected) => {
  expect(parse(line).values.alphas).toEqual(expected)
})

test('a list of known names ends where a word is none of them; free names take one word at a time', () => {
  const named = parse('--settings plain residual data.json')
  expect(named.values.settings).toEqual(['plain', 'residual'])
  expect(named.operands).toEqual(['data.json'])
  const open = parse('--controls zero latents-3 data.json')
  expect(open.values.controls).toEqual(['zero', 'latents-3'])
  expect(open.operands).toEqual(['data.json'])
  const free = parse('--peer hf --peer floor,coconut trajectory')
  expect(free.values.peer).toEqual(['hf', 'floor', 'coconut'])
  expect(free.operands).toEqual(['trajectory'])
})

test('a dash is an operand, and words after -- are operands whatever they look like', () => {
  expect(parse('-').operands).toEqual(['-'])
  expect(parse('--json -- --step').operands).toEqual(['--step'])
})

test.each([
  ['--setp 1', /--setp: unknown option.*Did you mean --step\?/],
  ['--no-json', /--no-json: unknown option/],
  ['-x', /-x: unknown option/],
  ['--constructor', /unknown option/],
  ['--json=yes', /--json: takes no value/],
  ['--step', /--step: its value is missing; expected a number/],
  ['--step --json', /--step: its value is missing/],
  ['--step NaN', /--step: not understood; expected a number, got "NaN"/],
  ['--step Infinity', /--step: not understood/],
  ['--step=', /--step: not understood/],
  ['--step 1 --step 2', /--step: given more than once/],
  ['--latents 1.5', /expected a whole number from 0 on, got "1.5"/],
  ['--latents -1', /expected a whole number from 0 on/],
  ['--threads 0', /expected a whole number from 1 on/],
  ['--sign papr', /expected code, paper, got "papr".*Did you mean paper\?/],
  ['--foo', /--foo: unknown option. See --help$/],
  ['--rate 1.5', /expected a number above 0, at most 1, got "1.5"/],
  ['--rate 0', /expected a number above 0/],
  ['--alphas 0,x', /--alphas: not understood; expected numbers/],
  ['--alphas', /--alphas: its value is missing/],
  ['--settings nonsense', /expected some of plain, residual/],
])('%s is wrong use', (line, message) => {
  expect(() => parse(line)).toThrow(UsageError)
  expect(() => parse(line)).toThrow(message)
})
