import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mesh } from '#model/mesh'
import type { Inventory } from '#model/workload'
import type { Traffic } from '#observe/traffic'
import { reportMtls } from './mtls-report.ts'

const now = 1_700_000_000_000
type Told = NonNullable<ReturnType<Traffic['arrivals']>>
type Plain = { readonly source: string; readonly connections: number; readonly open: number; readonly lastAt: number }

const inventory: Inventory = {
  workloads: [
    {
      name: 'a-1',
      namespace: 'shop',
      service: 'a',
      labels: {},
      identity: 'spiffe://weft.local/ns/shop/sa/a',
      ports: [
        { name: 'http', port: 80, protocol: 'http', bind: { host: '127.0.0.1', port: 20_001 } },
        { name: 'dns', port: 53, protocol: 'udp', bind: { host: '127.0.0.1', port: 20_002 } },
        { name: 'bare', port: 81, protocol: 'http' },
      ],
      health: 'healthy',
    },
    {
      name: 'old-1',
      namespace: 'shop',
      service: 'old',
      labels: {},
      identity: '',
      address: '10.0.0.7',
      ports: [],
      health: 'healthy',
    },
  ],
}
const told = (plaintext: readonly Plain[], since = now - 3_600_000): Told => ({
  since,
  by: new Map([['inbound/80', { mutual: 5, plaintext, refused: [] }]]),
})
const ask = (arrivals: Told | undefined, mtls: Mesh['mtls'] = 'permissive', more: object = {}) =>
  reportMtls(inventory, { mtls }, { arrivals: () => arrivals }, { withinMs: 600_000, ...more }, now)

test('it is safe when nobody spoke plaintext for so long; only ports of TCP behind a proxy are asked about', () => {
  const report = ask(told([{ source: '10.0.0.7', connections: 3, open: 0, lastAt: now - 700_000 }]))
  assert.deepEqual(
    [report.safe, report.why, report.watchedSeconds, report.ports.map(({ port, mode, callers }) => [port, mode, callers.length])],
    [true, [], 3600, [[80, 'permissive', 0]]],
  )
})

test('it is not safe while a connection in plaintext is open, or was made lately, and its caller is named', () => {
  for (const plain of [
    { source: '10.0.0.7', connections: 1, open: 1, lastAt: now - 3_000_000 },
    { source: '10.0.0.7', connections: 1, open: 0, lastAt: now - 1_000 },
  ])
    assert.deepEqual(ask(told([plain])).why, ['port 80 of a-1.shop: plaintext from old-1.shop (10.0.0.7)'])
})

test('it is not safe where nobody watches, where plaintext is ordered, and where there is no such port', () => {
  assert.match(ask(undefined).why.join(), /its proxy tells nothing/)
  assert.equal(ask(undefined).watchedSeconds, 0)
  assert.match(ask(told([]), { everywhere: 'disabled', places: {}, needed: {}, moving: {} }).why.join(), /it is Disabled/)
  assert.match(ask(told([]), 'permissive', { port: '81' }).why.join(), /no workload behind a proxy has such a port/)
  assert.equal(ask(told([]), 'permissive', { namespace: 'shop', service: 'a', port: 'http' }).safe, true)
})
