/** The dashboard's login in a real browser: by a pasted token and at a real OpenID provider; what is greyed for whom; and what pages of others cannot do. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import { type Client, connect } from '../../src/api/client.ts'
import { npmPackage } from '../conformance/peers.ts'
import { lacksDashboard, openBrowser, type Opened } from '../harness/browser.ts'
import { Mesh } from '../harness/mesh.ts'
import { ask, statusIn } from './operators/caller.ts'

const peer = npmPackage('oidc-provider@9.5.2')
const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'b' } })
const configMaps = { group: '', version: 'v1', plural: 'configmaps', namespaced: true }

describe('the login of the dashboard', { skip: lacksDashboard, timeout: 240_000 }, () => {
  let mesh: Mesh
  let asAdmin: Client
  let browser: Opened
  let context: BrowserContext
  let page: Page
  const folder = mkdtempSync(join(tmpdir(), 'weft-operators-'))
  const broken: string[] = []
  /** WEFT_TEST_SCREENSHOTS: a folder, for people to look at. */
  const shoot = async (name: string): Promise<void> => {
    const shots = process.env['WEFT_TEST_SCREENSHOTS']
    if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`) })
  }
  const logIn = async (token: string): Promise<void> => {
    await page.getByTestId('login-token').fill(token)
    await page.getByTestId('login-enter').click()
  }
  const logOut = async (): Promise<void> => {
    await page.getByTestId('logout').click()
    await page.getByTestId('login').waitFor()
  }

  before(async () => {
    const operators = join(folder, 'operators.yaml')
    writeFileSync(operators, 'grants: []\n')
    mesh = await Mesh.start({ control: ['--require-login', '--operators', operators] })
    const admin = readFileSync(join(mesh.folder, 'control', 'admin.token'), 'utf8').trim()
    asAdmin = connect(mesh.url, { token: admin })
    await asAdmin.create(configMaps, map('colours'))
    if ('path' in peer) {
      const script = join(import.meta.dirname, 'login', 'provider.mjs')
      const provider = mesh.spawn([process.execPath, script, peer.path, `${mesh.url}/weft/v1/login/callback`, `${mesh.url}/`])
      await mesh.until('the provider', () => provider.stdout.includes('\n'))
      writeFileSync(join(folder, 'secret'), 'a-secret-of-the-shop\n')
      writeFileSync(
        operators,
        `oidc:
  issuer: ${provider.stdout.split('\n')[0]}
  name: the shop's accounts
  clientId: shop
  clientSecretFile: ${join(folder, 'secret')}
  scopes: [openid, profile]
grants:
- { oidcUser: ann, role: viewer }
- { oidcUser: ann, role: editor, namespaces: [default] }
`,
      )
      await mesh.until('the settings are read again', async () => (await asAdmin.login()).oidc !== undefined)
    }
    browser = await openBrowser()
    ;({ context, page } = browser)
    page.on('pageerror', error => broken.push(error.message))
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  test('who is not logged in sees the login and nothing of the mesh; a wrong token is told as such', async () => {
    await page.goto(`${mesh.url}/#/proxies`)
    await page.getByTestId('login').waitFor()
    await shoot('login')
    assert.equal(await page.getByTestId('nav-proxies').count(), 0)
    await logIn('weft_nonsense')
    await page.getByTestId('login-error').waitFor()
    assert.match((await page.getByTestId('login-error').textContent())!, /not known here, has expired or was revoked/)
    await shoot('login-refused')
  })

  test('a viewer is told who she is, sees the mesh, and cannot press what would be refused', async () => {
    const { token } = await asAdmin.createUser({ name: 'vera', roles: ['viewer'] })
    await logIn(token)
    await page.getByTestId('who').waitFor()
    assert.match((await page.getByTestId('who').textContent())!, /vera.*viewer/)
    const [session] = await context.cookies(mesh.url)
    assert.deepEqual(
      { name: session!.name, httpOnly: session!.httpOnly, sameSite: session!.sameSite },
      { name: 'weft-session', httpOnly: true, sameSite: 'Strict' },
    )
    assert.notEqual(session!.value, token)
    assert.equal(
      await page
        .evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)')
        .then(text => String(text).includes(token)),
      false,
    )
    await page.goto(`${mesh.url}/#/resources/core/v1/configmaps`)
    await page.getByTestId('create').waitFor()
    assert.equal(await page.getByTestId('create').isDisabled(), true)
    await page.goto(`${mesh.url}/#/resources/core/v1/configmaps/default/colours`)
    await page.getByTestId('delete').waitFor()
    assert.equal(await page.getByTestId('delete').isDisabled(), true)
    assert.match((await page.textContent('main'))!, /You may look, and not change: that needs the role editor in the namespace default/)
    await shoot('viewer')
    await page.goto(`${mesh.url}/#/`)
    await shoot('viewer-topology')
    await logOut()
  })

  test('who may read one namespace sees what is in it, and is told where more is needed', async () => {
    const { token } = await asAdmin.createUser({ name: 'nora', roles: ['editor:default'] })
    await logIn(token)
    await page.getByTestId('who').waitFor()
    await page.goto(`${mesh.url}/#/resources/core/v1/configmaps`)
    await page.getByRole('link', { name: 'colours' }).waitFor()
    assert.equal(await page.getByTestId('gone-banner').count(), 0)
    await shoot('namespaced')
    await page.goto(`${mesh.url}/#/`)
    await page.getByText('may not see the traffic').waitFor()
    await shoot('namespaced-topology')
    await logOut()
  })

  test('an editor may press it; a user who is revoked is back at the login', async () => {
    const { token } = await asAdmin.createUser({ name: 'eddie', roles: ['viewer', 'editor:default'] })
    await logIn(token)
    await page.goto(`${mesh.url}/#/resources/core/v1/configmaps/default/colours`)
    await page.getByTestId('delete').waitFor()
    assert.equal(await page.getByTestId('delete').isDisabled(), false)
    await shoot('editor')
    await page.getByTestId('delete').click()
    await page.getByTestId('confirm-delete').click()
    await mesh.until('it is gone', async () => (await asAdmin.find(configMaps, 'colours')) === undefined)
    const [deed] = (await asAdmin.audit({ kind: 'ConfigMap', limit: 1 })).items
    assert.deepEqual([deed!.who, deed!.how, deed!.action], ['eddie', 'token', 'deleted'])
    await asAdmin.revokeUser('eddie')
    await page.getByTestId('login').waitFor()
  })

  test('at a provider: ann has the roles of the settings, bob is known and has none', {
    skip: 'missing' in peer ? peer.missing : false,
  }, async () => {
    const enter = async (name: string): Promise<void> => {
      await page.goto(`${mesh.url}/`)
      await page.getByTestId('login-oidc').click()
      await page.fill('input[name=login]', name)
      await page.fill('input[name=password]', 'whatever')
      await page.click('button[type=submit]')
      await page.waitForURL(/interaction/)
      await page.click('button[type=submit]')
      await page.waitForURL(`${mesh.url}/**`)
    }
    await enter('ann')
    await page.getByTestId('who').waitFor()
    assert.match((await page.getByTestId('who').textContent())!, /ann.*viewer, editor:default/)
    await shoot('oidc')
    const cookies = await context.cookies(mesh.url)
    assert.deepEqual(
      cookies.filter(({ name }) => name.startsWith('weft-')).map(({ name }) => name),
      ['weft-session'],
      'what was pending is gone',
    )
    const { items } = await asAdmin.audit({ who: 'ann' })
    assert.deepEqual(
      items.map(({ action, how }) => [action, how]),
      [['logged in', 'oidc']],
    )
    await mesh.control.stop()
    await mesh.startControl()
    await page.goto(`${mesh.url}/#/proxies`)
    await page.reload()
    await page.getByTestId('who').waitFor()
    assert.match((await page.getByTestId('who').textContent())!, /ann.*viewer, editor:default/, 'a restart logs nobody out')
    await logOut()
    await context.clearCookies()
    await enter('bob')
    await page.getByTestId('login-error').waitFor()
    assert.match((await page.getByTestId('login-error').textContent())!, /bob is known, and has no role here/)
    await shoot('oidc-no-role')
  })

  test('the way back from a provider counts only in the browser that went there', {
    skip: 'missing' in peer ? peer.missing : false,
  }, async () => {
    const begun = await ask(`${mesh.url}/weft/v1/login/oidc`)
    const to = new URL(begun.headers.location!)
    assert.equal(to.searchParams.get('code_challenge_method'), 'S256')
    assert.equal(to.searchParams.get('response_type'), 'code')
    assert.match(String(begun.headers['set-cookie']), /^weft-login=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/)
    const state = to.searchParams.get('state')!
    const back = `${mesh.url}/weft/v1/login/callback?code=stolen&state=${state}`
    const elsewhere = await ask(back)
    assert.equal(elsewhere.status, 302)
    assert.match(decodeURIComponent(elsewhere.headers.location!), /^\/#\/login\?error=this login was not begun here/)
    assert.ok(!String(elsewhere.headers['set-cookie']).includes('weft-session'))
    const cookie = String(begun.headers['set-cookie']).split(';')[0]!
    const forged = await ask(`${mesh.url}/weft/v1/login/callback?code=stolen&state=another`, { headers: { cookie } })
    assert.match(decodeURIComponent(forged.headers.location!), /error=/)
    assert.ok(!String(forged.headers['set-cookie']).includes('weft-session'))
    const again = await ask(back, { headers: { cookie } })
    assert.match(decodeURIComponent(again.headers.location!), /not begun here/, 'a pending login serves once')
  })

  test('tokens of the provider are taken from programs, and others are not', {
    skip: 'missing' in peer ? peer.missing : false,
  }, async () => {
    const claims = { iss: 'https://elsewhere.example', sub: 'ann', aud: 'shop', exp: Math.floor(Date.now() / 1000) + 600 }
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    for (const [token, says] of [
      [`${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.c2ln`, /its issuer is another/],
      [`${part({ alg: 'none' })}.${part(claims)}.`, /not three parts|not signed by an algorithm/],
      ['a.b.c', /the token is not taken/],
    ] as const) {
      const answer = await ask(`${mesh.url}/api`, { token })
      assert.equal(answer.status, 401)
      assert.match(statusIn(answer).message, says)
    }
  })

  test('a page of somebody else can neither write, nor read, nor frame: not even from this machine, where the cookie comes along', async () => {
    const { token } = await asAdmin.createUser({ name: 'victim', roles: ['admin'] })
    await page.goto(`${mesh.url}/`)
    await logIn(token)
    await page.getByTestId('who').waitFor()
    const before = (await asAdmin.users()).length
    const other = http.createServer((_, reply) => reply.setHeader('content-type', 'text/html').end('<title>evil</title>'))
    await new Promise<void>(done => other.listen(0, '127.0.0.1', done))
    try {
      const { port } = other.address() as AddressInfo
      for (const host of ['127.0.0.1', 'localhost']) {
        const evil = await context.newPage()
        await evil.goto(`http://${host}:${port}/`)
        const outcome = await evil.evaluate(async (target: string) => {
          const body = JSON.stringify({ name: 'mallory', roles: ['admin'] })
          const tried = async (work: () => Promise<Response>): Promise<string> => {
            try {
              const reply = await work()
              return `${reply.type} ${reply.status}`
            } catch (thrown) {
              return thrown instanceof Error ? thrown.name : 'error'
            }
          }
          return {
            plain: await tried(() => fetch(`${target}/weft/v1/users`, { method: 'POST', mode: 'no-cors', credentials: 'include', body })),
            cors: await tried(() => fetch(`${target}/weft/v1/users`, { method: 'POST', credentials: 'include', body })),
            read: await tried(() => fetch(`${target}/weft/v1/status`, { credentials: 'include' })),
          }
        }, mesh.url)
        assert.deepEqual(outcome, { plain: outcome.plain, cors: 'TypeError', read: 'TypeError' })
        // A form is sent without asking first.
        await evil.setContent(`<form id=f method=post enctype="text/plain" action="${mesh.url}/weft/v1/logout"><input name=a></form>`)
        const [answer] = await Promise.all([evil.waitForResponse(/logout/), evil.evaluate('document.getElementById("f").submit()')])
        assert.equal(answer.status(), 403)
        await evil.waitForURL(/logout/)
        await evil.goto(`http://${host}:${port}/`)
        await evil.setContent(`<iframe src="${mesh.url}/"></iframe>`)
        await evil.waitForTimeout(500)
        const framed = await Promise.all(
          evil.frames().map(frame => frame.evaluate('document.getElementById("root") !== null').catch(() => false)),
        )
        assert.ok(!framed.includes(true), 'it is framed')
        await evil.close()
      }
    } finally {
      other.close()
    }
    assert.equal((await asAdmin.users()).length, before)
    await page.reload()
    await page.getByTestId('who').waitFor()
  })

  test('a script that is written into the page does not run', async () => {
    const ran = await page.evaluate(`(() => {
      const script = document.createElement('script')
      script.textContent = 'window.wasRun = true'
      document.body.append(script)
      return window.wasRun === true
    })()`)
    assert.equal(ran, false)
    assert.deepEqual(broken, [])
  })
})
