import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FormatError } from '../errors.ts'
import { type QuestionRecord, readRecords } from './formats.ts'
import { generateProsqa } from './generator.ts'

const only = (content: unknown, name?: string): QuestionRecord & { format: string } => {
  const { format, records } = readRecords(typeof content === 'string' ? content : JSON.stringify(content), name)
  expect(records).toHaveLength(1)
  return { format, ...(records[0] as QuestionRecord) }
}

describe('readRecords', () => {
  it('reads ProsQA, with its graph', () => {
    const items = generateProsqa({ count: 2, seed: 1, neighborK: true })
    const { format, records } = readRecords(JSON.stringify(items))
    expect(format).toBe('prosqa-symbolic')
    expect(records[1]).toEqual({
      question: items[1]?.question,
      steps: items[1]?.steps,
      answer: items[1]?.answer,
      prosqa: items[1],
    })
    const { neighbor_k: _, ...plain } = items[0] ?? {}
    expect(only([plain]).format).toBe('prosqa')
  })

  it('reads GSM8K: annotations are the steps', () => {
    const answer = 'She has 16 - 3 = <<16-3=13>>13.\nSo $<<13*100=1300>>1,300.\n#### 1,300'
    expect(only({ question: 'How many?', answer })).toEqual({
      format: 'gsm8k',
      question: 'How many?',
      steps: ['<<16-3=13>>', '<<13*100=1300>>'],
      answer: '1300',
    })
  })

  it('reads iCoT lines, annotated or not', () => {
    expect(only('How many?||<<1+1=2>> <<2*2=4>> #### 4\n')).toMatchObject({
      format: 'icot',
      steps: ['<<1+1=2>>', '<<2*2=4>>'],
      answer: '4',
    })
    expect(only('How many?||One and 1.5 is 2.5. So two. #### 2')).toMatchObject({
      steps: ['One and 1.5 is 2.5.', 'So two.'],
      answer: '2',
    })
    expect(only('How many?|| #### 2').steps).toEqual([])
  })

  it('drops empty and placeholder steps of lists', () => {
    const list = [
      { question: 'a', steps: [''], answer: '1' },
      { question: 'b', steps: ['Step 1', 'Step 2'], answer: '2' },
      { question: ' c ', answer: '3' },
    ]
    const { format, records } = readRecords(JSON.stringify(list))
    expect(format).toBe('list')
    expect(records.map((record) => record.steps)).toEqual([[], [], []])
    expect(records[2]?.question).toBe(' c ')
  })

  it('reads GSM-Hard and SVAMP, whose answers are numbers', () => {
    expect(only('{"input": "q", "code": "", "target": -9867630.0, "idx": 0}')).toMatchObject({
      format: 'gsm-hard',
      steps: [],
      answer: '-9867630',
    })
    expect(
      only('{"Body": "A fact.", "Question": "How many?", "Answer": 145.0, "Equation": "( 290.0 / 2.0 )"}'),
    ).toEqual({
      format: 'svamp',
      question: 'A fact. How many?',
      steps: ['( 290.0 / 2.0 )'],
      answer: '145',
    })
  })

  it('reads multiple choice: AQuA and MathQA', () => {
    expect(
      only('{"question": "q", "options": ["A)1", "B)2"], "rationale": "Because\\n\\nso.", "correct": "B"}'),
    ).toEqual({
      format: 'aqua',
      question: 'q A)1 B)2',
      steps: ['Because', 'so.'],
      answer: 'B',
      options: ['A)1', 'B)2'],
    })
    const mathqa = {
      problem: 'p',
      options: 'a ) 1 , 2 , b ) 1 , 000 , c ) 3',
      correct: 'b',
      linear_formula: 'add(n0,n1)|divide(#0,n2)|',
    }
    expect(only(mathqa)).toMatchObject({
      format: 'mathqa',
      steps: ['add(n0,n1)', 'divide(#0,n2)'],
      options: ['a ) 1 , 2', 'b ) 1 , 000', 'c ) 3'],
      answer: 'b',
    })
    expect(only({ ...mathqa, options: "['a ) 1', 'b ) 2']" }).options).toEqual(['a ) 1', 'b ) 2'])
  })

  it('reads StrategyQA, and marks BIG-bench as not for training', () => {
    expect(only([{ question: 'q', answer: false, facts: ['one', 'two'] }])).toMatchObject({
      format: 'strategyqa',
      steps: ['one', 'two'],
      answer: 'No',
    })
    const task = { canary: 'NEVER', examples: [{ input: 'q', target_scores: { Yes: 0, No: 1 }, target: 'No. x' }] }
    expect(readRecords(JSON.stringify(task))).toMatchObject({
      format: 'bigbench',
      canary: 'NEVER',
      records: [{ question: 'q', answer: 'No' }],
    })
  })

  it('reads ProntoQA: two sentences make a step', () => {
    const example = { question: 'F.', query: 'True or false: x.', chain_of_thought: ['a.', 'b.', 'c.'], answer: 'True' }
    expect(only({ example1: { in_context_example0: {}, test_example: example } })).toEqual({
      format: 'prontoqa',
      question: 'F. True or false: x.',
      steps: ['a. b.', 'c.'],
      answer: 'True',
    })
  })

  it.each<[string, string, RegExp]>([
    ['nothing', '  \n', /f.json: empty file; expected ProsQA, GSM8K/],
    ['plain text', 'hello', /f.json: unknown data format; .* got "hello"/],
    ['an empty list', '[]', /unknown data format/],
    ['strange records', '[{"a": 1, "b": 2}]', /got records with a, b/],
    [
      'a broken line',
      '{"question": "q", "answer": "1"}\n{"question"',
      /f.json, line 2: neither a JSON document nor JSON lines/,
    ],
    ['a truncated document', '[{"question": "q",', /f.json, line 1: neither/],
    [
      'a record that is none',
      '[{"question": "q", "answer": "1"}, 3]',
      /f.json, record 1: bad value; expected an object \(format list\), got 3/,
    ],
    [
      'a field of another type',
      '[{"question": "q", "answer": "1"}, {"question": 1, "answer": "1"}]',
      /record 1, question: bad value; expected a string/,
    ],
    [
      'a mixed file',
      '[{"question": "q", "answer": "#### 1"}, {"question": "q", "answer": "1"}]',
      /record 1, answer: bad value/,
    ],
    ['an iCoT line without answer', 'q||a #### 1\nq||a', /f.json, line 2: not an iCoT line/],
    [
      'a prosqa item with a bad edge',
      '[{"idx_to_symbol": [], "edges": [[0, 1]], "question": "", "answer": "", "steps": []}]',
      /record 0, edges\[0\]: bad value/,
    ],
    ['BIG-bench without target', '{"examples": [{"input": "q", "target_scores": {}}]}', /example 0, target_scores/],
  ])('refuses %s', (_, content, message) => {
    expect(() => readRecords(content, 'f.json')).toThrow(message)
    expect(() => readRecords(content, 'f.json')).toThrow(FormatError)
  })
})

