import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silent } from '#base/log'
import type { Backend } from '#model/backend'
import type { Egress } from '#model/egress'
import type { Listener } from '#model/listener'
import { emptyView, type View } from '#model/view'
import { OutsideNames } from './dns.ts'
import { nobody } from './telemetry/entry.ts'
import { asksForBytes, Exit, isTold, otherPlaces } from './exit.ts'
import { Meter } from './telemetry/meter.ts'

const named: Backend = {
  name: 'external/named',
  service: 'external',
  type: 'named',
  isExternal: true,
  port: 0,
  protocol: 'downstream',
  balance: 'round-robin',
  connectTimeoutMs: 1000,
  identities: [],
}
const viewOf = (egress: Egress, names: readonly string[] = []): View => {
  const way: Listener = {
    name: 'outbound/*',
    direction: 'outbound',
    host: '0.0.0.0',
    port: 15_001,
    protocol: 'detect',
    routes: 'outbound/*',
    backends: [{ backend: 'external/original', weight: 1 }],
    ...(names.length === 0 ? {} : { serverNames: [{ names, backends: [{ backend: 'external/named', weight: 1 }] }] }),
    service: 'external',
    egress,
  }
  return { ...emptyView, listeners: { [way.name]: way } }
}
const made = () => {
  const meter = new Meter(() => nobody, 0)
  const names = new OutsideNames({ virtual: false })
  return { meter, names, exit: new Exit(meter, silent, names) }
}
const allow: Egress = {
  default: 'deny',
  policy: 'a/b',
  deny: [],
  allow: [{ name: 'a/b#0', to: [{ hosts: ['*.good.example'], ports: [443] }] }],
}

describe('the exit of a proxy', () => {
  test('counts the first two hundred places by their names, and all others as one', () => {
    const { exit, meter } = made()
    const view = viewOf({ ...allow, allow: [] })
    for (let at = 0; at < 300; at++) exit.judgeFlow(exit.destinationOf({ host: `host-${at}.example`, port: 53 }), view)
    const lines = meter.registry
      .text()
      .split('\n')
      .filter(line => line.startsWith('weft_egress_decisions_total'))
    assert.equal(lines.length, 201)
    assert.ok(lines.includes(`weft_egress_decisions_total{policy="a/b",rule="",action="deny",destination="${otherPlaces}"} 100`))
  })

  test('knows a name from DNS, a virtual address, or the caller itself, whatever its case', () => {
    const { exit } = made()
    assert.deepEqual(exit.destinationOf({ host: 'API.Good.Example.', port: 443 }), {
      host: 'api.good.example',
      port: 443,
      name: 'api.good.example',
    })
    assert.deepEqual(exit.destinationOf({ host: '192.0.2.1', port: 443 }), { host: '192.0.2.1', port: 443, address: '192.0.2.1' })
    assert.deepEqual(exit.destinationOf({ host: '2001:db8::1', port: 443 }), { host: '2001:db8::1', port: 443, address: '2001:db8::1' })
  })

  test('leads a named backend to the host that was asked for, on the port of the connection', () => {
    const { exit } = made()
    const view = viewOf(allow)
    const entry = {
      listener: view.listeners['outbound/*']!,
      view: () => view,
      peer: undefined,
      source: nobody,
      destination: { host: '192.0.2.1', port: 8443 },
    }
    const way = exit.wayTo(named, entry, 'API.good.example:1')
    assert.deepEqual([way.host, way.port], ['api.good.example', 8443])
    assert.equal(exit.wayTo(named, entry, 'api.good.example'), way)
    assert.deepEqual(exit.wayTo({ ...named, type: 'original' }, entry, 'api.good.example').host, '192.0.2.1')
  })

  test('looks into bytes only where a rule or a host could depend on them', () => {
    const plain = viewOf({ default: 'deny', policy: 'a/b', deny: [], allow: [{ name: 'a/b#0', to: [{ networks: ['10.0.0.0/8'] }] }] })
    assert.equal(asksForBytes(plain.listeners['outbound/*']!, plain), false)
    const byHost = viewOf(allow, ['*.good.example'])
    assert.equal(asksForBytes(byHost.listeners['outbound/*']!, byHost), true)
  })

  test('gives names that a rule tells apart an address of their own', () => {
    const view = viewOf(allow, ['*.good.example'])
    assert.deepEqual([isTold(view, 'x.good.example'), isTold(view, 'good.example'), isTold(view, 'other.example')], [true, false, false])
    assert.equal(isTold(emptyView, 'x.good.example'), false)
  })
})
