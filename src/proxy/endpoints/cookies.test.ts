import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cookieIn, readSession, sessionValue, setCookie } from './cookies.ts'

test('a cookie is found among others, in several fields, with and without quotes', () => {
  const fields = ['Host', 'x', 'Cookie', 'a=1; b="two"', 'cookie', 'c=x=y ; d=']
  assert.deepEqual(
    ['a', 'b', 'c', 'd', 'e'].map(name => cookieIn(fields, name)),
    ['1', 'two', 'x=y', '', undefined],
  )
})

test('a cookie is given with its path and life, for no scripts', () => {
  assert.equal(setCookie('a', 'b', 1500, '/x'), 'a=b; Path=/x; Max-Age=2; HttpOnly')
  assert.equal(setCookie('a', 'b', 0, ''), 'a=b; HttpOnly')
})

test('the value of a session is what Envoy writes, and its time is kept', () => {
  // envoy.Cookie { address: "10.0.0.1:80", expires: 300 }, field by field: tag, length, text; tag, varint
  assert.equal(sessionValue('10.0.0.1:80', 300_000), Buffer.from('0a0b31302e302e302e313a383010ac02', 'hex').toString('base64'))
  assert.equal(readSession(sessionValue('10.0.0.1:80', 300_000), 299_999), '10.0.0.1:80')
  assert.equal(readSession(sessionValue('10.0.0.1:80', 300_000), 300_000), undefined)
  const later = Date.parse('2100-01-01')
  assert.equal(readSession(sessionValue('[::1]:80', later), later - 1), '[::1]:80')
  assert.equal(readSession(sessionValue('10.0.0.1:80', 0), later), '10.0.0.1:80')
  assert.equal(readSession(btoa('10.0.0.1:80'), 0), '10.0.0.1:80', 'as an older Envoy wrote it')
})

test('what is no session leads nowhere', () => {
  for (const value of [
    '',
    'ü',
    '%%',
    btoa('\n'),
    btoa('\n\x7fshort'),
    btoa('\n\x01a\x20'),
    btoa('\n\x01a\x10'),
    btoa('\n\x01a\x10\x05\x05'),
  ]) {
    const read = readSession(value, 1_000_000)
    assert.ok(read === undefined || !/^\d/.test(read), `${value} reads ${read}`)
  }
})
