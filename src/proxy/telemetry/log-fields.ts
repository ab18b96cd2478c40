/** The fields of the access log, of a request and of a connection. Queries, cookies and headers that hold secrets are in none of them. */

import { placeOf as placeIn } from '#model/access'
import type { Endpoint } from '#model/backend'
import { field } from '#wire/http1'
import { readTrace } from '#wire/trace-context'
import type { Ends } from '#wire/proxy-protocol'
import type { Exchange } from '../requests/exchange.ts'
import { type Denial, policyBehind } from './denial.ts'
import type { Entry, Party } from './entry.ts'
import type { Fields, LogValue } from './log-format.ts'
import { epochUs } from './span.ts'

/** endedAt: performance.now(). */
export type RequestTold = { readonly exchange: Exchange; readonly self: Party; readonly endedAt: number }

/** A connection of opaque bytes that is over, or was refused. status: what a request was answered that never became one. */
export type ConnectionTold = {
  readonly entry: Entry
  readonly self: Party
  readonly startedAt: number
  readonly endedAt: number
  readonly reason: string
  readonly detail: string
  readonly denial: Denial | undefined
  readonly service: string
  readonly workload: string
  readonly identity: string | undefined
  readonly backend: string
  readonly endpoint: Endpoint | undefined
  readonly bytesReceived: number | undefined
  readonly bytesSent: number | undefined
  readonly status?: number
}

const timeOf = (at: number): string => new Date(epochUs(at) / 1000).toISOString()
/** Milliseconds, to a tenth. */
const span = (from: number, to: number): number => Math.round((to - from) * 10) / 10
const placeOf = ({ service, namespace }: Party): string => (service === '' || namespace === '' ? service : `${service}.${namespace}`)
const placeAt = (end: { readonly host: string; readonly port: number } | undefined): LogValue =>
  end && `${end.host.includes(':') ? `[${end.host}]` : end.host}:${end.port}`
/** The kernel forgets them with the connection: they are asked for when it begins. */
const known = new WeakMap<Entry, Ends | undefined>()
export function endsOf(entry: Entry): Ends | undefined {
  if (!known.has(entry)) known.set(entry, entry.ends?.())
  return known.get(entry)
}
const isInbound = ({ listener }: Entry): boolean => listener.direction === 'inbound'
const sourceOf = (entry: Entry, self: Party): Party => (entry.listener.direction === 'outbound' ? self : entry.source)
const ownName = ({ workload, namespace }: Party): string => `${workload}.${namespace}`
/** Of absolute-form, without who says to be asking. */
const withoutUser = (host: string): string => host.slice(host.lastIndexOf('@') + 1)

/** Which policy decided: that of the reason where policies make it, else the one that let it in. */
function policyOf({ denial, reason, route, allowedBy }: Exchange): LogValue {
  if (denial !== undefined) return denial.policy
  return policyBehind(reason, route) ?? (allowedBy && placeIn(allowedBy).policy)
}

/** Sessions of datagrams are exchanges too, but no requests. */
const isRequest = ({ exchange }: RequestTold): boolean => exchange.entry.listener.protocol !== 'udp'
/** What was not even begun was not understood: nobody knows what it asked for. */
const ofRequests =
  (get: (exchange: Exchange) => LogValue, isOfAnswer = false): ((told: RequestTold) => LogValue) =>
  told =>
    isRequest(told) && (isOfAnswer || told.exchange.id !== 0) ? get(told.exchange) : undefined