const shared = new URL('../../../../../shared/data/', import.meta.url)
describe.runIf(existsSync(shared))('the published files', () => {
  const read = (path: string): ReturnType<typeof readRecords> =>
    readRecords(readFileSync(new URL(path, shared), 'utf8'), path)

  it.each([
    ['aqua/aqua_test.json', 'aqua', 254],
    ['gsm8k/gsm8k_train.jsonl', 'gsm8k', 7473],
    ['gsm8k/gsm_hard_test.jsonl', 'gsm-hard', 1319],
    ['gsm8k/gsm_train_noaug.json', 'list', 6884],
    ['gsm8k/icot_train_no_aug.txt', 'icot', 6973],
    ['gsm8k/latenttts_gsm_hard.json', 'list', 1318],
    ['gsm8k/latenttts_multiarith.json', 'list', 580],
    ['mathqa/mathqa_test.jsonl', 'mathqa', 1000],
    ['prontoqa/345hop_random_true.json', 'prontoqa', 500],
    ['prosqa/prosqa_test.json', 'prosqa', 500],
    ['prosqa_symbolic/prosqa_test_graph_4_coconut.json', 'prosqa-symbolic', 419],
    ['strategyqa/strategyqa_bigbench_task.json', 'bigbench', 2290],
    ['strategyqa/strategyqa_train.json', 'strategyqa', 2061],
    ['svamp/svamp_test.jsonl', 'svamp', 1000],
  ])('%s is %s with %i records', (path, format, count) => {
    const dataset = read(path)
    expect([dataset.format, dataset.records.length]).toEqual([format, count])
    expect(dataset.canary !== undefined).toBe(format === 'bigbench')
  })

  it('finds five options in every choice', () => {
    for (const path of ['aqua/aqua_dev.json', 'mathqa/mathqa_test.jsonl']) {
      expect(read(path).records.filter((record) => record.options?.length !== 5)).toEqual([])
    }
  })

  it('converts GSM8K to what iCoT has: 18 items have no annotation', () => {
    const [ours, theirs] = [read('gsm8k/gsm8k_test.jsonl').records, read('gsm8k/icot_test.txt').records]
    expect(ours.filter((record) => record.steps.length === 0)).toHaveLength(18)
    expect(ours.map((record) => record.steps)).toEqual(theirs.map((record) => record.steps))
    expect(ours.map((record) => record.answer)).toEqual(theirs.map((record) => record.answer.replaceAll(',', '')))
    expect(read('gsm8k/gsm_test.json').records).toEqual(theirs)
  })

  it('converts raw ProntoQA to the converted file', () => {
    const converted = read('prontoqa/prontoqa_5hop_fictional_250.json').records
    expect(read('prontoqa/prontoqa_5hop_fictional_250_raw.json').records).toEqual(converted)
  })
})
