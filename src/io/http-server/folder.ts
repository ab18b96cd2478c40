/** Files of one folder as replies: the built dashboard. Nothing outside the folder can be named. */

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HttpReply, HttpRequest } from './contract.ts'

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  map: 'application/json',
  txt: 'text/plain; charset=utf-8',
}

/**
 * undefined: there is no such file. A path without an extension is a page of the application, which its index.html shows.
 * Files under /assets/ carry a hash in their name and are kept by browsers for good; all others are asked for again by ETag.
 */
export function serveFolder(folder: string): (request: Pick<HttpRequest, 'path' | 'headers'>) => Promise<HttpReply | undefined> {
  return async ({ path, headers }) => {
    const steps = stepsOf(path)
    if (!steps) return undefined
    const last = steps.at(-1) ?? ''
    const file = last.includes('.') ? join(folder, ...steps) : join(folder, 'index.html')
    const found = await stat(file).catch(() => undefined)
    if (!found?.isFile()) return undefined
    const etag = `"${found.size.toString(36)}-${Math.floor(found.mtimeMs).toString(36)}"`
    const kept = {
      etag,
      'cache-control': steps[0] === 'assets' ? 'public, max-age=31536000, immutable' : 'no-cache',
      'x-content-type-options': 'nosniff',
    }
    if (headers['if-none-match'] === etag) return { status: 304, headers: kept }
    const type = types[file.slice(file.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
    return { status: 200, headers: { ...kept, 'content-type': type }, body: await readFile(file) }
  }
}

/** undefined for a path that could leave the folder or names a hidden file. */
function stepsOf(path: string): readonly string[] | undefined {
  try {
    const steps = decodeURIComponent(path)
      .split('/')
      .filter(step => step !== '')
    return steps.some(step => step.startsWith('.') || step.includes('\\') || step.includes('\0')) ? undefined : steps
  } catch {
    return undefined
  }
}
