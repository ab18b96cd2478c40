/** The flat array of fields: looking up, changing, and what may go on to the next hop. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fields, field, fieldValues, forwardable, listed, withField, withoutField } from '../http1.ts'
import { nameOf } from './names.ts'

const some: Fields = Object.freeze(['Host', 'a', 'X-A', '1', 'x-a', '2', 'Via', 'p, q'])

test('a field is found whatever its case, the first value first', () => {
  assert.equal(field(some, 'x-a'), '1')
  assert.equal(field(some, 'none'), undefined)
  assert.deepEqual(fieldValues(some, 'x-a'), ['1', '2'])
  assert.deepEqual(fieldValues(some, 'none'), [])
})

test('a value is not taken for a name', () => {
  assert.equal(field(['X', 'host', 'host', 'y'], 'host'), 'y')
  assert.deepEqual(withoutField(['X', 'host', 'Y', 'x'], 'host'), ['X', 'host', 'Y', 'x'])
})

test('setting a field replaces all its values where the first stood, and leaves the given array alone', () => {
  assert.deepEqual(withField(some, 'X-a', 'new'), ['Host', 'a', 'X-a', 'new', 'Via', 'p, q'])
  assert.deepEqual(withField(some, 'New', 'n'), [...some, 'New', 'n'])
})

test('taking a field out takes all its values, and gives the same array when there is none', () => {
  assert.deepEqual(withoutField(some, 'x-a'), ['Host', 'a', 'Via', 'p, q'])
  assert.equal(withoutField(some, 'none'), some)
})

test('a list is taken apart without its empty members', () => {
  assert.deepEqual(listed(' a, ,b ,\tc,'), ['a', 'b', 'c'])
})

test('fields without any for this hop go on as the same array', () => {
  assert.equal(forwardable(some), some)
})

test('fields for this hop stay behind, and those that Connection names', () => {
  const dropped = 'Connection Keep-Alive Proxy-Connection Transfer-Encoding Upgrade Proxy-Authenticate Proxy-Authorization HTTP2-Settings'
    .split(' ')
    .flatMap(name => [name, 'x'])
  assert.deepEqual(forwardable(['A', '1', ...dropped, 'B', '2']), ['A', '1', 'B', '2'])
  assert.deepEqual(forwardable(['X-One', '1', 'Connection', 'close, x-one', 'connection', 'X-TWO', 'x-two', '2', 'X-Three', '3']), [
    'X-Three',
    '3',
  ])
})

test('Connection cannot make a proxy forget Host, a length or an expectation', () => {
  assert.deepEqual(
    forwardable(['Host', 'a', 'Content-Length', '3', 'Expect', '100-continue', 'Connection', 'host, content-length, expect']),
    ['Host', 'a', 'Content-Length', '3', 'Expect', '100-continue'],
  )
})

test('of TE only the wish for trailers goes on', () => {
  assert.deepEqual(forwardable(['TE', 'gzip;q=0.5, Trailers', 'Connection', 'TE']), ['TE', 'trailers'])
  assert.deepEqual(forwardable(['te', 'gzip']), [])
})

test('names that share a place in the memory of names are not mistaken for each other', () => {
  const names = Array.from({ length: 2_000 }, (_, at) => `X-${at}`)
  for (const text of [...names, ...names.toReversed(), 'connection', 'Connection', 'CONNECTION']) {
    const name = nameOf(text)
    assert.deepEqual([name?.text, name?.lower, name?.kind], [text, text.toLowerCase(), /connection/i.test(text) ? 'frame' : 'plain'])
  }
  for (const text of ['', ' ', 'a b', 'X-1:']) assert.equal(nameOf(text), undefined)
})
