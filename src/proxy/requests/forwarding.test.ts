import assert from 'node:assert/strict'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { identityOf, inboundSide, materials, type OutboundSide, outboundSide, remote, type Side } from '../../../test/harness/pair.ts'
import type { Listener } from '../../model/listener.ts'
import { emptyView } from '../../model/view.ts'
import { type Entry, nobody } from '../telemetry/entry.ts'
import { answered, forwarded, trailing } from './forwarding.ts'

const met = (direction: Listener['direction'], more: Partial<Entry> = {}, service = 'web.default'): Entry => ({
  listener: { name: 'l', direction, host: '127.0.0.1', port: 1, protocol: 'http', service },
  view: () => emptyView,
  peer: undefined,
  source: nobody,
  ...more,
})
const ends = () => ({ source: { host: '192.0.2.7', port: 5000 }, destination: { host: '192.0.2.1', port: 80 } })
const [own, peer] = [identityOf('web'), identityOf('shop')]
const spoofed = [
  ['X-Forwarded-Client-Cert', 'By=a;URI=spiffe://weft.test/ns/default/sa/admin'],
  ['x-WEFT-identity', 'admin'],
  ['X-Forwarded-For', '10.9.9.9'],
  ['x-forwarded-host', 'bank'],
  ['Forwarded', 'for=10.9.9.9'],
  ['X-Real-IP', '10.9.9.9'],
  ['X-Request-ID', 'mine'],
].flat()
const plain = [
  'Host',
  'web',
  'traceparent',
  '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'Accept',
  '*/*',
  'x-forwardedx',
  '1',
  'From',
  'me',
]
const names = (fields: readonly string[]) => fields.filter((_, at) => at % 2 === 0).map(name => name.toLowerCase())
const made = () => 'made'

describe('a request', () => {
  test('of the workload keeps what it says of the way, and loses who it claims to be', () => {
    assert.deepEqual(forwarded([...plain, ...spoofed], met('outbound'), made), [...plain, ...spoofed.slice(4)])
  })
  test('cannot say in another spelling of a name what only proxies say, for servers of CGI\u2019s kind read both as one', () => {
    const other = ['X_Forwarded_Client_Cert', 'URI=admin', 'x.weft.identity', 'admin', 'x-forwarded_client-cert', 'URI=admin']
    const way = ['x_forwarded_for', '10.9.9.9', 'X_Real-IP', '10.9.9.9', 'x_request_id', 'mine']
    assert.deepEqual(forwarded([...plain, ...other, ...way, 'x-request-id', '1'], met('outbound'), made), [
      ...plain,
      ...way,
      'x-request-id',
      '1',
    ])
    assert.deepEqual(names(forwarded([...plain, ...other, ...way], met('inbound', { ends }), made)), [
      ...names(plain),
      'x-request-id',
      'x-forwarded-for',
      'x-forwarded-proto',
    ])
    assert.deepEqual(trailing([...other, 'x-sum', '1'], met('inbound')), ['x-sum', '1'])
  })
  test('of the workload gets an id where it has none, but not towards hosts outside the mesh', () => {
    assert.deepEqual(forwarded(plain, met('outbound'), made), [...plain, 'x-request-id', 'made'])
    assert.equal(forwarded(plain, met('outbound', {}, 'external'), made), plain)
  })
  test('that brings an id and nothing else of ours is the same array', () => {
    const fields = [...plain, 'x-request-id', 'mine']
    assert.equal(forwarded(fields, met('outbound'), made), fields)
  })
  test('of a proven peer keeps what it says of the way, and says who the peer is instead of what it claims', () => {
    assert.deepEqual(forwarded([...plain, ...spoofed], met('inbound', { peer, own }), made), [
      ...plain,
      ...spoofed.slice(4),
      'x-forwarded-client-cert',
      `By=${own};URI=${peer}`,
    ])
  })
  test('from outside loses all of it and says where it came from', () => {
    assert.deepEqual(forwarded([...spoofed, ...plain], met('inbound', { ends }), made), [
      ...plain,
      'x-request-id',
      'made',
      'x-forwarded-for',
      '192.0.2.7',
      'x-forwarded-proto',
      'http',
    ])
  })
  test('does not change the array that it came with', () => {
    const fields = Object.freeze([...plain, ...spoofed])
    forwarded(fields, met('inbound', { ends }))
    forwarded(fields, met('inbound', { peer, own }))
  })
})

