/** The built dashboard, as the control plane serves it: files by their path, and the page itself for every address within it. */

import { readFolder } from '#io/folder'
import type { HttpReply, HttpRequest } from '#io/http-server'
import { pagePolicy } from './operators/browser.ts'

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  json: 'application/json',
}

const notBuilt = `<!doctype html><title>Weft</title><body style="font-family: sans-serif; max-width: 40em; margin: 4em auto">
<h1>The dashboard is not built</h1><p>Run <code>node scripts/ready.mjs</code> in the clone, then restart the control plane. The API at <a href="/apis">/apis</a> and <a href="/weft/v1/status">/weft/v1/status</a> is there.</p>`

/** folder: read whole at the first request, as it is small and does not change while we run. */
export function staticFiles(folder: string): (request: HttpRequest) => HttpReply | undefined {
  let files: ReadonlyMap<string, Uint8Array> | undefined
  return ({ path }) => {
    files ??= readFolder(folder)
    const name = path === '/' ? 'index.html' : path.slice(1)
    const found = files.get(name)
    if (found !== undefined) return reply(name, found)
    // An address of the page's own, such as /services/default/cart; a missing asset is missing.
    if (/\.[a-z0-9]+$/.test(path) && path.startsWith('/assets/')) return undefined
    const page = files.get('index.html')
    return page === undefined ? { status: 200, headers: { 'content-type': types['html']! }, body: notBuilt } : reply('index.html', page)
  }
}

function reply(name: string, body: Uint8Array): HttpReply {
  const type = types[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
  // Built files carry a hash in their names; the page itself does not.
  const caching = name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
  return {
    status: 200,
    headers: { 'content-type': type, 'cache-control': caching, 'content-security-policy': pagePolicy },
    body,
  }
}
