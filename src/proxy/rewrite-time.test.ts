import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allowLinearRegex } from '#io/linear-regex'
import { wholly } from '#model/expression'
import { substitute } from '#model/rewrite'

allowLinearRegex()

test('what takes the square of the length by trying again and again takes its length, and says the same', () => {
  const digits = '1'.repeat(100_000)
  const began = performance.now()
  assert.equal(substitute(`/${digits}`, { pattern: '\\d+x', substitution: '' }), `/${digits}`)
  assert.equal(substitute(`/${digits}`, { pattern: '^(?:.*.*.*x)$', substitution: '' }), `/${digits}`)
  // By trying again: minutes.
  assert.ok(performance.now() - began < 2000, `${performance.now() - began} ms`)
  assert.equal(substitute('/service/foo/v1', { pattern: '^/service/([^/]+)(/.*)$', substitution: '\\2/\\1' }), '/v1/foo')
  assert.equal(substitute('/a/b/a', { pattern: 'a', substitution: 'c' }), '/c/b/c')
  assert.equal(substitute('/(x)', { pattern: '\\p{L}', substitution: 'y' }), '/(y)')
})

test('a rewrite with long repetitions takes its length too, and makes the same of a path', () => {
  const began = performance.now()
  const long = `/${'a'.repeat(20_000)}`
  assert.equal(substitute(long, { pattern: '.*.*[a]{20}.*x', substitution: 'b' }), long)
  assert.equal(substitute(long, { pattern: '^(.*)(a{17,90})(.*)(.*)x$', substitution: 'b' }), long)
  assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`)
  for (const [pattern, text] of [
    ['^/(a{2,20})(.*)$', `/${'a'.repeat(25)}b`],
    ['^/(a{2,20}?)(.*)$', `/${'a'.repeat(25)}b`],
    ['^/((?:ab){18})(c|d{17})$', `/${'ab'.repeat(18)}${'d'.repeat(17)}`],
    ['^/([a-z]{3}){5}/(x*)', '/abcdefghijklmno/xx'],
    ['(a{17,})(/?)', `/${'a'.repeat(40)}/${'a'.repeat(17)}`],
  ] as const)
    assert.equal(substitute(text, { pattern, substitution: '<\\1|\\2>' }), text.replace(new RegExp(pattern, 'gu'), '<$1|$2>'), pattern)
})

test('what takes a power of the length, or twice the time with each character, is matched in the time of its length', () => {
  const long = 'a'.repeat(60_000)
  const began = performance.now()
  for (const pattern of [
    '.*.*.*.*.*x',
    'a*a*a*a*b',
    `${'a?'.repeat(100)}${'a'.repeat(100)}b`,
    '[^/]*a[^/]*a[^/]*a[^/]*x',
    'a{0,500}a{0,500}a{0,500}.*b',
    '(?:ab|aa){20}.*.*.*x',
    '(.*)a{17}(.*)b',
  ]) {
    assert.equal(wholly(pattern)(long), false, pattern)
    assert.equal(wholly(pattern, true)(`${long}\u{1f600}`), false, pattern)
  }
  // By trying one way after the other: years.
  assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`)
  assert.equal(wholly('.*.*.*x')(`${long}x`), true)
})
