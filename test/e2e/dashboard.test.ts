/** The dashboard in a real browser against a real mesh: live edges, a split changed on the page and seen to take effect, refusals at their field, a control plane that dies. */

import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import process from 'node:process'
import type { Page } from 'playwright-core'
import type { Resource } from '../../src/resources/kind.ts'
import { lacksDashboard, openBrowser, type Opened } from '../harness/browser.ts'
import { kinds, Mesh, root } from '../harness/mesh.ts'

const patience = 60_000

const split = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'reviews', namespace: 'default' },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
    rules: [
      {
        backendRefs: [
          { name: 'reviews-v1', port: 8080, weight: 90 },
          { name: 'reviews-v2', port: 8080, weight: 10 },
        ],
      },
    ],
  },
}

describe('the dashboard', { skip: lacksDashboard }, () => {
  let mesh: Mesh
  let browser: Opened
  let page: Page
  const elsewhere: string[] = []
  const broken: string[] = []

  before(async () => {
    mesh = await Mesh.start()
    const shop = join(root, 'examples/shop')
    for (const version of ['v1', 'v2']) {
      mesh.run('reviews', [process.execPath, join(shop, 'reviews.mjs')], {
        flags: ['--port', 'http:8080/http', '--app-version', version],
        env: { VERSION: version },
      })
    }
    await mesh.healthy('reviews', 2)
    await mesh.client.apply(kinds.httpRoute, split)
    mesh.run('reader', [
      process.execPath,
      '-e',
      "setInterval(() => fetch('http://reviews:8080/reviews').then(r => r.text()).catch(() => {}), 25)",
    ])
    browser = await openBrowser()
    page = browser.page
    page.on('pageerror', error => broken.push(error.message))
    page.on(
      'request',
      request =>
        request.url().startsWith(mesh.url) ||
        request.url().startsWith('data:') ||
        request.url().startsWith('blob:') ||
        elsewhere.push(request.url()),
    )
  })

  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  const goTo = (address: string) => page.goto(`${mesh.url}/#${address}`)
  /** Waits until an attribute of an element, as a number, is what is wanted. */
  const until = async (testId: string, attribute: string, isWanted: (value: number) => boolean): Promise<void> => {
    await mesh.until(
      `${testId} whose ${attribute} is as wanted`,
      async () => {
        const found = page.getByTestId(testId).first()
        return isWanted(Number((await found.getAttribute(attribute, { timeout: 1000 }).catch(() => null)) || Number.NaN))
      },
      patience,
    )
  }

  test('shows a live edge with its rate and mutual TLS', async () => {
    await goTo('/')
    const edge = page.locator('[data-testid=edge][data-edge="reader>reviews"]')
    await edge.waitFor()
    await until('edge', 'data-rate', rate => rate > 5)
    assert.equal(await edge.getAttribute('data-mtls'), 'true')
    const panel = page.getByTestId('edge-panel')
    // The picture may move to make room for what it just learnt of, away from under the pointer.
    await mesh.until('the panel of the edge', async () => (await panel.isVisible()) || (await edge.click(), false), patience)
    assert.deepEqual(await panel.getByTestId('identity').allInnerTexts(), [
      'spiffe://weft.local/ns/default/sa/reader',
      'spiffe://weft.local/ns/default/sa/reviews',
    ])
  })

  test('shows on the page of a service how much of its limits is used and what its workloads bear at once', async () => {
    const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'backendpolicies', namespaced: true }
    const policy = (spec: object): Resource => ({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'BackendPolicy',
      metadata: { name: 'bounded', namespace: 'default' },
      spec: {
        targetRefs: [
          { kind: 'Service', name: 'reviews' },
          { kind: 'Service', name: 'reviews-v1' },
        ],
        ...spec,
      },
    })
    await mesh.client.apply(policies, policy({ limits: { requests: 321 }, adaptiveConcurrency: {} }), { force: true })
    await goTo('/services/reviews.default')
    await page.getByTestId('sparing').getByText('adaptiveConcurrency').first().waitFor()
    // By the other name for some of its workloads, to which the route leads.
    await page.getByTestId('sparing').getByText('all endpoints of default/reviews-v1:8080').first().waitFor()
    await page
      .getByTestId('sparing')
      .getByText(/of 321/)
      .first()
      .waitFor()
    await mesh.client.delete(policies, 'bounded', { namespace: 'default' })
  })

  test('shows on the page of a service that plaintext is taken, and whether it is safe to go strict', async () => {
    const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'authenticationpolicies', namespaced: true }
    const policy: Resource = {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AuthenticationPolicy',
      metadata: { name: 'meanwhile', namespace: 'default' },
      spec: { targetRefs: [{ kind: 'Service', name: 'reviews' }], mtls: { mode: 'Strict' } },
    }
    await goTo('/status')
    await page.getByTestId('mutual-tls').getByText('take plaintext').waitFor()
    await goTo('/services/reviews.default')
    await page.locator('[data-testid=mutual-tls-verdict][data-safe=true]').waitFor()
    assert.match(await page.getByTestId('mutual-tls-ports').innerText(), /permissive\s+nobody/i)
    await mesh.client.apply(policies, policy, { force: true })
    await page.getByTestId('mutual-tls').waitFor({ state: 'detached' })
    await mesh.client.delete(policies, 'meanwhile', { namespace: 'default' })
  })

  test('changes a split on the page; every proxy has it, and the traffic follows', async () => {
    await goTo('/services/reviews.default')
    await until('split-seen-reviews-v2', 'data-share', share => share < 30)
    const input = page.getByTestId('split-input-reviews-v2')
    await input.fill('80')
    await input.press('Tab')
    assert.equal(await page.getByTestId('split-input-reviews-v1').inputValue(), '20 %')
    await page.getByTestId('split-apply').click()
    await page.locator('[data-testid=converging][data-active="3"][data-total="3"]').waitFor()
    const stored = (await mesh.client.get(kinds.httpRoute, 'reviews')) as typeof split
    assert.deepEqual(
      stored.spec.rules[0]?.backendRefs.map(ref => ref.weight),
      [20, 80],
    )
    await until('split-seen-reviews-v2', 'data-share', share => share > 65)
  })

  test('tells every setting of a service with the document that says it, for one client and for another', async () => {
    const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'routepolicies', namespaced: true }
    await mesh.client.apply(policies, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'RoutePolicy',
      metadata: { name: 'patient', namespace: 'default' },
      spec: { targetRefs: [{ name: 'reviews' }], from: [{ service: 'reader' }], timeouts: { request: '7s' } },
    } as Resource)
    await goTo('/services/reviews.default')
    const field = page.locator('[data-testid=policy-field][data-field="timeouts.request"]').first()
    await field.waitFor()
    assert.match(await field.innerText(), /none\s+built in/)
    await page.getByTestId('policies-client').click()
    await page.getByRole('option', { name: 'reader.default' }).click()
    await mesh.until('the timeout of the reader', async () => /7s\s+RoutePolicy default\/patient/.test(await field.innerText()), patience)
    if (process.env['WEFT_SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['WEFT_SCREENSHOT'], fullPage: true })
    await mesh.client.delete(policies, 'patient')
    const tokens = { ...policies, plural: 'jwtpolicies' }
    const providers = [{ name: 'staff', issuer: 'https://staff.example', jwks: { url: 'https://staff.example/keys' } }]
    await mesh.client.apply(tokens, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'JWTPolicy',
      metadata: { name: 'staff', namespace: 'default' },
      spec: { targetRefs: [{ name: 'reviews' }], require: 'IfPresent', providers },
    } as Resource)
    await page.reload()
    const asked = page.locator('[data-testid=policy-field][data-field="tokens"]').first()
    await asked.waitFor()
    assert.match(await asked.innerText(), /issuers https:\/\/staff\.example, require IfPresent.*\s+JWTPolicy default\/staff/)
    await mesh.client.delete(tokens, 'staff')
  })

  test('tells on the page of a service what its routes do besides: copies, CORS, timeouts, faults and limits', async () => {
    const inWeft = (plural: string) => ({ group: 'weft.dev', version: 'v1alpha1', plural, namespaced: true })
    const rule = {
      matches: [{ path: { type: 'PathPrefix', value: '/extras' } }],
      filters: [
        { type: 'RequestMirror', requestMirror: { backendRef: { name: 'reviews-v2', port: 8080 }, percent: 20 } },
        { type: 'CORS', cors: { allowOrigins: ['https://shop.example.com'], allowMethods: ['GET'] } },
      ],
      timeouts: { request: '2s' },
      backendRefs: [{ name: 'reviews-v1', port: 8080 }],
    }
    const spec = { parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }], rules: [rule] }
    await mesh.client.apply(kinds.httpRoute, { ...split, metadata: { name: 'extras', namespace: 'default' }, spec } as Resource, {
      force: true,
    })
    const targetRefs = [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'extras' }]
    const policy = (kind: string, more: object): Resource =>
      ({
        apiVersion: 'weft.dev/v1alpha1',
        kind,
        metadata: { name: 'extras', namespace: 'default' },
        spec: { targetRefs, ...more },
      }) as Resource
    await mesh.client.apply(inWeft('faultpolicies'), policy('FaultPolicy', { abort: { httpStatus: 503, percent: 5 } }), { force: true })
    await mesh.client.apply(inWeft('ratelimitpolicies'), policy('RateLimitPolicy', { local: { requests: 50 } }), { force: true })
    await goTo('/services/reviews.default')
    const card = page.locator('[data-testid=route][data-route=extras]')
    for (const text of [
      '20 % is copied to reviews-v2:8080',
      'pages of https://shop.example.com may read the answers to GET',
      'the whole request may take 2s',
      '5 % is answered 503 on purpose',
      'each workload takes 50 in 1s',
    ])
      await card.getByText(text).waitFor()
    for (const plural of ['faultpolicies', 'ratelimitpolicies'])
      await mesh.client.delete(inWeft(plural), 'extras', { namespace: 'default' })
    await mesh.client.delete(kinds.httpRoute, 'extras', { namespace: 'default' })
  })

  test('shows on the page of a policy what became of it at each of its targets', async () => {
    const policies = { group: 'weft.dev', version: 'v1alpha1', plural: 'routepolicies', namespaced: true }
    await mesh.client.apply(policies, {
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'RoutePolicy',
      metadata: { name: 'astray', namespace: 'default' },
      spec: { targetRefs: [{ name: 'reviews' }, { name: 'nobody' }], timeouts: { try: '7s' } },
    } as Resource)
    await goTo('/resources/weft.dev/v1alpha1/routepolicies/default/astray')
    const amiss = page.locator('[data-testid=condition][data-type=Accepted][data-amiss=true]')
    await amiss.waitFor()
    assert.match(await amiss.innerText(), /TargetNotFound\s+spec\.targetRefs\[1\]: Service default\/nobody does not exist/)
    await page.locator('[data-testid=condition][data-type=Accepted][data-amiss=false]').waitFor()
    await page.getByText('at Service nobody').waitFor()
    await mesh.client.delete(policies, 'astray', { namespace: 'default' })
  })

  test('shows a problem of a document at its line, as the control plane tells it', async () => {
    await goTo('/resources/gateway.networking.k8s.io/v1/httproutes/default/reviews')
    await page.getByText('weight: 80', { exact: true }).click()
    await page.keyboard.press('End')
    await page.keyboard.type('0000000')
    await page.locator('.cm-lint-marker-error').waitFor()
    assert.match(await page.getByTestId('problems').innerText(), /line \d+ spec\.rules\[0\]\.backendRefs\[1\]\.weight/)
    assert.ok(await page.getByTestId('compare').isDisabled())
  })

  test('compares before it applies, and says where a new version is active', async () => {
    // Away from the text that the test before typed, and really away before coming back.
    await goTo('/services')
    await page.getByTestId('services').waitFor()
    await goTo('/resources/gateway.networking.k8s.io/v1/httproutes/default/reviews')
    await page.getByText('weight: 80', { exact: true }).click()
    await page.keyboard.press('End')
    await page.keyboard.press('Backspace')
    await page.keyboard.press('Backspace')
    await page.keyboard.type('30')
    // At once: it opens when the text was judged.
    await page.keyboard.press('Control+s')
    await page.locator('[data-testid=diff] [data-kind=added]').waitFor()
    assert.deepEqual(
      await page
        .locator('[data-testid=diff] [data-kind=removed], [data-testid=diff] [data-kind=added]')
        .allInnerTexts()
        .then(lines => lines.map(line => line.replaceAll(/\s+/g, ' '))),
      ['− weight: 80', '+ weight: 30'],
    )
    await page.getByTestId('apply').click()
    await page.locator('[data-testid=converging][data-active="3"]').waitFor()
  })

  test('shows every proxy in sync and what one of them has', async () => {
    await goTo('/proxies')
    const rows = page.getByTestId('proxies-row')
    await rows.nth(2).waitFor()
    assert.equal(await rows.count(), 3)
    await page.getByRole('link', { name: /^reader-.*\.default$/ }).click()
    const listener = page.locator('[data-testid=listener]', { hasText: 'reviews.default' }).first()
    await listener.locator('summary').first().click()
    await listener.getByText('HTTPRoute default/reviews').first().waitFor()
  })

  test('keeps the last picture when the control plane is killed, and goes on when it is back', async () => {
    await goTo('/')
    await page.getByTestId('node').first().waitFor()
    await mesh.control.stop('SIGKILL')
    await page.getByTestId('gone-banner').waitFor()
    assert.ok((await page.getByTestId('edge').count()) > 0)
    await mesh.startControl()
    await page.getByTestId('gone-banner').waitFor({ state: 'detached' })
    await until('edge', 'data-rate', rate => rate > 5)
  })

  test('asked nobody but the control plane, and no page broke', () => {
    assert.deepEqual(elsewhere, [])
    assert.deepEqual(broken, [])
  })
})
