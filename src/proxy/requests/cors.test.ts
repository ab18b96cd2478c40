import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Listener } from '#model/listener'
import type { Cors } from '#model/route'
import { emptyView } from '#model/view'
import type { ResponseHead } from '#wire/http1'
import { answeredPreflight } from './cors.ts'
import { nobody } from '../telemetry/entry.ts'
import { Exchange } from './exchange.ts'
import type { Caller } from './ends.ts'

const listener: Listener = { name: 'out', direction: 'outbound', host: '240.0.0.1', port: 80, protocol: 'http', service: 'web.default' }
const open: Cors = { origins: [{ type: 'exact', value: '*' }], credentials: false, methods: ['*'], headers: ['*'], expose: [], maxAgeS: 5 }
const shop: Cors = {
  origins: [
    { type: 'exact', value: 'https://shop.example' },
    { type: 'regex', value: 'https://[^:/]+\\.shop\\.example' },
  ],
  credentials: true,
  methods: ['GET', 'PUT'],
  headers: ['X-Cart'],
  expose: ['X-Total', 'X-Page'],
  maxAgeS: 600,
}

/** What is said of the answer: by the preflight's own, or to be added to the endpoint's. */
function told(
  cors: Cors,
  method: string,
  headers: Readonly<Record<string, string>>,
): { isAnswered: boolean; fields: Record<string, string> } {
  let own: ResponseHead | undefined
  const caller: Caller = {
    respond: head => (own = head),
    informational: () => {},
    data: () => {},
    end: () => {},
    flush: () => true,
    readBody: () => {},
    abort: () => {},
  }
  const head = { method, target: '/', minor: 1 as const, fields: ['host', 'web', ...Object.entries(headers).flat()] }
  const exchange = new Exchange(head, 0, undefined, false, { listener, view: () => emptyView, peer: undefined, source: nobody }, caller, 0)
  const isAnswered = answeredPreflight(exchange, cors)
  const { set = [], add = [] } = exchange.answerChange ?? {}
  const pairs = own === undefined ? [...set, ...add].map(({ name, value }) => [name, value]) : []
  for (let at = 0; at < (own?.fields.length ?? 0); at += 2) pairs.push([own!.fields[at]!, own!.fields[at + 1]!])
  return {
    isAnswered,
    fields: Object.fromEntries(pairs.filter(([name]) => name !== 'date' && name !== 'server')) as Record<string, string>,
  }
}
const asks = (origin: string, method = 'PUT', headers?: string) => ({
  Origin: origin,
  'Access-Control-Request-Method': method,
  ...(headers === undefined ? {} : { 'Access-Control-Request-Headers': headers }),
})

test('without credentials a wildcard is announced as it is, to everybody alike', () => {
  assert.deepEqual(told(open, 'GET', { origin: 'https://any.example' }), {
    isAnswered: false,
    fields: { 'access-control-allow-origin': '*' },
  })
  assert.deepEqual(told(open, 'OPTIONS', asks('https://any.example')).fields, {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': '*',
    'access-control-allow-headers': '*',
    'access-control-max-age': '5',
  })
})

test('with credentials nothing is announced as a wildcard: what was asked for is named', () => {
  const { fields } = told({ ...open, credentials: true }, 'OPTIONS', asks('https://any.example', 'PATCH', 'x-a,x-b'))
  assert.deepEqual(fields, {
    'access-control-allow-origin': 'https://any.example',
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'PATCH',
    'access-control-allow-headers': 'x-a,x-b',
    'access-control-max-age': '5',
    vary: 'Origin',
  })
})

test('an origin is named back only if it is allowed, whole', () => {
  const allowed = (origin: string) => told(shop, 'GET', { origin }).fields['access-control-allow-origin']
  for (const origin of ['https://shop.example', 'https://www.shop.example', 'https://a.b.shop.example'])
    assert.equal(allowed(origin), origin)
  for (const origin of [
    'http://shop.example',
    'https://shop.example:8443',
    'https://shop.example.evil',
    'https://evilshop.example',
    'null',
  ])
    assert.equal(allowed(origin), undefined, origin)
})

test('an answer differs by origin, so caches are told, also where it allows nothing', () => {
  assert.deepEqual(told(shop, 'GET', {}).fields, { vary: 'Origin' })
  assert.equal(told(shop, 'GET', { origin: 'https://shop.example' }).fields['access-control-expose-headers'], 'X-Total, X-Page')
})

test('a preflight of a foreign origin is answered without permission, or goes to the backend where that is asked', () => {
  assert.deepEqual(told(shop, 'OPTIONS', asks('https://evil.example')), { isAnswered: true, fields: { vary: 'Origin' } })
  assert.equal(told({ ...shop, forwardsOthers: true }, 'OPTIONS', asks('https://evil.example')).isAnswered, false)
})

test('OPTIONS that is no preflight goes to the backend', () => {
  assert.equal(told(shop, 'OPTIONS', { origin: 'https://shop.example' }).isAnswered, false)
  assert.equal(told(shop, 'OPTIONS', { 'access-control-request-method': 'PUT' }).isAnswered, false)
})
