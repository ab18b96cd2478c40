/** The page of the control plane's status in a real browser: who is revoked, the revocation list, other trust domains with their days and what is wrong with them. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { createRoot } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { lacksDashboard, openBrowser, type Opened } from '../harness/browser.ts'
import { Mesh } from '../harness/mesh.ts'

describe('trust on the dashboard', { skip: lacksDashboard, timeout: 90_000 }, () => {
  let mesh: Mesh
  let browser: Opened
  let page: Page

  before(async () => {
    mesh = await Mesh.start()
    browser = await openBrowser()
    page = browser.page
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await mesh?.[Symbol.asyncDispose]()
  })

  test('a mesh without any of it shows none of it; with it, names, reasons, days and failures', async () => {
    await page.goto(`${mesh.url}/#/status`)
    await page.getByTestId('certificates').waitFor()
    assert.equal(await page.getByTestId('revocations').count(), 0)
    assert.equal(await page.getByTestId('trust-domains').count(), 0)

    const revoked = await mesh.weft('cert', 'revoke', '--serial', '4f2a90c1', '--reason', 'Superseded')
    assert.equal(revoked.code, 0, revoked.stderr)
    const partner = createRoot('partner.test', await newKey(), Date.now())
    const domain = (name: string, spec: object) =>
      mesh.client.apply(
        { group: 'weft.dev', version: 'v1alpha1', plural: 'trustdomains', namespaced: false },
        { apiVersion: 'weft.dev/v1alpha1', kind: 'TrustDomain', metadata: { name }, spec },
      )
    await domain('partner', { trustDomain: 'partner.test', bundle: partner.root })
    await domain('gone', { trustDomain: 'gone.test', bundleEndpoint: { url: 'https://127.0.0.1:1/' } })

    const revocations = page.getByTestId('revocations')
    await mesh.until('the revocation list with one entry', async () => /1 certificate/.test(await revocations.innerText().catch(() => '')))
    assert.match(
      await revocations.innerText(),
      /serial-4f2a90c1-[0-9a-f]{10}\s+Superseded[\s\S]*serial 4f2a90c1[\s\S]*revocation list[\s\S]*Weft intermediate/,
    )
    const domains = page.getByTestId('trust-domains')
    await mesh.until('what is wrong with the other one', async () => /does not answer/.test(await domains.innerText().catch(() => '')))
    assert.match(await domains.innerText(), /gone\.test[\s\S]*nobody of it is believed[\s\S]*partner\.test[\s\S]*Weft root/)
  })

  test('of a workload that is revoked it is said since when and why, of others how long their certificate lasts', async () => {
    for (const name of ['web', 'thief'])
      mesh.run(name, ['sleep', '600'], { flags: ['--capture', 'proxy', '--port', '8080/tcp', '--ready', 'none'] })
    for (const name of ['web', 'thief']) await mesh.healthy(name)
    const table = page.getByTestId('workloads')
    const shown = async (name: string): Promise<string> => {
      await page.goto(`${mesh.url}/#/services/${name}.default`)
      await page.reload()
      await table.waitFor()
      return table.innerText()
    }
    await mesh.until('how long the certificate lasts', async () => /23 h.* left|1 d left/.test(await shown('web')), 30_000)
    const revoked = await mesh.weft('cert', 'revoke', 'thief.default', '--reason', 'KeyCompromise')
    assert.equal(revoked.code, 0, revoked.stderr)
    await mesh.until(
      'who is revoked',
      async () => /revoked (just now|\d+ \w+ ago)[\s\S]*by Revocation default-thief-\w+ \(KeyCompromise\)/i.test(await shown('thief')),
      30_000,
    )
    await page.goto(`${mesh.url}/#/proxies`)
    await page.getByTestId('revoked').first().waitFor()
  })
})
