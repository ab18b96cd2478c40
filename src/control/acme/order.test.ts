import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { TestClock } from '#base/clock'
import { leafOf } from '#identity/acme'
import { newKey } from '#identity/key'
import { makeHostCsr } from '#identity/csr'
import { AcmeServer, origin, refusal, signed, tokenOf } from '../../../test/harness/acme-server.ts'
import { orderCertificate, type Ordering } from './order.ts'
import type { AcmeProblem } from './speak.ts'

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
const skip = hasOpenssl ? false : 'openssl is not installed'

async function ordering(server: AcmeServer, more: Partial<Ordering> = {}): Promise<Ordering & { readonly waited: number[] }> {
  const clock = new TestClock(Date.now())
  const waited: number[] = []
  return {
    server: `${origin}/directory`,
    fetch: server.fetch,
    key: await newKey(),
    certificateKey: await newKey(),
    account: { agreesToTerms: true },
    names: ['a.example', 'b.example'],
    show: async challenges => {
      for (const { token, answer } of challenges) server.shown.set(token, answer)
    },
    wait: async ms => {
      waited.push(ms)
      clock.advance(ms)
    },
    now: () => clock.now(),
    signal: new AbortController().signal,
    waited,
    ...more,
  }
}

async function problemOf(ask: Promise<unknown>): Promise<AcmeProblem> {
  try {
    await ask
  } catch (thrown) {
    return thrown as AcmeProblem
  }
  throw new assert.AssertionError({ message: 'it was not refused' })
}

