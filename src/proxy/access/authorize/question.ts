/** What an authorization service is shown of a request: as the workload would see it, or of that what is chosen. */

import type { AuthorizerQuestion } from '#model/authorizer'
import { changeRequest } from '#model/rewrite'
import { forwardable } from '#wire/http1'
import type { CheckPeer, CheckQuestion } from '#xds/rpcs'
import type { Entry } from '../../telemetry/entry.ts'
import type { Exchange } from '../../requests/exchange.ts'
import { forwarded } from '../../requests/forwarding.ts'

/** What of the body is shown. isWhole: it is all of it, whatever the request says of its length. */
export type ShownBody = { readonly bytes: Uint8Array; readonly isWhole: boolean }

/** As Envoy calls it, beside each body that it shows; what a caller says there is never shown. */
const partial = 'x-envoy-auth-partial-body'

/** Names in lower case, each once: several of one name are one value with commas between (RFC 9110 §5.3). */
function headersOf(exchange: Exchange, some: readonly string[] | undefined, body: ShownBody | undefined): Record<string, string> {
  // The id that a request without one is given later is not known yet.
  const seen = forwarded(forwardable(exchange.head.fields), exchange.entry, () => '')
  const fields = exchange.requestChange === undefined ? seen : changeRequest(seen, exchange.requestChange)
  const found: Record<string, string> = Object.create(null) as Record<string, string>
  const wanted = some && new Set(some)
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase()
    const value = fields[at + 1]!
    if ((name === 'x-request-id' && value === '') || name === 'host' || name === partial || wanted?.has(name) === false) continue
    found[name] = found[name] === undefined ? value : `${found[name]}${name === 'cookie' ? '; ' : ','}${value}`
  }
  if (body !== undefined) found[partial] = String(!body.isWhole)
  return found
}

/** With the query, as it goes on. */
function pathOf({ judgedPath, path, sentSearch, search }: Exchange): string {
  const query = sentSearch ?? search
  return `${judgedPath ?? path}${query === '' ? '' : `?${query}`}`
}

const schemeOf = ({ isSecure, peer }: Entry): string => (isSecure === true || peer !== undefined ? 'https' : 'http')

function peersOf({ peer, own, ends }: Entry): { readonly source: CheckPeer; readonly destination: CheckPeer } {
  const found = ends?.()
  return {
    source: { principal: peer ?? '', ...(found === undefined ? {} : { address: found.source }) },
    destination: { principal: own ?? '', ...(found === undefined ? {} : { address: found.destination }) },
  }
}

/** For gRPC. headers: absent: all. */
export function questionOf(exchange: Exchange, headers: readonly string[] | undefined, body: ShownBody | undefined): CheckQuestion {
  const { entry, host, method, isHttp1, length } = exchange
  const path = pathOf(exchange)
  const scheme = schemeOf(entry)
  const pseudo = { ':method': method, ':path': path, ':authority': host, ':scheme': scheme }
  const shown = headersOf(exchange, headers, body)
  return {
    ...peersOf(entry),
    http: {
      id: exchange.header('x-request-id') ?? '',
      method,
      path,
      host,
      scheme,
      protocol: isHttp1 ? 'HTTP/1.1' : 'HTTP/2',
      headers: headers === undefined ? { ...pseudo, ...shown } : shown,
      size: typeof length === 'number' ? length : -1,
      ...(body === undefined ? {} : { body: body.bytes }),
    },
    atMs: Date.now(),
  }
}

/** Of a connection nobody looks into. */
export const questionOfConnection = (entry: Entry): CheckQuestion => ({ ...peersOf(entry), atMs: Date.now() })

/** For HTTP: the request itself, in front of its path a prefix. */
export function requestOf(
  exchange: Exchange,
  { prefix, headers }: Extract<AuthorizerQuestion, { type: 'http' }>,
  body: ShownBody | undefined,
): { readonly method: string; readonly target: string; readonly fields: readonly string[] } {
  const path = pathOf(exchange)
  const shown = headersOf(exchange, ['authorization', ...headers], body)
  return {
    method: exchange.method,
    target: `${prefix}${path.startsWith('/') ? path : '/'}`,
    fields: ['host', exchange.host, ...Object.entries(shown).flat()],
  }
}
