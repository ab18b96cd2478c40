/** What spans say, by the conventions of OpenTelemetry, and what they must not say. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Listener } from '#model/listener'
import type { Route } from '#model/route'
import type { Tracing } from '#model/telemetry'
import { emptyView } from '#model/view'
import type { Fields } from '#wire/http1'
import { Exchange } from '../requests/exchange.ts'
import type { Caller } from '../requests/ends.ts'
import { type Entry, nobody } from './entry.ts'
import { epochUs, spanOf } from './span.ts'
import { traceOf } from './trace.ts'

const tracing: Tracing = {
  url: 'http://c:4318/v1/traces',
  backend: 'b',
  service: 'web',
  encoding: 'json',
  propagation: ['w3c'],
  attributes: [],
}
const self = { ...nobody, service: 'web', namespace: 'shop', workload: 'web-1', identity: 'spiffe://weft.local/ns/shop/sa/web' }
const caller = {} as Caller

type Asked = {
  readonly direction?: Listener['direction']
  readonly method?: string
  readonly target?: string
  readonly fields?: Fields
  readonly isHttp1?: boolean
  readonly attributes?: Tracing['attributes']
}

function asked({
  direction = 'inbound',
  method = 'GET',
  target = '/',
  fields = ['Host', 'web:8080'],
  isHttp1 = true,
  attributes,
}: Asked = {}) {
  const listener: Listener = { name: `${direction}/1`, direction, host: '', port: 80, protocol: 'http', service: 'web.shop' }
  const entry: Entry = { listener, view: () => emptyView, peer: 'spiffe://weft.local/ns/shop/sa/front', source: nobody, own: self.identity }
  const exchange = new Exchange({ method, target, minor: 1, fields }, 0, undefined, false, entry, caller, performance.now(), isHttp1)
  exchange.trace = traceOf(fields, attributes === undefined ? tracing : { ...tracing, attributes })
  return exchange
}
function told(exchange: Exchange) {
  const span = spanOf(exchange, exchange.trace!, self, performance.now())
  return { ...span, said: Object.fromEntries(span.attributes) }
}

test('a request of HTTP is told by method, path and place, without its query and whoever logs in by its URL', () => {
  const exchange = asked({
    direction: 'outbound',
    target: 'http://ann:secret@web:8080/cart/7?token=secret',
    fields: ['Cookie', 'secret', 'Authorization', 'secret', 'Host', 'x'],
  })
  exchange.status = 204
  const { said, name, kind, error, ...span } = told(exchange)
  assert.deepEqual([name, kind, error], ['GET', 'client', undefined])
  assert.deepEqual(
    ['http.request.method', 'url.scheme', 'url.path', 'url.full', 'server.address', 'server.port', 'http.response.status_code'].map(
      each => said[each],
    ),
    ['GET', 'http', '/cart/7', 'http://web:8080/cart/7', 'web', 8080, 204],
  )
  assert.doesNotMatch(JSON.stringify({ said, span }), /secret/)
})

test('the name of a span is one of few: the path of its route, the method of gRPC, and no word of the caller', () => {
  const exchange = asked({ method: 'BREW', target: '/a/b/c' })
  assert.deepEqual(
    [told(exchange).name, told(exchange).said['http.request.method'], told(exchange).said['http.request.method_original']],
    ['HTTP', '_OTHER', 'BREW'],
  )
  const routed = asked({ target: '/cart/7' })
  routed.route = {
    name: 'r',
    origin: 'HTTPRoute shop/r rule 0',
    match: { path: { type: 'prefix', value: '/cart' } },
    filters: [],
    action: { type: 'forward', backends: [] },
  } satisfies Route
  assert.deepEqual([told(routed).name, told(routed).said['weft.route']], ['GET /cart', 'HTTPRoute shop/r rule 0'])
  const grpc = asked({
    method: 'POST',
    target: '/shop.Cart/Add',
    fields: ['host', 'web', 'content-type', 'application/grpc'],
    isHttp1: false,
  })
  grpc.status = 200
  grpc.grpcStatus = 5
  const { name, said, error } = told(grpc)
  assert.deepEqual(
    [name, said['rpc.system'], said['rpc.service'], said['rpc.method'], said['rpc.grpc.status_code']],
    ['shop.Cart/Add', 'grpc', 'shop.Cart', 'Add', 5],
  )
  assert.deepEqual([said['network.protocol.version'], error], ['2', undefined])
})

test('a server fails by 5xx and the statuses of gRPC that say so, a client by all that is not well, and the mesh by its reason', () => {
  const failed = (asks: Asked, status: number, more: { reason?: string; detail?: string; grpcStatus?: number } = {}) => {
    const { error, said } = told(Object.assign(asked(asks), { status, ...more }))
    return [error, said['error.type']]
  }
  const out = { direction: 'outbound' } as const
  const grpc = { method: 'POST', fields: ['content-type', 'application/grpc'], isHttp1: false } as const
  assert.deepEqual(failed({}, 404), [undefined, undefined])
  assert.deepEqual(failed(out, 404), ['', '404'])
  assert.deepEqual(failed({}, 500), ['', '500'])
  assert.deepEqual(failed({ ...grpc }, 200, { grpcStatus: 5 })[0], undefined)
  assert.deepEqual(failed({ ...grpc, ...out }, 200, { grpcStatus: 5 })[0], 'gRPC status 5')
  assert.deepEqual(failed({ ...grpc }, 200, { grpcStatus: 14 })[0], 'gRPC status 14')
  assert.deepEqual(failed({}, 502, { reason: 'upstream-reset', detail: 'before an answer' }), [
    'upstream-reset: before an answer',
    'upstream-reset',
  ])
  assert.deepEqual(failed({}, 200, { reason: 'caller-gone' }), [undefined, 'caller-gone'])
  assert.deepEqual(failed(out, 200, { reason: 'caller-gone' }), ['caller-gone', 'caller-gone'])
})

test('a denial is told by its number, policy, rule and condition', () => {
  const exchange = asked()
  exchange.status = 403
  exchange.reason = 'access-denied'
  exchange.detail = 'decision abcd-1'
  exchange.denial = { decision: 'abcd-1', policy: 'shop/web', rule: '2', condition: () => 'method GET is not POST' }
  const { said, error } = told(exchange)
  assert.deepEqual(
    ['weft.reason', 'weft.decision', 'weft.policy', 'weft.rule', 'weft.condition'].map(each => said[each]),
    ['access-denied', 'abcd-1', 'shop/web', '2', 'method GET is not POST'],
  )
  assert.equal(error, 'access-denied: method GET is not POST')
})

test('attributes are bounded in number and length, whatever the caller writes', () => {
  const attributes = Array.from({ length: 80 }, (_, at) => ({ name: `a${at}`, header: 'x-long' }))
  const exchange = asked({
    target: `/${'x'.repeat(8000)}`,
    fields: ['host', 'y'.repeat(5000), 'x-long', 'z'.repeat(9000), 'user-agent', 'u'.repeat(9000)],
    attributes,
  })
  const { attributes: said, droppedAttributes = 0 } = told(exchange)
  assert.equal(said.length, 64)
  assert.ok(droppedAttributes > 0)
  for (const [name, value] of said) assert.ok(String(value).length <= 1024, name)
})

test('attributes of the operator are the same for all, or what a header says', () => {
  const attributes = [
    { name: 'ring', value: 'blue' },
    { name: 'tenant', header: 'x-tenant' },
    { name: 'team', header: 'x-team', absent: 'none' },
  ]
  const { said } = told(asked({ fields: ['X-Tenant', 'acme'], attributes }))
  assert.deepEqual([said['ring'], said['tenant'], said['team']], ['blue', 'acme', 'none'])
  assert.equal('tenant' in told(asked({ fields: [], attributes })).said, false)
})

test('tries that failed are events, sixteen of them at most', () => {
  const exchange = asked({ direction: 'outbound' })
  const endpoint = { host: '::1', port: 80, weight: 1, health: 'healthy', mtls: false, workload: 'a' } as const
  for (let at = 0; at < 20; at++) exchange.trace!.failed('shop/web:80', endpoint, 'connect-refused', performance.now())
  const { events, droppedEvents } = told(exchange)
  assert.deepEqual([events.length, droppedEvents], [16, 4])
  assert.deepEqual(events[0]!.attributes, [
    ['weft.backend', 'shop/web:80'],
    ['weft.endpoint', '[::1]:80'],
    ['error.type', 'connect-refused'],
  ])
})

test('times are those of the machine, and no span ends before it began', () => {
  const now = performance.now()
  assert.ok(Math.abs(epochUs(now) / 1000 - Date.now()) < 50)
  const { startUs, endUs } = told(asked())
  assert.ok(endUs >= startUs && Number.isSafeInteger(endUs))
})