describe('the ACME client', { skip }, () => {
  test('proves each host, sends a request that OpenSSL can read, and gets the chain', async () => {
    const server = new AcmeServer()
    const chain = await orderCertificate(await ordering(server))
    assert.deepEqual(leafOf(chain).names, ['a.example', 'b.example'])
    assert.deepEqual([...server.shown.keys()], ['a.example', 'b.example'].map(tokenOf))
  })

  test('asks again with another nonce when the server takes none of the last', async () => {
    const server = new AcmeServer()
    let times = 0
    server.lie = ({ path }) => (path === '/order' && times++ < 3 ? refusal('badNonce', 'too old') : undefined)
    await orderCertificate(await ordering(server))
    assert.equal(times, 4)
    const always = new AcmeServer()
    always.lie = ({ path }) => (path === '/order' ? refusal('badNonce', 'too old') : undefined)
    assert.match((await problemOf(orderCertificate(await ordering(always)))).message, /badNonce: too old/)
    assert.equal(always.asked.filter(each => each === 'POST /order').length, 5)
  })

  test('binds the account to the one that the server knows', async () => {
    const server = new AcmeServer()
    server.meta = { externalAccountRequired: true }
    server.hmac = crypto.getRandomValues(new Uint8Array(32))
    const missing = await problemOf(orderCertificate(await ordering(server)))
    assert.match(missing.message, /externalAccountRequired — give spec\.externalAccount/)
    await orderCertificate(await ordering(server, { account: { agreesToTerms: false, external: { keyId: 'given', hmac: server.hmac } } }))
    assert.ok(server.bound)
  })

  test('agrees to no terms of service by itself, and says where they are', async () => {
    const server = new AcmeServer()
    server.meta = { termsOfService: 'https://acme.test/terms' }
    const refused = await problemOf(orderCertificate(await ordering(server, { account: { agreesToTerms: false } })))
    assert.match(refused.message, /read https:\/\/acme\.test\/terms and set spec\.agreesToTerms: true/)
    assert.ok(!server.asked.includes('POST /account'))
    await orderCertificate(await ordering(server))
  })

  test('honours Retry-After while the server decides, and tells how long a rate limit holds', async () => {
    const server = new AcmeServer()
    let times = 0
    server.lie = ({ path }) =>
      path === '/authz/a.example' && server.shown.size > 0 && times++ < 2
        ? {
            status: 200,
            headers: { 'retry-after': '7' },
            body: { status: 'pending', identifier: { type: 'dns', value: 'a.example' }, challenges: [] },
          }
        : undefined
    const asking = await ordering(server)
    await orderCertificate(asking)
    assert.deepEqual(asking.waited.slice(0, 2), [7000, 7000])
    const limited = new AcmeServer()
    limited.lie = ({ path }) =>
      path === '/order' ? refusal('rateLimited', 'too many certificates for a.example', { 'retry-after': '3600' }, 429) : undefined
    const refused = await problemOf(orderCertificate(await ordering(limited)))
    assert.equal(refused.retryMs, 3_600_000)
    assert.match(refused.message, /answers 429: rateLimited: too many certificates for a\.example — too many orders/)
  })

  test('tells why a challenge failed in the words of the server, and what to do', async () => {
    const server = new AcmeServer()
    server.lie = ({ path }) =>
      path.startsWith('/authz/') && server.shown.size > 0
        ? {
            status: 200,
            body: {
              status: 'invalid',
              identifier: { type: 'dns', value: 'a.example' },
              challenges: [{ type: 'http-01', status: 'invalid', error: refusal('dns', 'NXDOMAIN looking up A for a.example').body }],
            },
          }
        : undefined
    const refused = await problemOf(orderCertificate(await ordering(server)))
    assert.equal(refused.type, 'dns')
    assert.match(refused.message, /authorization of a\.example is invalid: dns: NXDOMAIN looking up A for a\.example — the name must lead/)
  })

  test('gives up on a server that never decides', async () => {
    const server = new AcmeServer()
    server.lie = ({ path }) => (path === '/order/1' ? { status: 200, body: { status: 'processing' } } : undefined)
    const asking = await ordering(server)
    assert.match((await problemOf(orderCertificate(asking))).message, /leaves the order processing and does not decide/)
    assert.ok(asking.waited.reduce((sum, each) => sum + each, 0) <= 300_000)
  })

  test('refuses a certificate for other hosts, for another key, that has ended, or that is none', async () => {
    const more = new AcmeServer()
    more.names = ['a.example', 'b.example', 'evil.example']
    assert.match(
      (await problemOf(orderCertificate(await ordering(more)))).message,
      /is for a\.example, b\.example, evil\.example and not for/,
    )
    const foreign = new AcmeServer()
    const csr = Buffer.from(makeHostCsr(await newKey(), ['a.example'])).toString('base64url')
    const chain = signed(csr, ['a.example', 'b.example'])
    foreign.lie = ({ path }) => (path === '/certificate' ? { status: 200, text: chain } : undefined)
    assert.match((await problemOf(orderCertificate(await ordering(foreign)))).message, /is for another key/)
    const none = new AcmeServer()
    none.lie = ({ path }) => (path === '/certificate' ? { status: 200, text: '<html>' } : undefined)
    assert.match((await problemOf(orderCertificate(await ordering(none)))).message, /holds no certificate in PEM/)
    const late = new AcmeServer()
    const ended = await ordering(late, { now: () => Date.now() + 100 * 86_400_000 })
    assert.match((await problemOf(orderCertificate(ended))).message, /ended at/)
  })

  test('takes no answer that is too large, no token that is a path, and no address without TLS', async () => {
    const large = new AcmeServer()
    large.lie = ({ path }) => (path === '/directory' ? { status: 200, text: 'x'.repeat(300_000) } : undefined)
    assert.match((await problemOf(orderCertificate(await ordering(large)))).message, /its answer is larger than 262144 bytes/)
    const path = new AcmeServer()
    path.lie = asked =>
      asked.path.startsWith('/authz/')
        ? {
            status: 200,
            body: {
              status: 'pending',
              identifier: { type: 'dns', value: 'a.example' },
              challenges: [{ type: 'http-01', url: `${origin}/c`, token: '../../admin' }],
            },
          }
        : undefined
    assert.match((await problemOf(orderCertificate(await ordering(path)))).message, /token of the challenge is not base64url/)
    assert.equal(path.shown.size, 0)
    const plain = new AcmeServer()
    plain.lie = asked =>
      asked.path === '/directory'
        ? { status: 200, body: { newNonce: 'http://169.254.169.254/', newAccount: `${origin}/account`, newOrder: `${origin}/order` } }
        : undefined
    assert.match((await problemOf(orderCertificate(await ordering(plain)))).message, /"newNonce" of its directory is no https:/)
    assert.deepEqual(plain.asked, ['GET /directory'])
  })

  test('answers that are garbage end the order with a sentence, whichever they are', async () => {
    for (const at of ['/directory', '/account', '/order', '/order/1', '/authz/a.example', '/finalize'])
      for (const text of ['', 'null', '[]', '"x"', '{"status":{}}', '{"challenges":[null,7],"authorizations":7}']) {
        const server = new AcmeServer()
        server.lie = ({ path }) => (path === at ? { status: 200, text } : undefined)
        const done = await orderCertificate(await ordering(server)).then(
          () => undefined,
          (thrown: Error) => thrown,
        )
        // What /finalize answers is not needed.
        if (at !== '/finalize') assert.equal(done?.constructor.name, 'AcmeProblem', `${at} ${text}: ${done?.stack}`)
      }
  })

  test('stops when it is wanted no longer', async () => {
    const server = new AcmeServer()
    const stop = new AbortController()
    stop.abort(new Error('no longer wanted'))
    await assert.rejects(
      orderCertificate(
        await ordering(server, {
          signal: stop.signal,
          fetch: async (_, init) => {
            init!.signal!.throwIfAborted()
            return new Response()
          },
        }),
      ),
      /no longer wanted/,
    )
  })
})
