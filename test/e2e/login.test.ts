/** Logins at a Gateway: browsers, programs and thieves before a provider of OpenID Connect that a test can make lie. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { active } from '../harness/front.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'
import { type Answer, Browser } from './login/browser.ts'
import { HandmadeProvider } from './login/handmade-provider.ts'

const verdict = await canCapture()

const weft = { group: 'weft.dev', version: 'v1alpha1', namespaced: true }
const paths: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  Secret: { ...kinds.service, plural: 'secrets' },
  ConfigMap: { ...kinds.service, plural: 'configmaps' },
  LoginPolicy: { ...weft, plural: 'loginpolicies' },
  JWTPolicy: { ...weft, plural: 'jwtpolicies' },
  AccessPolicy: { ...weft, plural: 'accesspolicies' },
}

/** Says who it is and what came. */
const echo = `require('node:http').createServer((q, s) =>
  s.setHeader('content-type', 'application/json').end(JSON.stringify({ name: process.env.NAME, path: q.url, headers: q.headers })))
  .on('upgrade', (_, socket) => socket.on('error', () => {}).write('HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: websocket\\r\\n\\r\\n')).listen(8080)`
type Echo = { readonly name: string; readonly path: string; readonly headers: Readonly<Record<string, string>> }

const host = 'shop.example.org'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('a login at a Gateway', { skip: verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`, timeout: 180_000 }, () => {
  let mesh: Mesh
  let gateway: Running
  let port = 0
  const provider = new HandmadeProvider()

  const apply = async (kind: string, name: string, more: object, apiVersion = 'weft.dev/v1alpha1'): Promise<void> => {
    const resource = { apiVersion, kind, metadata: { name, namespace: 'default' }, ...more } as unknown as Resource
    const { resource: written } = await mesh.client.apply(paths[kind]!, resource, { force: true })
    await active(mesh, Number(written.metadata.resourceVersion))
  }
  const route = (name: string, rules: readonly object[]) =>
    apply('HTTPRoute', name, { spec: { parentRefs: [{ name: 'edge' }], hostnames: [host], rules } }, 'gateway.networking.k8s.io/v1')
  const to = (name: string) => ({ backendRefs: [{ name, port: 8080 }] })
  const spec = () => ({
    targetRefs: [{ kind: 'Gateway', name: 'edge' }],
    provider: { issuer: provider.issuer, clientId: 'shop', clientSecretRef: { name: 'client' }, timeout: '2s' },
    session: { keyRef: { name: 'client' } },
    forward: { accessToken: { header: 'Authorization', prefix: 'Bearer ' } },
    claimsToHeaders: [
      { claim: 'sub', header: 'X-User' },
      { claim: 'email', header: 'X-Mail' },
    ],
  })
  const policy = (more: object = {}) => apply('LoginPolicy', 'people', { spec: { ...spec(), ...more } })
  const conditions = async (kind: string, name: string): Promise<readonly string[]> => {
    type Told = { ancestors?: readonly { conditions: readonly { type: string; status: string; message: string }[] }[] }
    const { ancestors = [] } = ((await mesh.client.get(paths[kind]!, name, { namespace: 'default' })).status ?? {}) as Told
    const told = ancestors.flatMap(each => each.conditions).filter(({ type }) => type !== 'Enforced')
    return told.map(({ type, status, message }) => `${type} ${status}: ${message}`)
  }

  /** PEM: signed by itself. */
  const certificate = (name: string, san: string): readonly [cert: string, key: string] => {
    const [cert, key] = ['crt', 'key'].map(each => join(mesh.folder, `${name}.${each}`)) as [string, string]
    const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=${name} -addext subjectAltName=${san}`
    execFileSync('openssl', [...line.split(' '), '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return [readFileSync(cert, 'utf8'), readFileSync(key, 'utf8')]
  }

  const browser = (name = host) => new Browser(name, port)
  const seen = (answer: Answer): Echo => JSON.parse(answer.body) as Echo
  const told = ({ status, reason }: Answer): string => `${status} ${reason}`.trim()
  /** To the provider, and back with what it says there. */
  const back = (query: URLSearchParams): string => `/oauth2/callback?${query}`
  async function logIn(own: Browser, path = '/'): Promise<Answer> {
    const sent = await own.open(path)
    assert.equal(sent.status, 302, sent.body)
    return own.open(back(provider.agree(sent.location)))
  }
  /** What is answered to a callback that a test has changed. */
  async function comeBack(change: (query: URLSearchParams) => void, own = browser()): Promise<Answer> {
    const sent = await own.open('/')
    const query = provider.agree(sent.location)
    change(query)
    return own.open(back(query))
  }

  before(async () => {
    await provider.up()
    port = await freePort()
    mesh = await Mesh.start()
    for (const name of ['shop', 'gold'])
      mesh.run(name, [process.execPath, '-e', echo], { flags: ['--port', 'http:8080/http'], env: { NAME: name } })
    await mesh.healthy('shop')
    await mesh.healthy('gold')
    const [cert, key] = certificate('edge', `DNS:${host}`)
    await apply('Secret', 'edge', { type: 'kubernetes.io/tls', data: { 'tls.crt': base64(cert), 'tls.key': base64(key) } }, 'v1')
    const listeners = [{ name: 'https', port, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'edge' }] } }]
    await apply(
      'Gateway',
      'edge',
      { spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners } },
      'gateway.networking.k8s.io/v1',
    )
    await route('shop', [to('shop')])
    gateway = mesh.gateway('edge')
    await mesh.until(
      'the Gateway serves',
      async () =>
        (
          await browser()
            .open('/')
            .catch(() => undefined)
        )?.status === 200,
    )
  })
  after(async () => {
    await mesh?.[Symbol.asyncDispose]()
    await provider[Symbol.asyncDispose]()
  })

  test('while its Secret is missing, nothing is served and the status says which', async () => {
    await policy()
    assert.match((await conditions('LoginPolicy', 'people')).join(), /ResolvedRefs False: .*Secret default\/client does not exist/)
    assert.equal(told(await browser().open('/')), '503 login-unavailable')
    await apply('Secret', 'client', { data: { 'client-secret': base64('shop-secret\n'), 'session-key': base64('too short') } }, 'v1')
    assert.match((await conditions('LoginPolicy', 'people')).join(), /the key has 9 bytes: 32 are needed/)
    assert.equal(told(await browser().open('/')), '503 login-unavailable')
    await apply('Secret', 'client', { data: { 'client-secret': base64('shop-secret\n'), 'session-key': base64('k'.repeat(32)) } }, 'v1')
    assert.deepEqual(await conditions('LoginPolicy', 'people'), ['Accepted True: The policy holds'])
    await mesh.until('the status names the proxy that keeps it', async () => {
      const { enforcement } = (await mesh.client.get(paths['LoginPolicy']!, 'people', { namespace: 'default' })).status as {
        readonly enforcement?: { readonly enforcing: number; readonly by?: readonly string[] }
      }
      return enforcement?.enforcing === 1 && enforcement.by!.length === 1
    })
  })

  test('a page is sent to the provider with PKCE, a state and a nonce; programs are answered 401', async () => {
    const own = browser()
    const sent = await own.open('/cart?item=1')
    assert.equal(sent.status, 302)
    const { origin, pathname, searchParams } = new URL(sent.location)
    assert.equal(origin + pathname, `${provider.issuer}/login`)
    const { state, nonce, code_challenge: challenge, ...rest } = Object.fromEntries(searchParams)
    assert.deepEqual(rest, {
      client_id: 'shop',
      redirect_uri: `https://${host}:${port}/oauth2/callback`,
      response_type: 'code',
      scope: 'openid',
      code_challenge_method: 'S256',
    })
    for (const each of [state, nonce, challenge]) assert.match(each ?? '', /^[\w-]{43}$/)
    assert.equal(sent.cookies.length, 1)
    assert.match(sent.cookies[0]!, /^__Host-weft-login-people\.[\w-]{16}=[\w-]+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/)
    assert.ok(!sent.cookies[0]!.includes(state!), 'the state itself is sealed')
    assert.equal(sent.headers['cache-control'], 'no-store')
    for (const [what, answer] of Object.entries({
      'fetch of a script': await own.ask('/', { headers: { accept: '*/*', 'sec-fetch-mode': 'cors' } }),
      'a script that takes pages': await own.open('/', { headers: { 'sec-fetch-mode': 'same-origin' } }),
      XMLHttpRequest: await own.open('/', { headers: { 'x-requested-with': 'XMLHttpRequest' } }),
      'JSON wanted': await own.ask('/', { headers: { accept: 'application/json' } }),
      curl: await own.ask('/'),
      POST: await own.open('/', { method: 'POST', body: 'a=1' }),
      bearer: await own.ask('/', { headers: { authorization: 'Bearer x' } }),
    })) {
      assert.equal(told(answer), '401 login-required', what)
      assert.match(String(answer.headers['www-authenticate']), /^Cookie realm=/, what)
      assert.deepEqual(answer.cookies, [], what)
    }
    const upgraded = await browser().tunnel('/')
    assert.equal('status' in upgraded && told(upgraded), '401 login-required', 'a WebSocket')
    assert.deepEqual(await browser().grpc('/shop.Cart/Add'), ['200', '16', 'login-required'], 'gRPC')
  })

  test('who logged in gets the page that was wanted, and the workload learns who it is, never the cookies', async () => {
    const own = browser()
    own.jar.set('theme', 'dark')
    const came = await logIn(own, '/cart?item=1&x=%2F')
    assert.equal(told(came), '302')
    assert.equal(came.location, `https://${host}:${port}/cart?item=1&x=%2F`)
    assert.deepEqual([...own.jar.keys()], ['theme', '__Host-weft-login-people'])
    assert.match(came.cookies.join(), /__Host-weft-login-people=1\.[\w-]+; Path=\/; Max-Age=43200; Secure; HttpOnly; SameSite=Lax/)
    const { headers, path } = seen(await own.open('/cart?item=1&x=%2F', { headers: { 'x-user': 'root', x_mail: 'root@example.org' } }))
    assert.equal(path, '/cart?item=1&x=%2F')
    assert.deepEqual(
      [headers['x-user'], headers['x-mail'], headers['x_mail'], headers['authorization'], headers['cookie']],
      ['ann', 'ann@example.org', undefined, 'Bearer access-0', 'theme=dark'],
    )
    const api = await own.ask('/', { headers: { accept: 'application/json', 'sec-fetch-mode': 'cors' } })
    assert.equal(seen(api).headers['x-user'], 'ann', 'a script of the page has the session too')
  })

  test('a login that this browser did not begin, that is done already, or that says nothing is refused: nothing is set', async () => {
    const [ann, thief] = [browser(), browser()]
    const sent = await ann.open('/')
    const query = provider.agree(sent.location)
    const asked = provider.asked
    const refused = async (what: string, answer: Promise<Answer>) => {
      const got = await answer
      assert.equal(told(got), '400 login-failed', what)
      assert.ok(!got.cookies.some(each => each.startsWith('__Host-weft-login-people=')), what)
    }
    await refused('the callback in another browser (login CSRF)', thief.open(back(query)))
    await thief.open('/')
    await refused('with a login of its own under way', thief.open(back(query)))
    await refused('no state', ann.open('/oauth2/callback?code=x'))
    await refused('two states', ann.open(`${back(query)}&state=${query.get('state')}`))
    await refused('nothing', ann.open('/oauth2/callback'))
    await refused('POST', ann.open(back(query), { method: 'POST' }))
    const kept = [...ann.jar]
    assert.equal(provider.asked, asked, 'the provider was not asked')
    assert.equal((await ann.open(back(query))).status, 302)
    await refused('once more', ann.open(back(query)))
    const again = browser()
    for (const [name, value] of kept) again.jar.set(name, value)
    await refused('once more with the cookies of before', again.open(back(query)))
    const foreign = browser()
    const other = await foreign.open('/')
    const [[name]] = [...foreign.jar] as [[string, string]]
    foreign.jar.set(name, kept.at(-1)![1])
    await refused('with the cookie of another login', foreign.open(back(provider.agree(other.location))))
  })

  test('what the provider says is believed only where it fits: issuer, nonce, audience, signature, time, code', async () => {
    const refused = async (what: string, answer: Answer, detail: RegExp) => {
      assert.equal(told(answer), '400 login-failed', `${what}: ${answer.body}`)
      assert.match(String(answer.headers['x-weft-error-detail']), detail, what)
    }
    await refused('iss of another (mix-up)', await comeBack(query => query.set('iss', 'https://evil.example')), /iss/)
    await refused('no iss', await comeBack(query => query.delete('iss')), /iss/)
    await refused('a code that is none', await comeBack(query => query.set('code', 'guessed')), /invalid_grant/)
    await refused(
      'no',
      await comeBack(query => {
        query.delete('code')
        query.set('error', 'access_denied')
        query.set('error_description', '<script>alert(1)</script>')
      }),
      /the provider says: access_denied$/,
    )
    const lying = async (what: string, lie: Partial<HandmadeProvider>, detail: RegExp) => {
      const before = Object.fromEntries(Object.keys(lie).map(each => [each, provider[each as 'claims']]))
      Object.assign(provider, lie)
      try {
        await refused(what, await comeBack(() => {}), detail)
      } finally {
        Object.assign(provider, before)
      }
    }
    await lying('another nonce', { nonce: 'other' }, /nonce/)
    await lying('another audience', { claims: { sub: 'ann', aud: 'bank' } }, /aud/)
    await lying('several audiences and another azp', { claims: { sub: 'ann', aud: ['shop', 'bank'], azp: 'bank' } }, /azp/)
    await lying('another issuer', { claims: { sub: 'ann', iss: 'https://evil.example' } }, /iss/)
    await lying('an ID token that is over', { claims: { sub: 'ann', exp: 1 } }, /exp/)
    await lying('an ID token by another key', { signWith: provider.otherKey }, /signature/)
    provider.breaks = 500
    try {
      assert.equal(told(await comeBack(() => {})), '503 login-unavailable', 'a token endpoint that is broken')
    } finally {
      provider.breaks = undefined
    }
  })

  test('a cookie that was changed, cut, made up or sealed for another client is no session', async () => {
    const own = browser()
    await logIn(own)
    const name = '__Host-weft-login-people'
    const good = own.jar.get(name)!
    assert.equal((await own.open('/')).status, 200)
    const at = good.length - 9
    const flipped = good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1)
    for (const bad of [flipped, good.slice(0, -5), `2.${good.slice(2)}`, '1.', '1.AAAA', 'x', '', `${good}.${good}`]) {
      own.jar.set(name, bad)
      assert.equal(told(await own.ask('/')), '401 login-required', bad.slice(0, 20))
    }
    provider.clients['bank'] = 'bank-secret'
    await apply('Secret', 'bank', { data: { 'client-secret': base64('bank-secret') } }, 'v1')
    await policy({ provider: { ...spec().provider, clientId: 'bank', clientSecretRef: { name: 'bank' } } })
    own.jar.set(name, good)
    assert.equal(told(await own.ask('/')), '401 login-required', 'of another client, by the same key')
    await policy()
    assert.equal((await own.ask('/')).status, 200)
    await apply(
      'Secret',
      'client',
      {
        data: {
          'client-secret': base64('shop-secret'),
          'session-key': base64('n'.repeat(32)),
          'previous-session-key': base64('k'.repeat(32)),
        },
      },
      'v1',
    )
    assert.equal((await own.ask('/')).status, 200, 'the key of before still opens')
    await apply('Secret', 'client', { data: { 'client-secret': base64('shop-secret'), 'session-key': base64('n'.repeat(32)) } }, 'v1')
    assert.equal(told(await own.ask('/')), '401 login-required', 'and then no more')
  })

  test('nobody is led to another place: paths that look like hosts, hosts that are none', async () => {
    for (const path of ['//evil.example/', '/\\evil.example', '/%2F%2Fevil.example', '/?next=https://evil.example', '/@evil.example']) {
      const own = browser()
      const came = await logIn(own, path)
      assert.equal(new URL(came.location).host, `${host}:${port}`, path)
    }
    for (const bad of ['shop.example.org@evil.example', 'evil.example/shop.example.org', 'shop.example.org?', 'shop example.org'])
      assert.ok([400, 404].includes((await browser().open('/', { headers: { host: bad } })).status), bad)
    const own = browser()
    const sent = await own.open('/')
    const query = provider.agree(sent.location)
    const elsewhere = await own.open(back(query), { headers: { host: `other.example.org:${port}` } })
    assert.notEqual(elsewhere.status, 302)
    const long = await logIn(browser(), `/?${'x'.repeat(3000)}`)
    assert.equal(long.location, `https://${host}:${port}/`)
  })

  test('a session that ends with its token is renewed once for all that comes with it, and refused where the provider does not', async () => {
    provider.tokenSeconds = 1
    try {
      const own = browser()
      await logIn(own)
      const before = provider.refreshed
      const together = await Promise.all([1, 2, 3, 4].map(() => own.ask('/', { headers: { accept: 'application/json' } })))
      assert.deepEqual(together.map(told), ['200', '200', '200', '200'])
      assert.equal(provider.refreshed, before + 1, 'refresh tokens hold once')
      assert.equal(seen(together[0]!).headers['authorization'], `Bearer access-${provider.refreshed}`)
      assert.match(together[0]!.cookies.join(), /__Host-weft-login-people=1\./)
      provider.claims = { ...provider.claims, sub: 'bob' }
      const other = await own.ask('/')
      assert.equal(told(other), '401 login-required', 'what is renewed as somebody else is no renewal')
      const { asked } = provider
      assert.equal(told(await own.ask('/')), '401 login-required')
      assert.equal(provider.asked, asked, 'and is not tried again with every request')
      provider.claims = { ...provider.claims, sub: 'ann' }
      provider.refreshTokens = false
      const short = browser()
      await logIn(short)
      await mesh.until('the session is over', async () => (await short.ask('/')).status === 401)
      assert.equal((await short.open('/')).status, 302, 'a page is sent to the login again')
    } finally {
      Object.assign(provider, { tokenSeconds: 600, refreshTokens: true, claims: { ...provider.claims, sub: 'ann' } })
    }
  })

  test('what is under way when a session ends is ended', async () => {
    Object.assign(provider, { tokenSeconds: 3, refreshTokens: false })
    try {
      const own = browser()
      await logIn(own)
      const tunnel = await own.tunnel('/')
      assert.ok('destroy' in tunnel, 'it is open')
      let isOver = false
      tunnel.on('error', () => {}).on('close', () => (isOver = true))
      await mesh.until('it is ended', () => Promise.resolve(isOver), 30_000)
    } finally {
      Object.assign(provider, { tokenSeconds: 600, refreshTokens: true })
    }
  })

  test('who logs out is out, here with every copy of the cookie, and at the provider', async () => {
    const own = browser()
    await logIn(own)
    const copy = browser()
    for (const [name, value] of own.jar) copy.jar.set(name, value)
    const forced = await own.open('/logout', { headers: { 'sec-fetch-site': 'cross-site' } })
    assert.equal(told(forced), '400 login-failed', 'other sites log nobody out')
    assert.equal((await own.ask('/')).status, 200)
    const left = await own.open('/logout')
    assert.equal(left.status, 302)
    const at = new URL(left.location)
    assert.equal(at.origin + at.pathname, `${provider.issuer}/logout`)
    assert.deepEqual(Object.fromEntries(at.searchParams), { client_id: 'shop', post_logout_redirect_uri: `https://${host}:${port}/` })
    assert.equal(own.jar.size, 0)
    assert.equal(told(await own.ask('/')), '401 login-required')
    assert.equal(told(await copy.ask('/')), '401 login-required', 'the copy')
  })

  test('a session that is larger than a cookie is kept in several; one that is larger than those is refused', async () => {
    const { claims } = provider
    try {
      provider.claims = { ...claims, roles: Array.from({ length: 300 }, (_, at) => `role-${at}-${'x'.repeat(12)}`) }
      const own = browser()
      await logIn(own)
      const names = [...own.jar.keys()]
      assert.ok(names.length > 1, names.join())
      for (const [name, value] of own.jar) assert.ok(name.length + value.length < 4000, name)
      assert.equal(seen(await own.open('/')).headers['x-user'], 'ann')
      own.jar.delete(names[1]!)
      assert.equal(told(await own.ask('/')), '401 login-required', 'a part is missing')
      provider.claims = { ...claims, filler: 'x'.repeat(11_700) }
      const fails = await logIn(browser())
      assert.equal(told(fails), '400 login-failed')
      assert.match(String(fails.headers['x-weft-error-detail']), /forward fewer tokens/)
    } finally {
      provider.claims = claims
    }
  })

  test('routes are chosen by what is proved of somebody, never by what a caller writes there', async () => {
    await policy({ claimsToHeaders: [{ claim: 'tier', header: 'X-Tier' }] })
    await route('shop', [{ matches: [{ headers: [{ name: 'X-Tier', value: 'gold' }] }], ...to('gold') }, to('shop')])
    const { claims } = provider
    try {
      const plain = browser()
      await logIn(plain)
      assert.equal(seen(await plain.open('/', { headers: { 'x-tier': 'gold' } })).name, 'shop')
      provider.claims = { ...claims, tier: 'gold' }
      const gold = browser()
      await logIn(gold)
      const got = seen(await gold.open('/', { headers: { 'x-tier': 'none' } }))
      assert.deepEqual([got.name, got.headers['x-tier']], ['gold', 'gold'])
    } finally {
      provider.claims = claims
      await route('shop', [to('shop')])
      await policy()
    }
  })

  test('programs may come with a token in place of a login, where that is allowed and verified', async () => {
    await apply('JWTPolicy', 'programs', {
      spec: {
        targetRefs: [{ kind: 'HTTPRoute', name: 'shop' }],
        providers: [
          {
            name: 'company',
            issuer: provider.issuer,
            audiences: ['api'],
            jwks: { url: `${provider.issuer}/keys` },
            claimsToHeaders: [{ claim: 'sub', header: 'X-User' }],
          },
        ],
      },
    })
    await policy({ passBearer: true, apiPaths: ['/api'] })
    try {
      const good = await provider.token({ aud: 'api', sub: 'robot' })
      const bad = await provider.token({ aud: 'bank', sub: 'robot' })
      const as = (token: string, more: object = {}) => browser().ask('/', { headers: { authorization: `Bearer ${token}`, ...more } })
      assert.equal(seen(await as(good, { 'x-mail': 'root@example.org' })).headers['x-user'], 'robot')
      assert.equal(seen(await as(good, { 'x-mail': 'root@example.org' })).headers['x-mail'], undefined)
      assert.equal(told(await as(bad)), '401 token-invalid')
      assert.equal(told(await browser().ask('/')), '401 login-required')
      assert.equal(told(await browser().open('/api/items')), '401 login-required', 'a page of the API is no page')
      assert.equal((await browser().open('/apis')).status, 302)
      const own = browser()
      await logIn(own)
      assert.equal(seen(await own.open('/')).headers['x-user'], 'ann')
    } finally {
      await mesh.client.delete(paths['JWTPolicy']!, 'programs', { namespace: 'default' })
      await policy()
    }
  })

  test('another Gateway with the same client and key takes the session, one with another key does not', async () => {
    const second = await freePort()
    const listeners = [{ name: 'https', port: second, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'edge' }] } }]
    const gatewayApi = 'gateway.networking.k8s.io/v1'
    await apply('Gateway', 'twin', { spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners } }, gatewayApi)
    await apply('HTTPRoute', 'twin', { spec: { parentRefs: [{ name: 'twin' }], hostnames: [host], rules: [to('shop')] } }, gatewayApi)
    await policy({
      targetRefs: [
        { kind: 'Gateway', name: 'edge' },
        { kind: 'Gateway', name: 'twin' },
      ],
    })
    const twin = mesh.gateway('twin')
    try {
      const [own, there] = [browser(), new Browser(host, second)]
      await logIn(own)
      for (const [name, value] of own.jar) there.jar.set(name, value)
      await mesh.until('the other Gateway serves', async () => (await there.ask('/').catch(() => undefined))?.status === 200)
      assert.equal(seen(await there.ask('/')).headers['x-user'], 'ann')
      await apply('Secret', 'other', { data: { 'session-key': base64('o'.repeat(32)) } }, 'v1')
      await apply('LoginPolicy', 'twins', {
        spec: {
          ...spec(),
          targetRefs: [{ kind: 'HTTPRoute', name: 'twin' }],
          session: { keyRef: { name: 'other' }, cookieName: 'weft-login-people' },
        },
      })
      assert.equal(told(await there.ask('/')), '401 login-required')
    } finally {
      await twin.stop()
      await mesh.client.delete(paths['LoginPolicy']!, 'twins', { namespace: 'default' }).catch(() => {})
      await mesh.client.delete(paths['HTTPRoute']!, 'twin', { namespace: 'default' })
      await mesh.client.delete(paths['Gateway']!, 'twin', { namespace: 'default' })
      await policy()
    }
  })

  test('a cookie that is Strict is set by a page that leads on, and one of a domain is for all its hosts', async () => {
    await policy({ session: { ...spec().session, sameSite: 'Strict', domain: 'example.org' } })
    try {
      const came = await logIn(browser(), '/a?b="><script>')
      assert.equal(came.status, 200)
      assert.match(came.body, /content="0;url=https:\/\/shop\.example\.org:\d+\/a\?b=/)
      assert.ok(!came.body.includes('<script>'), came.body)
      assert.match(
        came.cookies.join(),
        /__Secure-weft-login-people=1\.[\w-]+; Path=\/; Domain=example\.org; Max-Age=\d+; Secure; HttpOnly; SameSite=Strict/,
      )
    } finally {
      await policy()
    }
  })

  test('a provider with a certificate of its own is known by the authority that the policy names, and not without', async () => {
    const [cert, key] = certificate('private', 'IP:127.0.0.1')
    await using secret = new HandmadeProvider({ cert, key })
    await secret.up()
    const own = { ...spec().provider, issuer: secret.issuer }
    try {
      await policy({ provider: own })
      const refused = await browser().open('/')
      assert.equal(told(refused), '503 login-unavailable')
      assert.match(String(refused.headers['x-weft-error-detail']), /certificate/)
      await policy({ provider: { ...own, caCertificateRef: { name: 'roots' } } })
      assert.match((await conditions('LoginPolicy', 'people')).join(), /ConfigMap default\/roots does not exist/)
      await apply('ConfigMap', 'roots', { data: { 'ca.crt': cert } }, 'v1')
      assert.deepEqual(await conditions('LoginPolicy', 'people'), ['Accepted True: The policy holds'])
      const ann = browser()
      const sent = await ann.open('/')
      assert.equal((await ann.open(back(secret.agree(sent.location)))).status, 302)
      assert.equal(seen(await ann.open('/')).headers['x-user'], 'ann')
    } finally {
      await policy()
    }
  })

  test('the ID token goes on to the called side, where a JWTPolicy verifies it and rules name what it says', async () => {
    await policy({ forward: { idToken: { header: 'Authorization', prefix: 'Bearer ' } } })
    const providers = [{ name: 'people', issuer: provider.issuer, audiences: ['shop'], jwks: { url: `${provider.issuer}/keys` } }]
    await apply('JWTPolicy', 'inside', { spec: { targetRefs: [{ name: 'shop' }], providers } })
    await apply('AccessPolicy', 'editors', {
      spec: { targetRefs: [{ name: 'shop' }], rules: [{ from: [{ claims: [{ name: 'groups', values: ['editors'] }] }] }] },
    })
    const { claims } = provider
    try {
      const ann = browser()
      await logIn(ann)
      assert.equal(told(await ann.open('/')), '200')
      provider.claims = { ...claims, sub: 'bob', groups: ['readers'] }
      const bob = browser()
      await logIn(bob)
      assert.equal(told(await bob.open('/')), '403 access-denied')
    } finally {
      provider.claims = claims
      await mesh.client.delete(paths['AccessPolicy']!, 'editors', { namespace: 'default' })
      await mesh.client.delete(paths['JWTPolicy']!, 'inside', { namespace: 'default' })
      await policy()
    }
  })

  test('explain tells the login: of a service with who says so, of a request with what becomes of it', async () => {
    const policies = await mesh.weft('explain', 'policy', 'shop')
    assert.match(
      policies.stdout,
      /from outside, at Gateway default\/edge by HTTPRoute default\/shop rule 0[\s\S]*login .*LoginPolicy default\/people/,
    )
    const ask = async (...more: readonly string[]): Promise<string> =>
      (await mesh.weft('explain', 'request', '--from', 'gateway/edge', '--to', `https://${host}:${port}/`, ...more)).stdout
    assert.match(await ask(), /login-required/)
    const inside = await ask('--claim', 'sub=ann')
    assert.doesNotMatch(inside, /login-required/)
    assert.match(inside, /a login is asked for, by LoginPolicy default\/people/)
  })

  test('while the provider is down, who is logged in goes on and nobody else gets in; nothing secret was told anywhere', async () => {
    const own = browser()
    await logIn(own)
    await policy({ provider: { ...spec().provider, issuer: 'http://127.0.0.1:9', timeout: '1s' } })
    assert.equal(told(await browser().open('/')), '503 login-unavailable')
    await policy()
    const half = await own.open('/oauth2/callback?state=x')
    assert.equal(told(half), '400 login-failed')
    await gateway.stop()
    gateway = mesh.gateway('edge')
    await mesh.until('the Gateway serves again', async () => (await own.open('/').catch(() => undefined))?.status === 200)
    const started = browser()
    const query = provider.agree((await started.open('/')).location)
    await provider.down()
    try {
      assert.equal(told(await started.open(back(query))), '503 login-unavailable')
      assert.equal((await own.open('/')).status, 200)
    } finally {
      await provider.up()
    }
    const admin = (await mesh.client.proxies()).find(each => each.service === 'edge-weft')!.admin
    const metrics = await (await fetch(`${admin}/metrics`)).text()
    for (const outcome of ['begun', 'unavailable']) assert.match(metrics, new RegExp(`weft_logins_total\\{[^}]*outcome="${outcome}"`))
    const dump = await mesh.weft('get', 'loginpolicy', 'people', '-o', 'yaml')
    const shown = await Promise.all(
      (await mesh.client.proxies()).map(async ({ id, admin }) => {
        const config = await (await fetch(`${mesh.url}/weft/v1/proxies/${encodeURIComponent(id)}/config`)).text()
        return `${config}${admin === undefined ? '' : await (await fetch(`${admin}/config`)).text()}`
      }),
    )
    assert.ok(shown.join().includes('/oauth2/callback'), 'the policy itself is shown')
    const logs = `${mesh.logs()}${gateway.stdout}${gateway.stderr}${dump.stdout}${shown.join()}`
    for (const secret of ['shop-secret', 'n'.repeat(32), base64('n'.repeat(32)), 'access-0']) assert.ok(!logs.includes(secret), secret)
  })
})
