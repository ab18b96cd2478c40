/** Routes beside the Kubernetes API, such as those under /weft/v1: a method, a path with `:names`, a function. */

import type { HttpReply } from '#io/http-server'
import type { Asked } from '../operators/principal.ts'

/** path: `/weft/v1/proxies/:id/config`. Who may call it says operators/rights.ts: without an entry there, nobody. What `handle` throws as a Refusal, or as a StoreError, becomes a Status. */
export type ExtraRoute = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly handle: (request: Asked, params: Readonly<Record<string, string>>) => HttpReply | Promise<HttpReply>
}

export type Found = { readonly route: ExtraRoute; readonly params: Readonly<Record<string, string>> }

/** `wrong-method`: the path is there under another one. */
export function findExtra(routes: readonly ExtraRoute[], method: string, path: string): Found | 'wrong-method' | undefined {
  let isKnown = false
  for (const route of routes) {
    const params = match(route.path, path)
    if (!params) continue
    if (route.method === method || (route.method === 'GET' && method === 'HEAD')) return { route, params }
    isKnown = true
  }
  return isKnown ? 'wrong-method' : undefined
}

function match(pattern: string, path: string): Record<string, string> | undefined {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  if (wanted.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, part] of wanted.entries()) {
    const value = given[at]!
    if (part.startsWith(':') && value !== '') params[part.slice(1)] = tryDecode(value)
    else if (part !== value) return undefined
  }
  return params
}

function tryDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
