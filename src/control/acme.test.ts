import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { TestClock } from '#base/clock'
import { silent } from '#base/log'
import type { OrderedCertificate } from '#compiler'
import { newKey } from '#identity/key'
import { temporaryFolder } from '#io/files'
import type { Resource } from '#resources/kind'
import { AcmeServer, origin, refusal } from '../../test/harness/acme-server.ts'
import { CertificateOrders } from './acme.ts'
import { keysOfAccounts } from './acme/accounts.ts'
import type { Compilation } from './compile-loop.ts'
import { openStore, type Store } from './store.ts'

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const skip = hasOpenssl ? false : 'openssl is not installed'

const secret = 'default/tls'
const wanted: readonly OrderedCertificate[] = [{ issuer: 'default/ca', secret, hosts: [{ host: 'a.example', gateway: 'default/edge' }] }]
const secretOf = (store: Store) =>
  store.get({ group: '', kind: 'Secret', namespace: 'default', name: 'tls' }) as
    | (Resource & { readonly data: Readonly<Record<string, string>> })
    | undefined
const dayMs = 86_400_000

/** Orders in a control plane of which the rest is played: it compiles at once, and its proxies take all. */
class Stage implements Disposable {
  readonly clock = new TestClock(Date.now())
  readonly server = new AcmeServer()
  readonly store = openStore({ path: ':memory:' })
  readonly key = newKey()
  hasProxy = true
  /** Whether the proxies had a challenge when the server asked for it. */
  isSettled = true
  orders: CertificateOrders | undefined
  #told = new Set<(compilation: Compilation) => void>()
  #ordered = wanted

  constructor() {
    this.store.create({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'CertificateIssuer',
      metadata: { name: 'ca', namespace: 'default' },
      spec: { server: `${origin}/directory`, agreesToTerms: true },
    })
    this.store.onCommit(() => this.compile())
  }

  begin(): void {
    const { clock, store, server } = this
    this.orders = new CertificateOrders({
      store,
      loop: {
        current: this.#compilation(),
        onCompiled: told => {
          this.#told.add(told)
          return () => void this.#told.delete(told)
        },
      },
      accountKey: () => this.key,
      fetchWith: () => server.fetch,
      areSettled: () => (this.hasProxy ? this.isSettled : undefined),
      clock,
      log: silent,
      onChange: () => setImmediate(() => this.compile()),
    })
  }

