/** What is asked, as it is typed: `cart:8080`, `dns.shop:53/udp`, `http://cart/items`; `GET /items?x=1`; `-H 'name: value'`. */

import { networkOf } from '#model/access'
import { type Claims, claimPath } from '#model/claims'
import type { Question } from '#model/explain'
import { badUsage } from '../exit.ts'

export type Asked = {
  readonly to: string
  readonly words: readonly string[]
  readonly headers: readonly string[]
  readonly serverName?: string | undefined
  /** `name=value`, of a token that is verified; several of one name are a list. */
  readonly claims?: readonly string[]
  readonly address?: string | undefined
  /** RFC 3339. */
  readonly at?: string | undefined
}
/** isPlain: neither a method nor a content type was asked for, so that a port of gRPC is asked by gRPC. */
export type Read = { readonly question: Question; readonly isPlain: boolean; readonly place: string }

/** Throws with everything that is wrong. */
export function readQuestion({ to, words, headers: lines, serverName, claims = [], address, at }: Asked): Read {
  const wrong: string[] = []
  const target =
    /^(?:(?<scheme>https?|grpc):\/\/)?(?<name>\[[0-9A-Fa-f:.]+\]|[^/:\s]+)(?::(?<port>\d+)(?<udp>\/udp)?)?(?<path>\/.*)?$/.exec(to)?.groups
  if (target === undefined) wrong.push(`--to "${to}" is no NAME, NAME:PORT, NAME:PORT/udp or URL`)
  const { scheme, name = '', port: digits, udp, path: inUrl } = target ?? {}
  const port = digits === undefined ? (scheme === 'https' ? 443 : scheme === 'http' ? 80 : undefined) : Number(digits)
  if (port !== undefined && (port < 1 || port > 65_535)) wrong.push(`--to "${to}": ${port} is no port`)
  const targets = words.filter(word => word.startsWith('/') || word === '*')
  // Beside a path any word of RFC 9110 §9.1 is one: callers may send what no server knows.
  const method =
    words.find(word => /^[A-Z][A-Z-]*$/.test(word)) ??
    (words.length === 2 && targets.length === 1
      ? words.find(word => !targets.includes(word) && /^[!#$%&'*+\-.^_`|~\w]+$/.test(word))
      : undefined)
  const other = words.filter(word => word !== method && !targets.includes(word))
  if (other.length > 0) wrong.push(`"${other.join(' ')}" is neither a method in capitals nor a path that begins with "/"`)
  if (targets.length > 1) wrong.push(`only one path at a time: ${targets.join(' ')}`)
  const headers = lines.map(line => {
    const colon = line.indexOf(':')
    if (colon < 1) wrong.push(`-H "${line}" is no "name: value"`)
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  const said = claimsOf(claims, wrong)
  if (address !== undefined && networkOf(address)?.length !== networkOf(address)?.bits)
    wrong.push(`--address "${address}" is a network: give one address`)
  if (address !== undefined && networkOf(address) === undefined) wrong.push(`--address "${address}" is no address`)
  const moment = at === undefined ? undefined : Date.parse(at)
  if (at !== undefined && (Number.isNaN(moment) || !/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/i.test(at)))
    wrong.push(`--at "${at}" is no time of RFC 3339, such as 2026-12-24T08:00:00Z`)
  if (wrong.length > 0) throw badUsage(wrong)
  const place = port === undefined || (scheme !== undefined && digits === undefined) ? name : `${name}:${port}`
  const all = new Map<string, string>()
  for (const [key, value] of headers) all.set(key, all.has(key) ? `${all.get(key)},${value}` : value)
  const isPlain = method === undefined && !all.has('content-type')
  const host = all.get('host') ?? place
  const [path = '/', search = ''] = (targets[0] ?? inUrl ?? '/').split(/\?(.*)/s)
  const question: Question = {
    name,
    ...(port === undefined ? {} : { port }),
    ...(udp === undefined ? {} : { transport: 'udp' as const }),
    ...(serverName === undefined ? {} : { serverName: serverName.toLowerCase() }),
    ...(scheme === 'https' ? { isSecure: true as const } : {}),
    request: {
      method: method ?? 'GET',
      host,
      path,
      search,
      header: key => (key === 'host' ? host : all.get(key)),
      ...(said === undefined ? {} : { claims: said }),
      ...(address === undefined && moment === undefined
        ? {}
        : { asked: { ...(address === undefined ? {} : { address }), ...(moment === undefined ? {} : { at: moment }) } }),
    },
  }
  return { question: scheme === 'grpc' && isPlain ? asCall(question) : question, isPlain, place }
}

function claimsOf(lines: readonly string[], wrong: string[]): Claims | undefined {
  if (lines.length === 0) return undefined
  const claims: Record<string, unknown> = {}
  for (const line of lines) {
    const [name = '', value] = line.split(/=(.*)/s)
    const path = claimPath(name)
    if (value === undefined || path.length === 0) {
      wrong.push(`--claim "${line}" is no NAME=VALUE`)
      continue
    }
    let at = claims
    for (const part of path.slice(0, -1)) {
      const inner = at[part]
      at = (typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : (at[part] = {})) as Record<string, unknown>
    }
    const last = path.at(-1)!
    const had = Object.hasOwn(at, last) ? at[last] : undefined
    at[last] = had === undefined ? value : [...(Array.isArray(had) ? (had as unknown[]) : [had]), value]
  }
  return claims
}

/** The same as a gRPC call. */
export const asCall = (question: Question): Question => ({
  ...question,
  request: {
    ...question.request,
    method: 'POST',
    header: key => (key === 'content-type' ? 'application/grpc' : question.request.header(key)),
  },
})
