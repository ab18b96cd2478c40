/** Users, sessions, limits and the gate by their own, with a clock that stands. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { mayDo, readGrant, tellGrant } from '#api/rights'
import type { HttpRequest } from '#io/http-server'
import { kinds } from '#resources/registry'
import { catalogOf } from '../api/catalog.ts'
import { noOperators, type OperatorsSettings } from '#resources/operators-file'
import { Identify } from './identify.ts'
import { CallerLimits } from './limits.ts'
import type { Principal } from './principal.ts'
import { neededFor } from './rights.ts'
import { cookieOf, type Proof, Sessions, setCookie } from './sessions.ts'
import { openUsers } from './users.ts'

const clockAt = (now: number) => {
  const clock = { at: now, now: () => clock.at, after: () => () => {} }
  return clock
}

test('a role holds where it was given, and a role of the whole mesh everywhere', () => {
  const cases: readonly (readonly [grants: string, right: 'read' | 'edit' | 'administer', namespace: string | undefined, may: boolean])[] =
    [
      ['viewer', 'read', 'shop', true],
      ['viewer', 'edit', 'shop', false],
      ['viewer:shop', 'read', 'shop', true],
      ['viewer:shop', 'read', 'bank', false],
      ['viewer:shop', 'read', undefined, false],
      ['viewer:shop', 'read', '', false],
      ['editor:shop', 'edit', 'shop', true],
      ['editor:shop', 'administer', 'shop', false],
      ['editor', 'edit', undefined, true],
      ['editor', 'administer', undefined, false],
      ['admin:shop', 'administer', 'shop', true],
      ['admin:shop', 'administer', undefined, false],
      ['admin', 'administer', undefined, true],
    ]
  for (const [text, right, namespace, may] of cases) {
    const grant = readGrant(text)
    assert.ok(typeof grant !== 'string', text)
    assert.equal(tellGrant(grant), text)
    assert.equal(mayDo([grant], right, namespace), may, `${text} ${right} ${namespace}`)
  }
  assert.equal(mayDo([], 'read', 'shop'), false)
  for (const text of ['owner', 'viewer:', 'viewer:Shop', 'viewer:a,,b', 'admin:*', '']) assert.equal(typeof readGrant(text), 'string', text)
})

test('a user is found by the token until it expires, and is then no longer in the way', () => {
  const clock = clockAt(1_000_000)
  using users = openUsers({ path: ':memory:', clock })
  const { token } = users.create({ name: 'ada', grants: [{ role: 'viewer', namespaces: ['shop'] }], lifeMs: 60_000, madeBy: 'me' })
  assert.match(token, /^weft_[\w-]{43}$/)
  assert.deepEqual(users.find(token)?.grants, [{ role: 'viewer', namespaces: ['shop'] }])
  assert.equal(users.find(`${token}x`), undefined)
  assert.equal(users.find(token.slice(5)), undefined)
  assert.throws(() => users.create({ name: 'ada', grants: [], madeBy: 'me' }), /there is a user "ada"/)
  clock.at += 60_000
  assert.equal(users.find(token), undefined)
  assert.equal(users.named('ada'), undefined)
  const other = users.create({ name: 'ada', grants: [{ role: 'admin' }], madeBy: 'me' })
  const found = users.find(other.token)!
  assert.equal(users.find(token), undefined)
  assert.equal(found.ended?.aborted, false)
  users.revoke('ada')
  assert.equal(found.ended?.aborted, true)
  assert.equal(users.find(other.token), undefined)
})

const ada: Proof = { how: 'token', hash: 'of-ada' }
const bob: Proof = { how: 'oidc', provider: 'p', name: 'bob', groups: ['ops'] }

test('a session ends with its time, with its proof, or when it is ended', () => {
  let now = 0
  let isAda = true
  using sessions = new Sessions({
    path: ':memory:',
    whoIs: proof => (proof.how === 'oidc' ? proof.name : isAda ? 'ada' : undefined),
    now: () => now,
  })
  const [first, second, third] = [sessions.begin(ada, 1000), sessions.begin(bob), sessions.begin(ada)]
  assert.equal(sessions.find(first.value)?.who, 'ada')
  now = 1000
  assert.equal(sessions.find(first.value), undefined)
  sessions.end(second.value)
  assert.equal(sessions.find(second.value), undefined)
  isAda = false
  assert.equal(sessions.find(third.value), undefined)
  isAda = true
  assert.equal(sessions.find(third.value), undefined, 'what is over stays over')
  now = 13 * 3_600_000
  assert.equal(sessions.find(sessions.begin(ada, 1).value), undefined)
})

test('sessions outlive a restart, their cookies stand in no file, and what ended or expired before does not come back', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-sessions-'))
  try {
    const path = join(folder, 'sessions.db')
    let now = 0
    const whoIs = (proof: Proof) => (proof.how === 'oidc' ? `${proof.name} of ${proof.groups.join()}` : proof.hash)
    const open = () => new Sessions({ path, whoIs, now: () => now })
    const first = open()
    const [lasting, ended, short, oidc] = [first.begin(ada), first.begin(ada), first.begin(ada, 1000), first.begin(bob)]
    first.end(ended.value)
    first[Symbol.dispose]()
    const kept = readdirSync(folder)
      .map(name => readFileSync(join(folder, name), 'latin1'))
      .join('')
    for (const { value } of [lasting, ended, short, oidc]) assert.ok(!kept.includes(value))
    now = 1000
    using again = open()
    assert.deepEqual(
      [lasting, ended, short, oidc].map(({ value }) => again.find(value)?.who),
      ['of-ada', undefined, undefined, 'bob of ops'],
    )
    assert.equal(again.find(oidc.value)!.until, oidc.until)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test("who begins session after session ends the oldest of his own, and nobody else's", () => {
  using sessions = new Sessions({ path: ':memory:', whoIs: () => 'somebody', now: () => 0 })
  const other = sessions.begin(bob)
  const own = Array.from({ length: 60 }, () => sessions.begin(ada).value)
  assert.deepEqual(
    own.map(value => sessions.find(value) !== undefined),
    own.map((_, at) => at >= 10),
  )
  assert.ok(sessions.find(other.value))
})

test('of whom a provider named is remembered what the settings say now, and nobody without a role, or named by another', () => {
  const oidc = { name: 'one', issuer: 'https://one.test', clientId: 'weft', userClaim: 'sub', groupsClaim: 'groups', scopes: [] }
  let settings: OperatorsSettings = { ...noOperators, oidc, grants: [{ role: 'viewer', oidcGroup: 'ops' }] }
  using users = openUsers({ path: ':memory:', clock: clockAt(0) })
  const identify = new Identify({
    isRequired: true,
    users,
    sessions: new Sessions<Principal>({ path: ':memory:', whoIs: () => undefined, now: () => 0 }),
    settings: () => settings,
    settled: () => new AbortController().signal,
    signIn: () => undefined,
    identifyMember: () => ({ refused: 'nobody' }),
    now: () => 0,
  })
  const proof = identify.proofOf(identify.named('oidc', 'ann', ['ops']), undefined)
  assert.deepEqual(identify.remembered(proof)?.grants, [{ role: 'viewer' }])
  settings = { ...settings, grants: [{ role: 'admin', oidcUser: 'ann' }] }
  assert.deepEqual(identify.remembered(proof)?.grants, [{ role: 'admin' }])
  const kept = settings
  settings = { ...kept, grants: [] }
  assert.equal(identify.remembered(proof), undefined)
  for (const other of [{ issuer: 'https://two.test' }, { clientId: 'other' }, { userClaim: 'email' }]) {
    settings = { ...kept, oidc: { ...oidc, ...other } }
    assert.equal(identify.remembered(proof), undefined, JSON.stringify(other))
  }

  const { token } = users.create({ name: 'ada', grants: [{ role: 'editor' }], madeBy: 'me' })
  const byToken = identify.proofOf(users.find(token)!, token)
  assert.equal(identify.remembered(byToken)?.name, 'ada')
  users.revoke('ada')
  users.create({ name: 'ada', grants: [{ role: 'editor' }], madeBy: 'me' })
  assert.equal(identify.remembered(byToken), undefined, 'another user of the same name')
})

test('a cookie is found by its whole name among others, as it was set', () => {
  const line = setCookie('weft-session', 'abc', { isSecure: true, lifeMs: 1500 })
  assert.equal(line, 'weft-session=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=1; Secure')
  const request = { headers: { cookie: 'x-weft-session=no; a=b;weft-session=abc; weft-session=later' } } as unknown as HttpRequest
  assert.equal(cookieOf(request, 'weft-session'), 'abc')
  assert.equal(cookieOf(request, 'session'), undefined)
  assert.equal(cookieOf({ headers: {} }, 'weft-session'), undefined)
})

test('each caller has an allowance of its own, and is told when to come again', () => {
  let now = 0
  const limits = new CallerLimits(
    () => ({ requestsPerSecond: 2, burst: 3, watches: 1 }),
    () => now,
  )
  for (let n = 0; n < 3; n++) limits.request('token ada')
  assert.throws(() => limits.request('token ada'), {
    code: 429,
    message: /more than 2 requests a second from one caller: try again in 1 s/,
  })
  limits.request('token bob')
  now = 500
  limits.request('token ada')
  assert.throws(() => limits.request('token ada'), { code: 429 })

  const end = limits.watch('token ada')
  assert.throws(() => limits.watch('token ada'), { code: 429, message: /1 watches of one caller are open/ })
  limits.watch('token bob')()
  end()
  end()
  limits.watch('token ada')()

  for (let n = 0; n < 20; n++) limits.failure('10.0.0.1')
  assert.throws(() => limits.failure('10.0.0.1'), { code: 429, message: /too many logins that failed from this address/ })
  limits.failure('10.0.0.2')
})

test('what a request needs, by method, path and query', async () => {
  const catalog = catalogOf(kinds)
  const extra = [{ method: 'GET' as const, path: '/weft/v1/series', handle: () => ({ status: 200 }) }]
  const routes = '/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes'
  const cases: readonly (readonly [line: string, right: string | undefined, namespace?: string])[] = [
    [`GET ${routes}`, 'read', 'shop'],
    [`HEAD ${routes}/a`, 'read', 'shop'],
    [`GET ${routes}?watch=1`, 'read', 'shop'],
    [`POST ${routes}`, 'edit', 'shop'],
    [`PUT ${routes}/a`, 'edit', 'shop'],
    [`PATCH ${routes}/a/status`, 'administer', 'shop'],
    [`GET ${routes}/a/status`, 'read', 'shop'],
    [`DELETE ${routes}`, 'edit', 'shop'],
    [`DELETE ${routes.replace('/namespaces/shop', '')}`, 'edit'],
    [`GET ${routes.replace('shop', 's%68op')}`, 'read', 'shop'],
    [`GET //${routes.slice(1)}`, 'open'],
    [`POST //${routes.slice(1)}`, 'known'],
    [`GET ${routes.replaceAll('/', '//').slice(1)}`, 'read', 'shop'],
    ['GET /api/v1/secrets', 'read'],
    ['GET /api/v1/namespaces', 'read'],
    ['GET /api/v1/namespaces/shop', 'read', 'shop'],
    ['PUT /api/v1/namespaces/shop', 'administer'],
    ['POST /api/v1/namespaces', 'administer'],
    ['DELETE /api/v1/namespaces/shop', 'administer'],
    ['GET /apis/gateway.networking.k8s.io/v1/gatewayclasses', 'read'],
    ['POST /apis/gateway.networking.k8s.io/v1/gatewayclasses', 'edit'],
    ['BREW /api/v1/namespaces/shop/services', 'known'],
    ['GET /api/v1/nothing', 'known'],
    ['GET /apis', 'known'],
    ['GET /openapi/v3', 'known'],
    ['GET /weft/v1/series?service=cart.shop', 'read', 'shop'],
    ['GET /weft/v1/series?service=cart.bank&service=cart.shop', 'read', 'bank'],
    ['GET /weft/v1/series', 'read'],
    ['POST /weft/v1/series', 'known'],
    ['GET /weft/v1/no-such-route', 'known'],
    ['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', 'known'],
    ['POST /apis/authorization.k8s.io/v1/subjectaccessreviews', 'administer'],
    ['GET /healthz', 'open'],
    ['GET /assets/index.js', 'open'],
    ['POST /assets/index.js', 'known'],
  ]
  for (const [line, right, namespace] of cases) {
    const [method = '', url = ''] = line.split(' ')
    const [path = '', query = ''] = url.split('?')
    const needed = neededFor({ method, path, query: new URLSearchParams(query) } as unknown as HttpRequest, { catalog, extra })
    assert.deepEqual([needed?.right, await needed?.namespace?.()], [right, namespace], line)
  }
})
