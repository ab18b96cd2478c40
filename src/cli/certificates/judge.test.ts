import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ControlStatus, OrderedTold, ProxyStatus, TrustTold } from '#api/mesh-api'
import { judgeCertificates, orderedFinding } from './judge.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const inDays = (days: number): string => new Date(now + days * 86_400_000).toISOString()
const findings = (
  trust: Partial<TrustTold>,
  type = 'BuiltIn',
  proxies: readonly ProxyStatus[] = [],
): ReturnType<typeof judgeCertificates> =>
  judgeCertificates(
    {
      version: '1',
      startedAt: inDays(-1),
      trustDomain: 'weft.local',
      xds: { host: '', port: 1 },
      store: { path: '', revision: 1 },
      authority: { type, leafLifeSeconds: 86_400 },
      certificates: [],
      proxies,
      mtls: { strict: 0, permissive: 0, disabled: 0, plaintext: 0 },
      trust: { revocations: [], lists: [], domains: [], ...trust },
    } satisfies ControlStatus,
    now,
  )
const judged = (trust: Partial<TrustTold>, type?: string): readonly string[] =>
  findings(trust, type).map(({ use, of, verdict, remedy = '' }) => `${use} ${of} ${verdict}: ${remedy}`)
const proxy = (more: Partial<ProxyStatus>): ProxyStatus => ({
  id: 'web-1.shop',
  workload: 'web-1',
  namespace: 'shop',
  service: 'web',
  version: '1',
  state: 'synced',
  lastSeen: inDays(0),
  wanted: 1,
  active: 1,
  rejected: [],
  health: 'healthy',
  identity: 'spiffe://weft.local/ns/shop/sa/web',
  ...more,
})

test('a renewal that fails is told with the day from which it is dangerous, and is something to do from then on', () => {
  const told = (more: Partial<OrderedTold>): string => {
    const { verdict, remedy = '' } = orderedFinding({ secret: 'shop/tls', issuer: 'shop/letsencrypt', ...more }, now)
    return `${verdict}: ${remedy}`
  }
  const fails = { problem: 'dns: no such name', triesAt: inDays(0.1) }
  const until = (days: number) => ({ notAfter: inDays(days), dangerFrom: inDays(days - 7) })
  assert.equal(told({}), 'ordered: ')
  assert.equal(told(until(29)), 'ok: ')
  assert.match(
    told(fails),
    /^is not there: dns: no such name; it is tried again at \S+: see weft describe certificateissuer letsencrypt -n shop$/,
  )
  assert.equal(told({ ...until(29), ...fails }), `renewal fails, dangerous from ${inDays(22)}: `)
  assert.match(told({ ...until(6), ...fails }), /^ends soon, and is not renewed: dns: no such name/)
  assert.match(told(until(6)), /^ends soon, and is not renewed: the order is under way/)
  assert.match(told({ ...until(-1), ...fails }), /^expired: callers refuse it\. dns: no such name/)
})

test('a revocation list is told of when it names somebody or has ended, and then with what that means', () => {
  const list = { issuer: 'CN=company', thisUpdate: inDays(-3), entries: 0 }
  assert.deepEqual(judged({ lists: [{ ...list, nextUpdate: inDays(1) }, list] }), [])
  assert.deepEqual(judged({ lists: [{ ...list, nextUpdate: inDays(1), entries: 2 }] }), ['list CN=company ok: '])
  assert.match(
    judged({ lists: [{ ...list, nextUpdate: inDays(-1) }] })[0]!,
    /^list CN=company expired: .*the log of the control plane says why/,
  )
  assert.match(
    judged({ lists: [{ ...list, nextUpdate: inDays(-1) }] }, 'Vault')[0]!,
    /whom it names stays revoked, and nobody else; .*publish a newer one/,
  )
})

test('each root of another trust domain has its day, and a bundle that is not fetched its reason', () => {
  const domain = { name: 'partner', trustDomain: 'partner.test' }
  const root = (days: number) => ({ subject: 'CN=root', sha256: 'ab', notAfter: inDays(days) })
  assert.deepEqual(judged({ domains: [{ ...domain, roots: [root(400)] }] }), ['bundle partner.test ok: '])
  assert.match(
    judged({ domains: [{ ...domain, roots: [root(10)] }] })[0]!,
    /expires soon: ask who runs it for the new one, and put it into spec\.bundle/,
  )
  assert.match(
    judged({ domains: [{ ...domain, url: 'https://x/', roots: [root(-1)] }] })[0]!,
    /expired: nobody of partner\.test is believed by it/,
  )
  const failing = 'https://x/ does not answer'
  assert.match(
    judged({ domains: [{ ...domain, failing, roots: [root(400)] }] })[0]!,
    /is not fetched: .*does not answer; the last good one stays in use/,
  )
  assert.match(judged({ domains: [{ ...domain, failing, roots: [] }] })[0]!, /is not there: .*nobody of it is believed/)
})

test('the certificate of a proxy has its serial, and its day in whole seconds', () => {
  const certificate = { notAfter: '2026-06-01T23:59:59.421Z', serial: '4f2a' }
  assert.deepEqual(findings({}, 'BuiltIn', [proxy({ certificate })]), [
    { of: 'web-1.shop', use: 'proxy', notAfter: '2026-06-01T23:59:59Z', serial: '4f2a', verdict: 'ok' },
  ])
})

test('that a proxy is revoked is its verdict, also once its certificate has expired, and nothing to mend', () => {
  const certificate = { notAfter: inDays(-1), serial: '4f2a' }
  const [found] = findings({}, 'BuiltIn', [proxy({ certificate, state: 'disconnected', revoked: 'it was' })])
  assert.deepEqual([found?.verdict, found?.remedy], ['revoked', undefined])
})

test('a bundle that was never there has no day', () => {
  const [found] = findings({ domains: [{ name: 'partner', trustDomain: 'partner.test', failing: 'x', roots: [] }] })
  assert.deepEqual([found?.verdict, found?.notAfter], ['is not there', undefined])
})
