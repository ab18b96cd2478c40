/** The page of the control plane's status in a real browser: who is revoked, the revocation list, other trust domains with their days and what is wrong with them. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { createRoot } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { Mesh, root } from '../harness/mesh.ts'

const browser = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path => existsSync(path))
const skip =
  browser === undefined
    ? 'no Chromium on this machine: apt-get install chromium'
    : existsSync(join(root, 'dashboard/dist/index.html'))
      ? false
      : 'the dashboard is not built: node scripts/ready.mjs'

describe('trust on the dashboard', { skip, timeout: 90_000 }, () => {
  const profile = mkdtempSync(join(tmpdir(), 'weft-trust-browser-'))
  let mesh: Mesh
  let context: BrowserContext
  let page: Page

  before(async () => {
    mesh = await Mesh.start()
    context = await chromium.launchPersistentContext(profile, { executablePath: browser!, args: ['--no-sandbox', '--disable-gpu'] })
    page = await context.newPage()
  })
  after(async () => {
    await context?.close()
    await mesh?.[Symbol.asyncDispose]()
    rmSync(profile, { recursive: true, force: true })
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
})
