/** The flat array of fields: looking up, changing, and what may go on to the next hop. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Fields, field, fieldValues, forwardable, listed, withField, withoutField } from '../http1.ts'
import { Generations } from './names.ts'

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

test('a name that is none does not go on', () => {
  assert.deepEqual(forwardable(['a b', 'x', 'c', 'y']), ['c', 'y'])
})

test('what is asked for again outlives what is not, and the rest is forgotten', () => {
  const kept = new Generations<number, number>(10)
  for (let key = 0; key < 1_000; key++) {
    kept.set(key, key)
    assert.equal(kept.get(0), 0)
  }
  assert.ok(kept.size <= 22)
  assert.equal(kept.get(500), undefined)
})