export const requestFields: Fields<RequestTold> = {
  time: ({ exchange }) => timeOf(exchange.startedAt),
  direction: ({ exchange }) => exchange.entry.listener.direction,
  listener: ({ exchange }) => exchange.entry.listener.name,
  protocol: told => (isRequest(told) ? (told.exchange.isHttp1 ? `HTTP/1.${told.exchange.head.minor}` : 'HTTP/2') : 'UDP'),
  method: ofRequests(({ method }) => method),
  host: ofRequests(({ host }) => withoutUser(host)),
  path: ofRequests(({ path }) => path),
  status: ofRequests(({ status }) => (status === 0 ? undefined : status), true),
  grpcStatus: ofRequests(({ isGrpc, grpcStatus }) => (isGrpc ? grpcStatus : undefined)),
  reason: ({ exchange }) => exchange.reason,
  detail: ({ exchange }) => exchange.detail,
  decision: ({ exchange }) => exchange.denial?.decision,
  policy: ({ exchange }) => policyOf(exchange),
  rule: ({ exchange: { denial, allowedBy } }) => (denial === undefined ? allowedBy && placeIn(allowedBy).rule : denial.rule),
  condition: ({ exchange }) => exchange.denial?.condition(),
  route: ({ exchange }) => exchange.route?.name,
  source: ({ exchange, self }) => placeOf(sourceOf(exchange.entry, self)),
  sourceIdentity: ({ exchange, self }) => sourceOf(exchange.entry, self).identity,
  sourceAddress: ({ exchange }) => placeAt(endsOf(exchange.entry)?.source),
  destination: ({ exchange }) => exchange.service || exchange.entry.listener.service,
  destinationIdentity: ({ exchange, self }) => (isInbound(exchange.entry) ? (exchange.entry.own ?? self.identity) : exchange.identity),
  backend: ({ exchange }) => exchange.backend,
  endpoint: ({ exchange }) => placeAt(exchange.endpoint),
  workload: ({ exchange, self }) => (isInbound(exchange.entry) ? ownName(self) : exchange.workload),
  bytesReceived: ({ exchange }) => exchange.receivedBytes,
  bytesSent: ({ exchange }) => exchange.sentBytes,
  duration: ({ exchange, endedAt }) => span(exchange.startedAt, endedAt),
  firstByte: ({ exchange }) => (exchange.firstByteAt === 0 ? undefined : span(exchange.startedAt, exchange.firstByteAt)),
  attempts: ({ exchange }) => exchange.tries || undefined,
  tlsVersion: ({ exchange }) => exchange.entry.agreed?.version,
  tlsGroup: ({ exchange }) => exchange.entry.agreed?.group,
  requestId: ofRequests(exchange => exchange.sentId ?? exchange.header('x-request-id')),
  traceId: ofRequests(({ trace, head }) => trace?.traceId ?? readTrace(head.fields, ['w3c', 'b3'])?.traceId),
  userAgent: ofRequests(({ head }) => field(head.fields, 'user-agent')),
}

const nothing = (): undefined => undefined

export const connectionFields: Fields<ConnectionTold> = {
  time: ({ startedAt }) => timeOf(startedAt),
  direction: ({ entry }) => entry.listener.direction,
  listener: ({ entry }) => entry.listener.name,
  protocol: ({ status }) => (status === undefined ? 'TCP' : 'HTTP/2'),
  method: nothing,
  host: nothing,
  path: nothing,
  status: ({ status }) => status || undefined,
  grpcStatus: nothing,
  reason: ({ reason }) => reason,
  detail: ({ detail }) => detail,
  decision: ({ denial }) => denial?.decision,
  policy: ({ denial }) => denial?.policy,
  rule: ({ denial }) => denial?.rule,
  condition: ({ denial }) => denial?.condition(),
  route: nothing,
  source: ({ entry, self }) => placeOf(sourceOf(entry, self)),
  sourceIdentity: ({ entry, self }) => sourceOf(entry, self).identity,
  sourceAddress: ({ entry }) => placeAt(endsOf(entry)?.source),
  destination: ({ service }) => service,
  destinationIdentity: ({ entry, self, identity }) => (isInbound(entry) ? (entry.own ?? self.identity) : identity),
  backend: ({ backend }) => backend,
  endpoint: ({ endpoint }) => placeAt(endpoint),
  workload: ({ entry, self, workload }) => (isInbound(entry) ? ownName(self) : workload),
  bytesReceived: ({ bytesReceived }) => bytesReceived,
  bytesSent: ({ bytesSent }) => bytesSent,
  duration: ({ startedAt, endedAt }) => span(startedAt, endedAt),
  firstByte: nothing,
  attempts: nothing,
  tlsVersion: ({ entry }) => entry.agreed?.version,
  tlsGroup: ({ entry }) => entry.agreed?.group,
  requestId: nothing,
  traceId: nothing,
  userAgent: nothing,
}
