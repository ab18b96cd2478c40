/** A real browser logs in at a real provider (oidc-provider) through `weft gateway`, over HTTPS, and out again. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, describe, test } from 'node:test'
import type { BrowserContext, Page } from 'playwright-core'
import type { KindPath } from '../../src/api/client.ts'
import { canCapture } from '../../src/io/namespace.ts'
import type { Resource } from '../../src/resources/kind.ts'
import { npmPackage } from '../conformance/peers.ts'
import { lacksBrowser, openBrowser, type Opened } from '../harness/browser.ts'
import { certify } from '../harness/certify.ts'
import { active } from '../harness/front.ts'
import { freePort } from '../harness/machine.ts'
import { kinds, Mesh, type Running } from '../harness/mesh.ts'

const verdict = await canCapture()
const peer = npmPackage('oidc-provider@9.5.2')
const skip = !verdict.ok ? `${verdict.why}: ${verdict.remedy}` : lacksBrowser || ('missing' in peer ? peer.missing : false)

const paths: Readonly<Record<string, KindPath>> = {
  HTTPRoute: kinds.httpRoute,
  Gateway: { ...kinds.httpRoute, plural: 'gateways' },
  Secret: { ...kinds.service, plural: 'secrets' },
  LoginPolicy: { group: 'weft.dev', version: 'v1alpha1', plural: 'loginpolicies', namespaced: true },
}

/** A page that says who asked for it, and whose script asks once more. */
const pages = `require('node:http').createServer((q, s) => {
  if (q.url === '/api') return s.end('api of ' + q.headers['x-user'])
  s.setHeader('content-type', 'text/html').end('<h1 id=who>' + q.headers['x-user'] + ' in ' + q.headers['x-groups'] + ' at ' + q.url + '</h1>' +
    '<p id=api></p><script>fetch("/api").then(r => r.text()).then(t => { document.getElementById("api").textContent = t + " " + document.cookie })</script>')
}).listen(8080)`

const host = 'shop.localhost'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('a browser at a login', { skip, timeout: 180_000 }, () => {
  let mesh: Mesh
  let provider: Running
  let browser: Opened
  let context: BrowserContext
  let page: Page
  let origin = ''
  let issuer = ''

  const apply = async (kind: string, name: string, more: object, apiVersion: string): Promise<void> => {
    const resource = { apiVersion, kind, metadata: { name, namespace: 'default' }, ...more } as unknown as Resource
    const { resource: written } = await mesh.client.apply(paths[kind]!, resource, { force: true })
    await active(mesh, Number(written.metadata.resourceVersion))
  }

  before(async () => {
    const port = await freePort()
    origin = `https://${host}:${port}`
    mesh = await Mesh.start()
    mesh.run('shop', [process.execPath, '-e', pages], { flags: ['--port', 'http:8080/http'] })
    await mesh.healthy('shop')
    if ('missing' in peer) return
    const script = join(import.meta.dirname, 'login', 'provider.mjs')
    provider = mesh.spawn([process.execPath, script, peer.path, `${origin}/oauth2/callback`, `${origin}/bye`])
    await mesh.until('the provider', () => Promise.resolve(provider.stdout.includes('\n')))
    issuer = provider.stdout.split('\n')[0]!
    const [cert, key] = ['edge.crt', 'edge.key'].map(each => join(mesh.folder, each)) as [string, string]
    certify({ key, cert, days: 2, subject: '/CN=edge', names: [`DNS:${host}`] })
    const data = { 'tls.crt': readFileSync(cert).toString('base64'), 'tls.key': readFileSync(key).toString('base64') }
    await apply('Secret', 'edge', { type: 'kubernetes.io/tls', data }, 'v1')
    await apply(
      'Secret',
      'client',
      { data: { 'client-secret': base64('a-secret-of-the-shop'), 'session-key': base64('k'.repeat(32)) } },
      'v1',
    )
    const gatewayApi = 'gateway.networking.k8s.io/v1'
    const listeners = [{ name: 'https', port, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'edge' }] } }]
    await apply('Gateway', 'edge', { spec: { gatewayClassName: 'weft', addresses: [{ value: '127.0.0.1' }], listeners } }, gatewayApi)
    const rules = [{ backendRefs: [{ name: 'shop', port: 8080 }] }]
    await apply('HTTPRoute', 'shop', { spec: { parentRefs: [{ name: 'edge' }], hostnames: [host], rules } }, gatewayApi)
    const spec = {
      targetRefs: [{ kind: 'Gateway', name: 'edge' }],
      provider: { issuer, clientId: 'shop', clientSecretRef: { name: 'client' }, scopes: ['openid', 'profile'] },
      session: { keyRef: { name: 'client' } },
      afterLogout: '/bye',
      claimsToHeaders: [
        { claim: 'sub', header: 'X-User' },
        { claim: 'groups', header: 'X-Groups' },
      ],
    }
    await apply('LoginPolicy', 'people', { spec }, 'weft.dev/v1alpha1')
    mesh.gateway('edge')
    browser = await openBrowser({ ignoresCertificates: true })
    ;({ context, page } = browser)
    await mesh.until('the Gateway', async () => (await page.goto(`${origin}/`).catch(() => null)) !== null)
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  test('logs in at the provider, comes to the page that it wanted, and its scripts have the session and cannot read it', async () => {
    await context.clearCookies()
    await page.goto(`${origin}/cart?item=1#here`)
    assert.equal(new URL(page.url()).origin, issuer)
    await page.fill('input[name=login]', 'ann')
    await page.fill('input[name=password]', 'whatever')
    await page.click('button[type=submit]')
    await page.waitForURL(/interaction/)
    await page.click('button[type=submit]')
    await page.waitForURL(`${origin}/cart?item=1*`)
    assert.equal(await page.textContent('#who'), `ann in ${Buffer.from('["editors"]').toString('base64url')} at /cart?item=1`)
    await page.waitForFunction('document.getElementById("api").textContent !== ""')
    assert.equal(await page.textContent('#api'), 'api of ann ', 'the cookie is not seen by scripts')
    const cookies = (await context.cookies(origin)).filter(each => each.domain === host)
    assert.deepEqual(
      cookies.map(({ name, secure, httpOnly, sameSite, path }) => ({ name, secure, httpOnly, sameSite, path })),
      [{ name: '__Host-weft-login-people', secure: true, httpOnly: true, sameSite: 'Lax', path: '/' }],
    )
  })

  test('two tabs may log in beside each other, and a session that the browser lost costs no password where the provider has one', async () => {
    await context.clearCookies({ domain: host })
    const other = await context.newPage()
    await Promise.all([page.goto(`${origin}/one`), other.goto(`${origin}/two`)])
    assert.match((await page.textContent('#who'))!, /^ann .* at \/one$/)
    assert.match((await other.textContent('#who'))!, /^ann .* at \/two$/)
    await other.close()
  })

  test('logs out here and at the provider, and is asked who it is again', async () => {
    await page.goto(`${origin}/logout`)
    assert.equal(new URL(page.url()).origin, issuer, 'the provider asks whether to log out')
    await page.click('button[value=yes]')
    // The page after the logout asks for a login too, as all pages do here.
    await page.waitForSelector('input[name=login]')
    assert.deepEqual(
      (await context.cookies(origin)).filter(({ name }) => name === '__Host-weft-login-people'),
      [],
    )
  })
})
