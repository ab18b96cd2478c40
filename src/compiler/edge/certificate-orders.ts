/** Which certificates CertificateIssuers are to get for listeners of Gateways, what is said of each, and the answers to challenges on the way. */

import type { Outbound } from '#model/mesh'
import type { Route, RouteTable, VirtualHost } from '#model/route'
import type { Gateway } from '#resources/gateway-api'
import { type CertificateIssuer, issuerAnnotation } from '#resources/weft'
import { covers } from './hosts.ts'
import type { EdgeListener } from './listeners.ts'
import { endsTls } from './listeners.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { issuerOf, whyNoOrder } from './issuers.ts'
import type { ResourceStatus } from '../status.ts'
import { state, statusFor } from '../status.ts'

/** All names are `NAMESPACE/NAME`. hosts: each with the Gateways by which it is reached. */
export type OrderedCertificate = {
  readonly issuer: string
  readonly secret: string
  readonly hosts: readonly { readonly host: string; readonly gateway: string }[]
}
/** What became of an order; times in RFC 3339. */
export type KnownOrder = {
  readonly notAfter?: string
  readonly renewsAt?: string
  /** From when on it is dangerous that there is no other. */
  readonly dangerFrom?: string
  readonly problem?: string
  readonly triesAt?: string
}
/** To be answered by the HTTP listeners of a Gateway, as long as it is there (RFC 8555 §8.3). */
export type ShownChallenge = { readonly gateway: string; readonly host: string; readonly token: string; readonly answer: string }

type Edge = { readonly gateway: Gateway; readonly listeners: readonly EdgeListener[] }
type Wanted = { readonly issuer: string; readonly secret: string; readonly hosts: OrderedCertificate['hosts']; readonly problem?: string }

/** known: by Secret. */
export function findOrders(
  edges: readonly Edge[],
  gathered: Pick<Gathered, 'certificateIssuers' | 'secrets'>,
  known: Readonly<Record<string, KnownOrder>>,
): { readonly ordered: readonly OrderedCertificate[]; readonly statuses: readonly ResourceStatus[] } {
  if (gathered.certificateIssuers.length === 0) return { ordered: [], statuses: [] }
  const wanted = new Map<string, Wanted>()
  const refused: Wanted[] = []
  for (const { gateway, listeners } of edges)
    for (const { holder, spec, conflict } of listeners) {
      const name = issuerOf(holder)
      if (name === undefined || !endsTls(spec) || conflict !== undefined) continue
      for (const ref of spec.tls?.certificateRefs ?? []) {
        if (ref.group !== '' || ref.kind !== 'Secret' || (ref.namespace ?? namespaceOf(holder)) !== namespaceOf(holder)) continue
        const secret = `${namespaceOf(holder)}/${ref.name}`
        const issuer = `${namespaceOf(holder)}/${name}`
        // What somebody else filled is theirs.
        const filled = gathered.secrets.find(each => nameOf(each) === secret)
        if (filled !== undefined && filled.metadata.annotations?.[issuerAnnotation] === undefined) continue
        const hosts = [{ host: spec.hostname ?? '', gateway: nameOf(gateway) }]
        const before = wanted.get(secret)
        const no =
          whyNoOrder(holder, spec, gathered) ??
          whyUnproved(gateway, listeners, spec.hostname) ??
          (before !== undefined && before.issuer !== issuer
            ? `CertificateIssuer ${before.issuer} fills it for an older Gateway`
            : undefined)
        if (no !== undefined) refused.push({ issuer, secret, hosts, problem: no })
        else wanted.set(secret, { issuer, secret, hosts: distinct([...(before?.hosts ?? []), ...hosts]) })
      }
    }
  const ordered = [...wanted.values()].sort((one, other) => (one.secret < other.secret ? -1 : 1))
  return { ordered, statuses: gathered.certificateIssuers.map(each => report(each, [...ordered, ...refused], known)) }
}