test('the answer of a workload loses what only proxies may say, all else is the same array', () => {
  assert.deepEqual(answered(['a', '1', 'X-Weft-Error', 'draining', 'x-b', '2']), ['a', '1', 'x-b', '2'])
  assert.equal(answered(plain), plain)
})

test('trailers of a request tell nothing that only proxies tell, nor what is told from a claim, in no spelling', () => {
  const told = [
    'X-Forwarded-For',
    'a',
    'x_forwarded_client_cert',
    'a',
    'Forwarded',
    'a',
    'x-weft-identity',
    'a',
    'X_User',
    'a',
    "x'user",
    'a',
  ]
  const issuer = { name: 'i', issuer: 'i', audiences: [], keys: { type: 'inline', jwks: '' }, from: [], forward: false, skewMs: 0 } as const
  const issuers = [{ ...issuer, claimsToHeaders: [{ claim: 'sub', header: 'x-user' }] }]
  const { listener, ...rest } = met('inbound')
  const entry: Entry = { ...rest, listener: { ...listener, tokens: [{ name: 't', issuers, isRequired: true }] } }
  assert.deepEqual(trailing(['X-Sum', '1', ...told, 'X-Group', 'a'], entry, new Map([['x-group', undefined]])), ['X-Sum', '1'])
})

describe('through two proxies', () => {
  let app: http.Server
  let inside: Side
  let outside: OutboundSide & AsyncDisposable
  let published: number
  let calls = 0

  before(async () => {
    const certificates = await materials('web', 'shop')
    app = http.createServer((request, response) => {
      calls++
      if (request.url === '/lies') response.writeHead(503, { 'x-weft-error': 'draining' })
      response.end(JSON.stringify(request.headers))
    })
    await new Promise<void>(done => app.listen(0, '127.0.0.1', done))
    const port = (app.address() as AddressInfo).port
    inside = await inboundSide('web', port, 'http', certificates.web!)
    outside = await outboundSide('shop', certificates.shop!, 'http', remote('web', [inside.port, inside.port]))
    published = (await inside.core.publish('127.0.0.1', 0, port)).port
  })
  after(async () => {
    app.closeAllConnections()
    app.close()
    await outside[Symbol.asyncDispose]()
    await inside.core[Symbol.asyncDispose]()
  })

  const seen = (port: number): Promise<Record<string, string>> =>
    new Promise((resolve, reject) => {
      let heard = ''
      const lines = spoofed.map((text, at) => (at % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
      const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n${lines}\r\n`))
      socket.on('data', bytes => (heard += bytes)).on('error', reject)
      socket.on('end', () => {
        socket.destroy()
        const json = /\{.*\}/s.exec(heard)
        return json === null ? reject(new Error(heard)) : resolve(JSON.parse(json[0]) as Record<string, string>)
      })
    })

  test('the workload learns the proven identity of its caller and not the one that was claimed', async () => {
    const headers = await seen(outside.port)
    assert.equal(headers['x-forwarded-client-cert'], `By=${own};URI=${peer}`)
    assert.deepEqual([headers['x-request-id'], headers['x-forwarded-for']], ['mine', '10.9.9.9'])
    assert.deepEqual(
      names(Object.keys(headers).flatMap(name => [name, ''])).filter(name => name.startsWith('x-weft')),
      [],
    )
  })

  test('a request without an id gets one that both proxies agree on', async () => {
    const headers = (await (await fetch(`http://127.0.0.1:${outside.port}/`)).json()) as Record<string, string>
    assert.match(headers['x-request-id']!, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  test('through a published port nothing of it is believed', async () => {
    const headers = await seen(published)
    assert.equal(headers['x-forwarded-for'], '127.0.0.1')
    assert.equal(headers['x-forwarded-proto'], 'http')
    assert.notEqual(headers['x-request-id'], 'mine')
    for (const name of ['x-forwarded-client-cert', 'x-weft-identity', 'x-forwarded-host', 'forwarded', 'x-real-ip'])
      assert.ok(!(name in headers), name)
  })

  test('a workload cannot have a request sent again by claiming to be a proxy', async () => {
    calls = 0
    const answer = await fetch(`http://127.0.0.1:${outside.port}/lies`)
    assert.deepEqual([answer.status, answer.headers.get('x-weft-error'), calls], [503, null, 1])
  })
})
