import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProcessFacts } from '#io/attest'
import { readDocuments } from '#resources/read'
import { tellProblem } from '#base/note'
import { TestClock } from '#base/clock'
import type { Resource } from '#resources/kind'
import { tellRegistrations } from './registration-status.ts'
import { fits, registrationsIn } from './registrations.ts'
import { openStore } from './store.ts'

const idTemplate = '/ns/{namespace}/sa/{serviceAccount}'
const facts: ProcessFacts = {
  pid: 7,
  uid: 1000,
  gid: 100,
  path: '/usr/bin/web',
  sha256: 'a'.repeat(64),
  parent: '/usr/bin/init',
  cgroup: '/system.slice/web.service',
  unknown: [],
}

test('everything that a Registration says must fit, and what could not be found out fits nothing', () => {
  const all = { uid: 1000, gid: 100, path: '/usr/bin/web', sha256: 'a'.repeat(64), parent: '/usr/bin/init', cgroup: '/system.slice' }
  assert.ok(fits(all, facts))
  for (const wrong of [
    { uid: 0 },
    { gid: 0 },
    { path: '/usr/bin/webb' },
    { sha256: 'b'.repeat(64) },
    { parent: '/bin/sh' },
    { cgroup: '/user.slice' },
  ])
    assert.ok(!fits({ ...all, ...wrong }, facts), JSON.stringify(wrong))
  const { path: _path, sha256: _sha256, parent: _parent, cgroup: _cgroup, ...known } = facts
  for (const one of [{ path: '/usr/bin/web' }, { sha256: 'a'.repeat(64) }, { parent: '/usr/bin/init' }, { cgroup: '/' }])
    assert.ok(!fits({ uid: 1000, ...one }, known), JSON.stringify(one))
})

test('a control group fits with those below it, and not with one whose name only begins so', () => {
  for (const [cgroup, expected] of [
    ['/system.slice/web.service', true],
    ['/system.slice', true],
    ['/', true],
    ['/system.slice/web', false],
    ['/system.slice/web.service/more', false],
  ] as const)
    assert.equal(fits({ cgroup }, facts), expected, cgroup)
})

test('a Registration that everybody would fit, or that says nothing or both, is refused with what to do', () => {
  const problems = (spec: string): string =>
    readDocuments(`apiVersion: weft.dev/v1alpha1\nkind: Registration\nmetadata: { name: web }\nspec: ${spec}\n`, 'web.yaml')
      .problems.map(tellProblem)
      .join('\n')
  assert.equal(problems('{ serviceAccount: web, process: { uid: 0 } }'), '')
  assert.match(problems('{ serviceAccount: web, process: {} }'), /says nothing: every process would fit/)
  assert.match(problems('{ serviceAccount: web, process: { parent: /usr/bin/weft } }'), /is not enough alone/)
  assert.match(problems('{ serviceAccount: web }'), /exactly one of process and certificate/)
  assert.match(problems('{ serviceAccount: web, process: { path: web } }'), /must be an absolute path/)
  assert.match(problems('{ serviceAccount: web, process: { sha256: ABC } }'), /64 hexadecimal digits/)
})

test('the status of a Registration says which identity it gives, or that nobody attests in that way here', () => {
  using store = openStore({ path: ':memory:' })
  const make = (name: string, spec: object): Resource => ({
    apiVersion: 'weft.dev/v1alpha1',
    kind: 'Registration',
    metadata: { name, namespace: 'shop' },
    spec,
  })
  store.create(make('before', { serviceAccount: 'web', process: { uid: 0 } }))
  const end = tellRegistrations({
    store,
    trustDomain: 'test.mesh',
    idTemplate,
    processes: true,
    certificates: false,
    clock: new TestClock(),
  })
  store.create(make('after', { serviceAccount: 'web', certificate: { spiffeId: 'spiffe://a/b' } }))
  const condition = (name: string) =>
    (
      store.get({ group: 'weft.dev', kind: 'Registration', namespace: 'shop', name })!.status as {
        conditions: { status: string; message: string }[]
      }
    ).conditions[0]!
  assert.deepEqual(
    [condition('before').status, condition('before').message],
    ['True', 'Who proves this is spiffe://test.mesh/ns/shop/sa/web'],
  )
  assert.deepEqual([condition('after').status, /without --attest-roots/.test(condition('after').message)], ['False', true])
  const revision = store.revision
  end()
  tellRegistrations({ store, trustDomain: 'test.mesh', idTemplate, processes: true, certificates: false, clock: new TestClock() })()
  assert.equal(store.revision, revision, 'what is said already is not said again')
})

test('no Registration makes anybody the control plane, in whichever form ids are, and its status says so', () => {
  for (const [template, namespace, serviceAccount] of [
    [idTemplate, 'weft-system', 'control'],
    ['/ns/{serviceAccount}/sa/{namespace}', 'control', 'weft-system'],
  ] as const) {
    using store = openStore({ path: ':memory:' })
    const certificate = { spiffeId: 'spiffe://partner.example/it' }
    const make = (name: string, account: string): Resource => ({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'Registration',
      metadata: { name, namespace },
      spec: { serviceAccount: account, certificate },
    })
    store.create(make('root', serviceAccount))
    const registrations = registrationsIn(store, { trustDomain: 'test.mesh', idTemplate: template })
    assert.throws(() => registrations.ofCertificate(certificate.spiffeId), /no Registration has the certificate/)
    store.create(make('web', 'web'))
    assert.deepEqual(
      registrations.ofCertificate(certificate.spiffeId).map(({ hint }) => hint),
      ['web'],
    )
    const attesting = { store, trustDomain: 'test.mesh', idTemplate: template, processes: true, certificates: true, clock: new TestClock() }
    tellRegistrations(attesting)()
    const told = store.get({ group: 'weft.dev', kind: 'Registration', namespace, name: 'root' })!.status as {
      conditions: { status: string; reason: string }[]
    }
    assert.deepEqual([told.conditions[0]!.status, told.conditions[0]!.reason], ['False', 'Reserved'])
  }
})
