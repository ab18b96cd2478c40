import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allowLinearRegex } from '#io/linear-regex'
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
