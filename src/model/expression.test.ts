import assert from 'node:assert/strict'
import { test } from 'node:test'
import v8 from 'node:v8'
import { unrolled, wholly } from './expression.ts'

v8.setFlagsFromString('--enable-experimental-regexp-engine')
/** Not a flag of ECMAScript. */
const linear = 'l'

const patterns: readonly string[] = [
  '',
  'a',
  '/v[0-9]+/.*',
  '[0-9a-f]{40}',
  '[0-9a-f]{8,40}/x',
  'a{17,}',
  'a{0,33}b',
  '(?:ab){20}c?',
  '(a{3}|b){2,18}',
  '(?<id>[a-z]{2}){9}/.*',
  'x{0}y',
  '[{1,2}(]+\\(a{2}\\)',
  'a|b{20}|',
  '\\u00e9{18}\\x41',
  '\\w+-\\d{1,3}',
  '.{3}',
  '[^a]',
]
const texts = [
  '',
  'a',
  '/v12/x',
  'a'.repeat(17),
  'a'.repeat(33) + 'b',
  'a'.repeat(34) + 'b',
  '0123456789abcdef0123456789abcdef01234567',
  '0123456789abcdef0123456789abcdef012345678',
  '0123abcd/x',
  'ab'.repeat(20),
  `${'ab'.repeat(20)}c`,
  'aaab',
  'b'.repeat(18),
  'ababababababababab/z',
  'y',
  '{(1(aa)',
  'b'.repeat(20),
  `${'é'.repeat(18)}A`,
  'one-234',
  '\u{1f600}ab',
  '\u{1f600}',
  'a\nb',
]

test('an expression without long repetitions fits what it fitted', () => {
  for (const pattern of patterns)
    for (const text of texts) {
      const so = new RegExp(`^(?:${pattern})$`, 'u').test(text)
      assert.equal(wholly(pattern)(text), so, `${pattern} on ${JSON.stringify(text)}: ${unrolled(pattern)}`)
      assert.equal(wholly(pattern, true)(text), new RegExp(`^(?:${pattern})$`, 'su').test(text), pattern)
      // Long texts are matched so; a character of two units is made one for it.
      if (!/[\ud800-\udfff]/.test(text))
        assert.equal(
          new RegExp(`^(?:${unrolled(pattern)})$`, linear).test(text),
          so,
          `${pattern} on ${JSON.stringify(text)} in linear time`,
        )
    }
})

test('classes of Unicode, and characters beyond the first plane, are known', () => {
  assert.ok(wholly('\\p{L}+')('éa'))
  assert.ok(!wholly('\\p{L}+')('1'))
  assert.ok(wholly('[\u{1f600}x]')('\u{1f600}'))
})

test('a long text is matched as a short one is, also where its characters are two units', () => {
  const smiles = '\u{1f600}'.repeat(300)
  for (const [pattern, text, fits] of [
    ['(.*)(.*)', smiles, true],
    ['.{300}.*.*', smiles, true],
    ['.{301}.*.*', smiles, false],
    ['[^x]*.{10}[^y]*', smiles, true],
    ['[a-z]*.{290}[^y]*', `abc${smiles}`, true],
    ['\\w*.*z.*', smiles, false],
  ] as const)
    assert.equal(wholly(pattern)(text), fits, pattern)
})
