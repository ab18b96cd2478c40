import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Backend } from '#model/backend'
import type { Egress } from '#model/egress'
import type { Listener } from '#model/listener'
import type { RouteTable } from '#model/route'
import { emptyView } from '#model/view'
import { decodeResource } from './decode.ts'
import { encodeView } from './encode.ts'

const egress: Egress = {
  default: 'deny',
  policy: 'weft-system/strict',
  deny: [{ name: 'weft-system/strict#0', to: [{ networks: ['169.254.0.0/16'] }, { hosts: ['*.bad.example'] }] }],
  allow: [
    { name: 'shop/pay#0', to: [{ hosts: ['api.pay.example', '*.cdn.example'], ports: [443] }] },
    {
      name: 'shop/pay#1',
      to: [
        {
          hosts: ['plain.example'],
          methods: ['GET'],
          paths: [
            { type: 'exact', value: '/a' },
            { type: 'prefix', value: '/a/' },
          ],
        },
      ],
    },
    { name: 'shop/pay#2', to: [{ networks: ['10.0.0.0/8', 'fd00::/8'], ports: [5432, 5433] }] },
  ],
}
const wayOut: Listener = {
  name: 'outbound/*',
  direction: 'outbound',
  host: '0.0.0.0',
  port: 15_001,
  protocol: 'detect',
  routes: 'outbound/*',
  backends: [{ backend: 'external/original', weight: 1 }],
  serverNames: [
    { names: ['*.db.example'], backends: [{ backend: 'shop/db~*.db.example:443', weight: 1 }] },
    { names: ['*.cdn.example', 'api.pay.example', 'plain.example'], backends: [{ backend: 'external/named', weight: 1 }] },
  ],
  service: 'external',
  egress,
}
const table: RouteTable = {
  name: 'outbound/*',
  hosts: [
    {
      name: 'external/original',
      domains: ['*'],
      routes: [
        {
          name: 'external/original',
          origin: 'outside the mesh',
          match: {},
          filters: [],
          action: { type: 'forward', backends: [{ backend: 'external/original', weight: 1 }] },
          egress,
        },
      ],
    },
  ],
}
const base = { service: 'pay.shop', isExternal: true, port: 443, balance: 'round-robin', connectTimeoutMs: 5000, identities: [] } as const
const pem = (what: string) => `-----BEGIN ${what}-----\nAAAA\n-----END ${what}-----\n`
const host = (name: string) => ({ host: name, port: 443, weight: 1, health: 'healthy', mtls: false, workload: name }) as const
const backends: Record<string, Backend> = Object.fromEntries(
  (
    [
      { ...base, name: 'external/named', type: 'named', protocol: 'downstream', port: 0 },
      { ...base, name: 'external/original', type: 'original', protocol: 'downstream', port: 0 },
      { ...base, name: 'shop/db~*.db.example:443', type: 'named', protocol: 'http1', tls: {} },
      {
        ...base,
        name: 'shop/one',
        type: 'hosts',
        protocol: 'http1',
        hosts: [host('api.pay.example')],
        tls: { serverName: 'api.pay.example' },
      },
      { ...base, name: 'shop/two', type: 'hosts', protocol: 'tcp', hosts: [host('a.example'), host('b.example')] },
      {
        ...base,
        name: 'shop/three',
        type: 'endpoints',
        protocol: 'http2',
        tls: {
          serverName: 'api.pay.example',
          names: ['pay.example'],
          roots: [pem('CERTIFICATE')],
          certificate: { cert: pem('CERTIFICATE'), key: pem('PRIVATE KEY') },
        },
      },
    ] satisfies Backend[]
  ).map(each => [each.name, each]),
)
const near: Listener = {
  name: 'outbound/shop/pay~api.pay.example:443',
  direction: 'outbound',
  host: '240.79.1.2',
  port: 443,
  protocol: 'detect',
  routes: 'shop/pay~api.pay.example:443',
  backends: [{ backend: 'shop/one', weight: 1 }],
  service: 'pay.shop',
  egress: { default: 'allow', policy: '', deny: [{ name: 'shop/x#0', to: [{ ports: [443] }] }], allow: [] },
}
const udp: Listener = {
  name: 'outbound/shop/ntp~ntp.example:123/udp',
  direction: 'outbound',
  host: '240.79.1.3',
  port: 123,
  protocol: 'udp',
  backends: [{ backend: 'shop/ntp', weight: 1 }],
  service: 'ntp.shop',
  egress: near.egress!,
}

const view = {
  ...emptyView,
  listeners: { [wayOut.name]: wayOut, [near.name]: near, [udp.name]: udp },
  routes: { [table.name]: table },
  backends,
}

describe('what leads out of the mesh, over xDS', () => {
  for (const resources of Object.values(encodeView(view)))
    for (const { typeUrl, name, body } of resources.values())
      test(`${name} comes out as it went in`, () => {
        const decoded = decodeResource(typeUrl, name, body)
        assert.ok('part' in decoded, 'rejected' in decoded ? decoded.rejected : '')
        const sent = { ...view.listeners, ...view.routes, ...view.backends } as Record<string, unknown>
        const [, both] = ['', typeUrl.endsWith('.Listener') ? view.listeners : typeUrl.endsWith('.Cluster') ? view.backends : view.routes]
        assert.deepEqual(decoded.part.value, (both as Record<string, unknown>)[name] ?? sent[name])
      })

  test('rules that its filters do not keep are refused', () => {
    const encoded = Object.values(encodeView(view))
      .flatMap(resources => [...resources.values()])
      .find(({ name }) => name === near.name)!
    const text = Buffer.from(encoded.body)
      .toString('latin1')
      .replace('"deny":[{"name":"shop/x#0","to":[{"ports":[443]}]}]', '"deny":[{"name":"shop/x#0","to":[{"ports":[444]}]}]')
    const decoded = decodeResource(encoded.typeUrl, near.name, Buffer.from(text, 'latin1'))
    assert.match('rejected' in decoded ? decoded.rejected : '', /not what follows from the rules/)
  })
})
