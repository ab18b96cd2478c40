import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits, parseYaml, parseYamls, plainOf, TooMuchYaml } from './yaml.ts'

const mega = 1 << 20

test('a megabyte made to be slow is refused in a moment, and by what it has too much of', () => {
  const cases: Record<string, readonly [text: string, says: RegExp]> = {
    'the smallest values': [`a: [${'a,'.repeat(mega / 2)}]`, /^has more than 300000 keys, values, marks and lines: split it$/],
    lines: ['- a\n'.repeat(mega / 4), /^has more than 300000 keys/],
    comments: ['#\n'.repeat(mega / 2), /^has more than 300000 keys/],
    documents: ['---\na: 1\n'.repeat(mega / 9), /^has more than 300000 keys/],
    mistakes: ['a: }\n'.repeat(mega / 5), /^has more than 300000 keys/],
    aliases: [`a: &a x\nb:\n${'- *a\n'.repeat(mega / 5)}`, /^has more than 1000 aliases: write the repeated parts out$/],
    brackets: ['['.repeat(mega), /^is nested deeper than 64 levels$/],
    braces: ['{a: '.repeat(mega / 4), /^is nested deeper than 64 levels$/],
    'keys of keys': ['? '.repeat(mega / 2), /^is nested deeper than 64 levels$/],
    'lists of lists': ['- '.repeat(mega / 2), /^is nested deeper than 64 levels$/],
    indentation: [Array.from({ length: 1400 }, (_, at) => `${' '.repeat(at)}a:\n`).join(''), /^is nested deeper than 64 levels/],
    'aliases of aliases': [
      Array.from({ length: 20 }, (_, at) => `a${at}: &a${at} [${at === 0 ? 'x,x' : `*a${at - 1},*a${at - 1}`}]\n`).join(''),
      /^has aliases that stand for too much/,
    ],
  }
  for (const [name, [text, says]] of Object.entries(cases)) {
    const before = process.cpuUsage()
    assert.throws(
      () => plainOf(parseYamls(text).documents[0]!.document),
      (thrown: unknown) => thrown instanceof TooMuchYaml && says.test(thrown.message),
      name,
    )
    const { user, system } = process.cpuUsage(before)
    assert.ok(user + system < 3e6, `${name}: ${(user + system) / 1000} ms`)
  }
})

test('what only looks like much is read: one long text, long lists of one level, marks inside of texts', () => {
  const text = `a: |\n  ${'- ? [{'.repeat(mega / 6)}\nb: [${'[x],'.repeat(20_000)}]\nc: ${'"- - [["'.repeat(1)}\n`
  assert.ok(text.length < limits.maxChars)
  const value = plainOf(parseYaml(text).document) as { a: string; b: unknown[]; c: string }
  assert.deepEqual([value.a.length, value.b.length, value.c], [6 * Math.floor(mega / 6) + 1, 20_000, '- - [['])
})

test('where one document is asked for a second one is a mistake', () => {
  const { mistakes } = parseYaml('a: 1\n---\nb: 1\n')
  assert.deepEqual(
    mistakes.map(({ code }) => code),
    ['MULTIPLE_DOCS'],
  )
})

test('of many mistakes the first is told, and each key written twice', () => {
  const { mistakes } = parseYaml('a: 1\na: 2\nb: }\nc: }\n')
  assert.deepEqual(
    mistakes.map(({ code, pos }) => [code, pos[0]]),
    [
      ['DUPLICATE_KEY', 5],
      ['UNEXPECTED_TOKEN', 13],
    ],
  )
})
