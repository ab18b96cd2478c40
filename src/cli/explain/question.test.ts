import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQuestion } from './question.ts'

const read = (to: string, words: readonly string[] = [], headers: readonly string[] = []) => {
  const { question, isPlain, place } = readQuestion({ to, words, headers })
  const { request, ...rest } = question
  return { ...rest, method: request.method, host: request.host, path: request.path, search: request.search, isPlain, place }
}

test('a place is a name, a name with a port, a port of UDP, or a URL', () => {
  const plain = { method: 'GET', path: '/', search: '', isPlain: true }
  assert.deepEqual(read('cart'), { ...plain, name: 'cart', host: 'cart', place: 'cart' })
  assert.deepEqual(read('cart.shop:8080'), { ...plain, name: 'cart.shop', port: 8080, host: 'cart.shop:8080', place: 'cart.shop:8080' })
  assert.deepEqual(read('dns:53/udp'), { ...plain, name: 'dns', port: 53, transport: 'udp', host: 'dns:53', place: 'dns:53' })
  const url = { ...plain, name: 'cart', port: 80, host: 'cart', place: 'cart', path: '/items', search: 'page=2?' }
  assert.deepEqual(read('http://cart/items?page=2?'), url)
})

test('a method, a path with a query, and headers of which several of one name are joined', () => {
  const { question } = readQuestion({ to: 'cart', words: ['PUT', '/a?b=c'], headers: ['X-A: 1', 'x-a:2', 'Host: other'] })
  const { method, path, search, host, header } = question.request
  assert.deepEqual([method, path, search, host, header('x-a'), header('host')], ['PUT', '/a', 'b=c', 'other', '1,2', 'other'])
})

test('a method is what callers may send: beside a path any word, alone one in capitals', () => {
  const methodOf = (...words: readonly string[]) => readQuestion({ to: 'cart', words, headers: [] }).question.request.method
  assert.deepEqual(
    [methodOf('delete', '/'), methodOf('/', 'M-SEARCH'), methodOf('OPTIONS', '*'), methodOf('PUT')],
    ['delete', 'M-SEARCH', 'OPTIONS', 'PUT'],
  )
  for (const words of [['delete'], ['de(lete', '/'], ['get', 'put', '/']])
    assert.throws(() => methodOf(...words), /neither a method in capitals nor a path/)
})

test('a URL of gRPC is a call', () => {
  const { request } = readQuestion({ to: 'grpc://stock:7070/a.B/C', words: [], headers: [] }).question
  assert.deepEqual([request.method, request.path, request.header('content-type')], ['POST', '/a.B/C', 'application/grpc'])
})

test('everything that is wrong is said at once', () => {
  assert.throws(
    () => readQuestion({ to: 'a b', words: ['get', '/a', '/b'], headers: ['x'] }),
    (thrown: Error) => thrown.message.split('\n').length === 4,
  )
  assert.throws(() => readQuestion({ to: 'a:70000', words: [], headers: [] }), /70000 is no port/)
})

test('claims are those of a token that is verified: a dot leads into one, several of one name are a list', () => {
  const claimsOf = (...claims: readonly string[]) => readQuestion({ to: 'cart', words: [], headers: [], claims }).question.request.claims
  assert.deepEqual(claimsOf('groups=a', 'groups=b', 'realm.role=x=y', 'realm.name=n', 'a\\.b='), {
    groups: ['a', 'b'],
    realm: { role: 'x=y', name: 'n' },
    'a.b': '',
  })
  assert.equal(claimsOf(), undefined)
  assert.throws(() => claimsOf('groups'), /--claim "groups" is no NAME=VALUE/)
})

test('from which address it comes and when is part of the question', () => {
  const asked = (address?: string, at?: string) => readQuestion({ to: 'cart', words: [], headers: [], address, at }).question.request.asked
  assert.equal(asked(), undefined)
  assert.deepEqual(asked('10.0.0.7', '2026-12-24T09:00:00+01:00'), { address: '10.0.0.7', at: Date.parse('2026-12-24T08:00:00Z') })
  assert.throws(() => asked('10.0.0.0/8'), /"10\.0\.0\.0\/8" is a network: give one address/)
  assert.throws(() => asked('here'), /"here" is no address/)
  for (const at of ['noon', '2026-12-24', '2026-12-24T09:00:00', '2026-13-24T09:00:00Z'])
    assert.throws(() => asked(undefined, at), /is no time of RFC 3339/, at)
})

test('an address of IPv6 stands in brackets', () => {
  const { question } = readQuestion({ to: 'https://[fd00::2]:8443/items', words: [], headers: [] })
  assert.deepEqual([question.name, question.port, question.request.host], ['[fd00::2]', 8443, '[fd00::2]:8443'])
})
