/** A Chromium of this machine with a profile of its own, and whether there is one. */

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { root } from './mesh.ts'

const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path => existsSync(path))

/** Why there is no browser here; false: there is one. */
export const lacksBrowser: string | false = executable === undefined ? 'no Chromium on this machine: apt-get install chromium' : false

/** The same of a browser and a dashboard to look at. */
export const lacksDashboard: string | false =
  lacksBrowser || (existsSync(join(root, 'dashboard/dist/index.html')) ? false : 'the dashboard is not built: node scripts/ready.mjs')

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const patienceMs = 60_000

export type Opened = AsyncDisposable & { readonly context: BrowserContext; readonly page: Page }

/** One page, which waits a minute for what is not there yet. ignoresCertificates: whoever signed them. */
export async function openBrowser({ ignoresCertificates = false } = {}): Promise<Opened> {
  const profile = mkdtempSync(join(tmpdir(), 'weft-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable!,
    args: flags,
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: ignoresCertificates,
  })
  const page = await context.newPage()
  page.setDefaultTimeout(patienceMs)
  return {
    context,
    page,
    [Symbol.asyncDispose]: async () => {
      await context.close()
      rmSync(profile, { recursive: true, force: true })
    },
  }
}
