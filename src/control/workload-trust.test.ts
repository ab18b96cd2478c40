import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import type { Revoked } from '#model/trust'
import type { WorkloadResource } from '#resources/weft'
import { kindByName } from '#resources/registry'
import { openStore } from './store.ts'
import { tellWorkloadTrust } from './workload-trust.ts'

const identity = 'spiffe://weft.local/ns/default/sa/web'
const name = { group: 'weft.dev', kind: 'Workload', namespace: 'default', name: 'web-1' }
const hourMs = 3_600_000

function world() {
  const clock = new TestClock()
  const store = openStore({ path: ':memory:', now: () => clock.now() })
  store.create({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Workload',
    metadata: { name: 'web-1', namespace: 'default' },
    spec: { service: 'web', identity, ports: [] },
  })
  const now: { revoked: Revoked | undefined; certificate: { serial: string; notAfter: number } | undefined } = {
    revoked: undefined,
    certificate: undefined,
  }
  const trust = tellWorkloadTrust({
    store,
    revocationOf: (who, serial) =>
      'serial' in (now.revoked ?? {}) ? (serial === 'aa' ? now.revoked : undefined) : who === identity ? now.revoked : undefined,
    certificateOf: id => (id === 'web-1.default' ? now.certificate : undefined),
    leafLifeMs: 24 * hourMs,
    clock,
    log: silent,
  })
  const shown = (): string => {
    const column = kindByName('workload')!.columns.find(each => each.name === 'Trust')!
    return String(column.value(store.get(name)!, clock.now()))
  }
  return { clock, store, now, trust, shown, status: () => (store.get(name) as WorkloadResource).status }
}

test('a workload says how its certificate is: ok, ending while another is late, expired; and only another one is written', () => {
  const { clock, store, now, trust, shown } = world()
  trust.heard('web-1.default')
  assert.equal(shown(), '', 'nothing is known yet')
  now.certificate = { serial: 'aa', notAfter: clock.now() + 24 * hourMs }
  trust.heard('web-1.default')
  assert.equal(shown(), 'ok')
  const { revision } = store
  now.certificate = { serial: 'aa', notAfter: clock.now() + 24 * hourMs + 1400 }
  trust.heard('web-1.default')
  trust.heard('nobody.default')
  assert.equal(store.revision, revision)
  clock.advance(19 * hourMs)
  assert.equal(shown(), 'ends in 5h')
  clock.advance(6 * hourMs)
  assert.equal(shown(), 'expired 60m ago')
})

test('whoever is revoked says since when, why and by what; the moment stays when it is said again, and all goes when it is undone', () => {
  const { clock, store, now, trust, shown, status } = world()
  store.create({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Revocation',
    metadata: { name: 'stolen' },
    spec: { identities: [identity], reason: 'KeyCompromise', comment: 'on a train' },
  })
  now.revoked = { by: 'stolen', reason: 'KeyCompromise', identity: { type: 'exact', value: identity } }
  trust.tellAll()
  clock.advance(5 * 60_000)
  now.revoked = { ...now.revoked, reason: 'Superseded' }
  trust.tellAll()
  assert.equal(shown(), 'revoked 5m ago: Superseded')
  assert.deepEqual(
    status()?.conditions?.map(({ type, message }) => [type, message]),
    [['Revoked', 'its identity was revoked by Revocation stolen (Superseded): on a train']],
  )
  now.revoked = undefined
  trust.tellAll()
  assert.equal(shown(), '')
  assert.deepEqual(status()?.conditions, [])
})

test('a revoked certificate is told of whoever shows it, until it shows another', () => {
  const { clock, now, trust, shown, status } = world()
  now.revoked = { by: 'one', reason: 'Superseded', serial: 'aa' }
  now.certificate = { serial: 'aa', notAfter: clock.now() + 24 * hourMs }
  trust.heard('web-1.default')
  assert.match(shown(), /^revoked 0s ago: Superseded$/)
  assert.match(status()!.conditions![0]!.message, /^its certificate aa was revoked by Revocation one/)
  now.certificate = { serial: 'bb', notAfter: clock.now() + 24 * hourMs }
  trust.heard('web-1.default')
  assert.equal(shown(), 'ok')
})