const distinct = (hosts: OrderedCertificate['hosts']): OrderedCertificate['hosts'] =>
  hosts.filter((each, at) => hosts.findIndex(other => other.host === each.host && other.gateway === each.gateway) === at)

/** RFC 8555 §8.3: the server asks by plain HTTP. */
function whyUnproved(gateway: Gateway, listeners: readonly EdgeListener[], host = ''): string | undefined {
  return listeners.some(({ spec, holds }) => holds && spec.protocol === 'HTTP')
    ? undefined
    : `Gateway ${nameOf(gateway)} has no HTTP listener by which http-01 could prove ${host}: add one, reached on port 80 of that name`
}

function report(issuer: CertificateIssuer, all: readonly Wanted[], known: Readonly<Record<string, KnownOrder>>): ResourceStatus {
  const own = all.filter(each => each.issuer === nameOf(issuer))
  const certificates = own.slice(0, 256).map(({ secret, hosts, problem }) => ({
    secret: secret.slice(secret.indexOf('/') + 1),
    names: [...new Set(hosts.flatMap(({ host }) => host || []))],
    ...(problem === undefined ? known[secret] : { problem }),
  }))
  const failing = certificates.find(each => each.problem !== undefined)
  const missing = certificates.filter(each => each.notAfter === undefined)
  const says =
    failing &&
    `Secret ${failing.secret}: ${failing.problem}${failing.notAfter === undefined ? '' : `; the last certificate serves on, is good until ${failing.notAfter}, and from ${failing.dangerFrom ?? failing.notAfter} on its end is near`}`
  const issued =
    failing !== undefined
      ? state(issuer, 'Issued', false, 'OrderFailed', says!)
      : missing.length > 0
        ? state(issuer, 'Issued', false, 'Pending', `ordered: ${missing.map(({ secret }) => `Secret ${secret}`).join(', ')}`)
        : state(issuer, 'Issued', true, 'Issued', 'All certificates are had, and renewed in time')
  return statusFor(issuer, {
    conditions: [
      own.length > 0
        ? state(issuer, 'Accepted', true, 'Accepted', 'Gateways get certificates of it')
        : state(issuer, 'Accepted', true, 'Unused', `No Gateway of its namespace wants one: name it by the annotation ${issuerAnnotation}`),
      ...(own.length === 0 ? [] : [issued]),
    ],
    more: { certificates },
  })
}

/** Before all other routes of plain HTTP and without their policies: only who knows the token is answered. */
export function withChallenges(
  gateways: Readonly<Record<string, Outbound>>,
  challenges: readonly ShownChallenge[],
): Readonly<Record<string, Outbound>> {
  if (challenges.length === 0) return gateways
  return Object.fromEntries(
    Object.entries(gateways).map(([name, edge]) => {
      const own = challenges.filter(({ gateway }) => gateway === name)
      const plain = new Set(Object.values(edge.listeners).flatMap(({ routes }) => routes ?? []))
      if (own.length === 0) return [name, edge]
      const routes = Object.entries(edge.routes).map(([at, table]) => [at, plain.has(at) ? answering(table, own) : table] as const)
      return [name, { ...edge, routes: Object.fromEntries(routes) }]
    }),
  )
}

function answering(table: RouteTable, challenges: readonly ShownChallenge[]): RouteTable {
  let { hosts } = table
  for (const challenge of challenges) {
    const route = routeOf(challenge)
    const fits = ({ domains }: VirtualHost): boolean => domains.some(each => covers(each, challenge.host))
    hosts = hosts.some(fits)
      ? hosts.map(each => (fits(each) ? { ...each, routes: [route, ...each.routes] } : each))
      : [...hosts, { name: challenge.host, domains: [challenge.host], routes: [route] }]
  }
  return { ...table, hosts }
}

const routeOf = ({ host, token, answer }: ShownChallenge): Route => ({
  name: `acme/${host}/${token}`,
  origin: `challenge http-01 for ${host}`,
  match: { path: { type: 'exact', value: `/.well-known/acme-challenge/${token}` } },
  filters: [],
  action: { type: 'respond', status: 200, detail: answer },
})