  compile(ordered = this.#ordered): void {
    this.#ordered = ordered
    for (const { token, answer } of this.orders?.challenges() ?? []) this.server.shown.set(token, answer)
    for (const told of this.#told) told(this.#compilation())
  }

  #compilation(): Compilation {
    const routes = (this.orders?.challenges() ?? []).map(({ token }) => token)
    return { revision: 1, notes: [], ordered: this.#ordered, mesh: { gateways: { 'default/edge': { routes } } } as never }
  }

  /** Time passes in small steps, as far as the rest keeps up. */
  async until(what: string, isTrue: () => boolean, stepMs = 200): Promise<void> {
    for (let turn = 0; !isTrue(); turn++) {
      assert.ok(turn < 2000, `there was never: ${what}; ${JSON.stringify(this.orders?.known())}`)
      await new Promise(resolve => setTimeout(resolve, 2))
      this.clock.advance(stepMs)
    }
  }

  [Symbol.dispose](): void {
    this.orders?.close()
    this.store.close()
  }
}

describe('orders of certificates', { skip }, () => {
  test('fill the Secret, are not repeated by a control plane that starts again, and are renewed at two thirds of the life', async () => {
    using stage = new Stage()
    stage.begin()
    await stage.until('a Secret', () => secretOf(stage.store) !== undefined)
    const first = secretOf(stage.store)!
    assert.equal(first.metadata.annotations?.['weft.dev/certificate-issuer'], 'ca')
    assert.match(Buffer.from(first.data['tls.crt']!, 'base64').toString(), /BEGIN CERTIFICATE/)
    assert.deepEqual(stage.orders!.challenges(), [])
    stage.orders!.close()
    stage.begin()
    assert.ok(stage.orders!.known()[secret]!.renewsAt !== undefined)
    const asked = stage.server.asked.length
    // It is good for two days.
    stage.clock.advance(1.3 * dayMs)
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(stage.server.asked.length, asked)
    await stage.until('another', () => secretOf(stage.store)!.data['tls.crt'] !== first.data['tls.crt'], dayMs / 100)
    assert.notEqual(secretOf(stage.store)!.data['tls.key'], first.data['tls.key'])
  })

  test('ask the server for nothing while no proxy could answer, nor for the challenge before all have taken it', async () => {
    using stage = new Stage()
    stage.hasProxy = false
    stage.begin()
    await stage.until('a reason', () => stage.orders!.known()[secret]?.problem !== undefined)
    assert.match(stage.orders!.known()[secret]!.problem!, /no proxy carries out Gateway default\/edge.*: weft gateway --name edge/)
    assert.equal(stage.server.asked.length, 0)
    stage.hasProxy = true
    stage.isSettled = false
    await stage.until('a challenge', () => stage.orders!.challenges().length > 0)
    for (let turn = 0; turn < 20; turn++) {
      await new Promise(resolve => setTimeout(resolve, 2))
      stage.clock.advance(100)
    }
    assert.ok(!stage.server.asked.some(each => each.includes('/challenge/')))
    stage.isSettled = true
    await stage.until('a Secret', () => secretOf(stage.store) !== undefined)
  })

  test('wait after a failure, longer where the server says so, begin at once when something changes, and keep what there is', async () => {
    using stage = new Stage()
    let times = 0
    stage.server.lie = ({ path }) => {
      if (path !== '/order') return undefined
      times++
      return refusal('rateLimited', 'slowly', { 'retry-after': '7200' }, 429)
    }
    stage.begin()
    await stage.until('a reason', () => stage.orders!.known()[secret]?.problem !== undefined)
    const { problem, triesAt } = stage.orders!.known()[secret]!
    assert.match(problem!, /rateLimited: slowly/)
    assert.ok(Date.parse(triesAt!) >= stage.clock.now() + 7_190_000)
    stage.clock.advance(7_000_000)
    await new Promise(resolve => setTimeout(resolve, 20))
    assert.equal(times, 1)
    stage.compile([{ ...wanted[0]!, hosts: [...wanted[0]!.hosts, { host: 'b.example', gateway: 'default/edge' }] }])
    await stage.until('another try', () => times === 2)
    stage.server.lie = () => undefined
    await stage.until('a Secret', () => secretOf(stage.store) !== undefined, 10_000)
    assert.equal(stage.orders!.known()[secret]!.problem, undefined)
  })

  test('keep the last good certificate while renewals fail, say from when on that is dangerous, and renew as soon as they can', async () => {
    using stage = new Stage()
    stage.begin()
    await stage.until('a Secret', () => secretOf(stage.store) !== undefined)
    const first = secretOf(stage.store)!
    const { notAfter, renewsAt, dangerFrom } = stage.orders!.told()[0]!
    assert.deepEqual(
      [notAfter!, renewsAt!, dangerFrom!].map(time => Math.round((Date.parse(notAfter!) - Date.parse(time)) / 3_600_000)),
      [0, 16, 8],
      'of two days, in hours before the end',
    )
    stage.server.lie = ({ path }) => (path === '/order' ? refusal('serverInternal', 'out of order', {}, 500) : undefined)
    const isPast = (time: string): boolean => stage.clock.now() > Date.parse(time)
    const hasReason = (): boolean => /out of order/.test(stage.orders!.told()[0]?.problem ?? '')
    await stage.until('the danger', () => isPast(dangerFrom!) && hasReason(), dayMs / 50)
    stage.orders!.close()
    stage.begin()
    await stage.until('a reason after a restart', hasReason, dayMs / 500)
    assert.equal(secretOf(stage.store)!.metadata.resourceVersion, first.metadata.resourceVersion)
    assert.equal(stage.orders!.told()[0]!.notAfter, notAfter)
    const out = stage.server.lie
    stage.server.lie = () => undefined
    await stage.until('another', () => secretOf(stage.store)!.data['tls.crt'] !== first.data['tls.crt'], dayMs / 500)
    await stage.until('it told', () => stage.orders!.told()[0]!.problem === undefined)

    // Past its end too what is there stays, and is said to have ended.
    const second = secretOf(stage.store)!.metadata.resourceVersion
    const last = stage.orders!.told()[0]!.notAfter!
    stage.server.lie = out
    await stage.until('its end', () => isPast(last) && hasReason(), dayMs / 50)
    assert.equal(secretOf(stage.store)!.metadata.resourceVersion, second)
    assert.equal(stage.orders!.told()[0]!.notAfter, last)
  })

  test('end when they are wanted no longer, and never write over a Secret of somebody else', async () => {
    using stage = new Stage()
    const own = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tls', namespace: 'default' }, type: 'Opaque', data: { mine: '' } }
    stage.server.lie = ({ path }) => {
      if (path === '/finalize' && secretOf(stage.store) === undefined) stage.store.create(own as Resource)
      return undefined
    }
    stage.begin()
    await stage.until('a Secret of somebody else', () => secretOf(stage.store) !== undefined)
    await stage.until('a reason', () => stage.orders!.known()[secret]?.problem !== undefined)
    assert.match(stage.orders!.known()[secret]!.problem!, /was written by somebody else meanwhile, and is left alone/)
    assert.deepEqual(secretOf(stage.store)!.data, { mine: '' })
    stage.compile([])
    assert.deepEqual(stage.orders!.known(), {})
  })
})

test('the key of an account is kept, encrypted where there is a passphrase, one for each issuer', async () => {
  await using folder = await temporaryFolder()
  const keeping = { folder: folder.path, passphrase: 'a passphrase', log: silent }
  const key = await keysOfAccounts(keeping)('default/ca')
  assert.match(readFileSync(`${folder.path}/default%2Fca.pem`, 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/)
  const again = keysOfAccounts(keeping)
  assert.equal((await again('default/ca')).pem, key.pem)
  assert.notEqual((await again('other/ca')).pem, key.pem)
  await assert.rejects(keysOfAccounts({ ...keeping, passphrase: 'another' })('default/ca'), /cannot be decrypted with this passphrase/)
})
