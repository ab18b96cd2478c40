/** `weft explain request --from gateway/NAME`: a request from outside, told by the configuration of a Gateway's proxy, and the same request sent. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { all, at, below, Edge, https, listener, own, route, skip, to } from '../conformance/gateway-api/edge.ts'

describe('weft explain request at a Gateway', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
    await edge.apply(edge.secret('server', 'server'))
    await edge.apply(
      edge.gateway('first', [
        listener('web', 'HTTP', 80),
        https('shop', 443, { hostname: '*.example.com' }),
        https('other', 443, { hostname: 'example.org' }),
        listener('vault', 'TLS', 443, { hostname: 'vault.example.com', tls: { mode: 'Passthrough' } }),
      ]),
    )
    await edge.apply(
      route(
        [
          {
            ...below('/items', 'one'),
            timeouts: { request: '2s' },
            filters: [
              { type: 'RequestMirror', requestMirror: { backendRef: to('two'), percent: 20 } },
              { type: 'CORS', cors: { allowOrigins: ['https://shop.example.com'], allowMethods: ['GET'], exposeHeaders: ['x-total'] } },
              { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-shop', value: 'yes' }] } },
            ],
          },
          {
            matches: [{ path: { type: 'Exact', value: '/old' } }],
            filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 301 } }],
          },
        ],
        { name: 'shop', hostnames: ['shop.example.com'] },
      ),
    )
    await edge.apply(route(all('sealed-one', 443), { kind: 'TLSRoute', name: 'vault', hostnames: ['vault.example.com'] }))
    await edge.settled('first')
  })
  after(() => edge[Symbol.asyncDispose]())

  const ask = (to_: string, ...more: readonly string[]) =>
    edge.mesh.weft('explain', 'request', '--from', 'gateway/first', '--namespace', own, '--to', to_, ...more)

  test('tells the listener, where TLS ends, the rules and what the taken one does', async () => {
    const { code, stdout, stderr } = await ask(`https://shop.example.com:${at(443)}/items?page=2`)
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /a caller from outside asks GET https:\/\/shop\.example\.com/)
    assert.match(
      stdout,
      /tls +ends here, with the certificate of the listener for \*\.example\.com; the caller asks for shop\.example\.com/,
    )
    assert.match(stdout, /✓ HTTPRoute edge\/shop rule 0/)
    assert.match(stdout, /20 % is copied to edge\/two:8080/)
    assert.match(stdout, /pages of https:\/\/shop\.example\.com may read the answers/)
    assert.match(stdout, /the whole request may take 2000 ms/)
    assert.match(stdout, /sets x-shop: yes/)
    assert.match(stdout, /it arrives/)
    await edge.expect({ port: 443, host: 'shop.example.com', path: '/items?page=2', tls: { sni: 'shop.example.com' }, pod: 'one' })
  })

  test('tells near misses: the rule whose path does not fit, a host of another listener, a name without a certificate', async () => {
    const missed = await ask('http://shop.example.com/itemz')
    assert.equal(missed.code, 1)
    assert.match(missed.stdout, /✗ HTTPRoute edge\/shop rule 0 .* the path is "\/itemz"/)
    assert.match(missed.stdout, /no-route: HTTP 404/)
    await edge.expect({ host: 'shop.example.com', path: '/itemz', status: 404 })
    const misdirected = await ask(`https://example.org:${at(443)}/items`, '-H', 'Host: shop.example.com')
    assert.match(misdirected.stdout, /misdirected: HTTP 421/)
    await edge.expect({ port: 443, host: 'shop.example.com', path: '/items', tls: { sni: 'example.org' }, status: 421 })
    const unknown = await ask(`https://nobody.test:${at(443)}/`)
    assert.match(unknown.stdout, /no listener of port \d+ has the name "nobody\.test"/)
    assert.match((await ask(`http://shop.example.com:${at(443)}/`)).stdout, /takes TLS only: ask https/)
    assert.match((await ask(`http://shop.example.com:${at(81)}/`)).stdout, /the Gateway has no port \d+ open; it has/)
  })

  test('tells redirects with their Location, TLS that is passed on, and all of it as JSON', async () => {
    const { code, stdout } = await ask(`https://shop.example.com:${at(443)}/old`)
    assert.equal(code, 0)
    const { headers } = await edge.expect({
      port: 443,
      host: 'shop.example.com',
      path: '/old',
      tls: { sni: 'shop.example.com' },
      status: 301,
    })
    assert.ok(stdout.includes(`the mesh answers 301 itself: ${headers['location']}`), stdout)
    assert.match((await ask(`https://vault.example.com:${at(443)}`)).stdout, /TLS is passed on as it is/)
    const told = JSON.parse((await ask('http://shop.example.com/items', '-o', 'json')).stdout) as {
      explanation: { listener: { direction: string }; arrives: string }
    }
    assert.deepEqual([told.explanation.listener.direction, told.explanation.arrives], ['gateway', 'always'])
  })
})
