/** What every reply tells browsers, so that a page of somebody else can do nothing with it; and which pages elsewhere may (CORS). */

import { hostOf, type HttpReply, type HttpRequest, isLoopback } from '#io/http-server'

/** Scripts only from files of ours; styles may be in the page, where the dashboard's components put them. */
export const pagePolicy = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "worker-src 'self' blob:",
  "connect-src 'self'",
  "object-src 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'self'",
].join('; ')

type Headers = Readonly<Record<string, string | readonly string[]>>

/** RFC 6797: for a year nothing but TLS. Not for loopback, where other servers of other ports have the same name. */
const strictly = { 'strict-transport-security': 'max-age=31536000' }

const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}
const apiPolicy = "default-src 'none'; frame-ancestors 'none'"

/** What the handler says stands; answers of the API are kept nowhere. */
export function bindBrowser(reply: HttpReply, { isSecure, headers }: HttpRequest, cors: Headers): HttpReply {
  const isPage = reply.headers?.['content-security-policy'] !== undefined
  return {
    ...reply,
    headers: {
      ...always,
      ...(isPage ? {} : { 'content-security-policy': apiPolicy, 'cache-control': 'no-store' }),
      ...(isSecure && !isLoopback(hostOf(headers['host'] ?? '')) ? strictly : {}),
      ...cors,
      ...reply.headers,
    },
  }
}

const allowed = ({ headers }: HttpRequest, origins: readonly string[]): string | undefined => {
  const { origin } = headers
  return origin !== undefined && origins.includes(origin) ? origin : undefined
}

/** Cookies stay at home: who calls from elsewhere brings a token. */
export function corsHeaders(request: HttpRequest, origins: readonly string[]): Headers {
  if (origins.length === 0) return {}
  const origin = allowed(request, origins)
  return {
    vary: 'origin',
    ...(origin === undefined ? {} : { 'access-control-allow-origin': origin, 'cross-origin-resource-policy': 'cross-origin' }),
  }
}

/** Of Fetch, "CORS-preflight fetch"; undefined: it is none, or of a page that may not. */
export function preflight(request: HttpRequest, origins: readonly string[]): HttpReply | undefined {
  if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return undefined
  if (allowed(request, origins) === undefined) return undefined
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': 'authorization, content-type, accept',
      'access-control-max-age': '600',
    },
  }
}
