/**
 * What a request that is over tells as a span: names by the semantic conventions of OpenTelemetry for HTTP and RPC, and `weft.*` for what only a mesh knows.
 * Neither queries nor headers are told (but User-Agent, and what the operator names): either may hold secrets.
 */

import { failures, type FailureCode } from '#base/failure'
import type { Endpoint } from '#model/backend'
import type { Attributes, OtlpValue, Span } from '#wire/otlp'
import type { Exchange } from '../requests/exchange.ts'
import type { Party } from './entry.ts'
import type { FailedTry, RequestTrace } from './trace.ts'

/** Of one span; with those that the operator names. */
const mostAttributes = 64
/** Characters of a value, and of the status. */
const longestValue = 1024
const longestError = 256

/** now: performance.now(). */
export function spanOf(exchange: Exchange, trace: RequestTrace, self: Party, now: number): Span {
  const { listener } = exchange.entry
  const kind = listener.direction === 'outbound' ? 'client' : 'server'
  const told = new Told()
  tellRequest(told, exchange, kind)
  tellMesh(told, exchange, self, kind)
  tellDenial(told, exchange)
  tellAsked(told, exchange, trace)
  const error = errorOf(exchange, kind)
  const tries = trace.failedTries ?? []
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    parentId: trace.parentId,
    isSampled: trace.isSampled,
    state: trace.state,
    name: nameOf(exchange),
    kind,
    startUs: epochUs(exchange.startedAt),
    endUs: epochUs(now),
    attributes: told.attributes,
    ...(told.untold === 0 ? {} : { droppedAttributes: told.untold }),
    events: tries.map(each => ({ atUs: epochUs(each.at), name: 'weft.try.failed', attributes: triedAt(each) })),
    ...(trace.untoldTries === 0 ? {} : { droppedEvents: trace.untoldTries }),
    ...(error === undefined ? {} : { error: error.slice(0, longestError) }),
  }
}

class Told {
  readonly attributes: (readonly [string, OtlpValue])[] = []
  untold = 0

  /** Nothing is said of what there is not. */
  add(name: string, value: OtlpValue | undefined): void {
    if (value === undefined || value === '') return
    if (this.attributes.length >= mostAttributes) this.untold++
    else this.attributes.push([name, typeof value === 'string' ? value.slice(0, longestValue) : value])
  }
}

/** RFC 9110 §9.3, RFC 5789 and QUERY: others are words of the caller, and do not count as names. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY'])

/** Few for one service: of gRPC the method; else the method of HTTP, and the path where its route names one. */
function nameOf({ method, path, isGrpc, route }: Exchange): string {
  if (isGrpc) return path.slice(1, 1 + longestError)
  const matched = route?.match.path
  const place = matched === undefined || matched.type === 'regex' || matched.value === '/' ? '' : ` ${matched.value}`
  return `${methods.has(method) ? method : 'HTTP'}${place}`
}

function tellRequest(told: Told, exchange: Exchange, kind: Span['kind']): void {
  const { method, path, isGrpc, isHttp1, head, entry, endpoint, status, tries } = exchange
  const isKnown = methods.has(method)
  const { host, port } = authorityOf(exchange)
  const scheme = entry.isSecure === true ? 'https' : 'http'
  told.add('http.request.method', isKnown ? method : '_OTHER')
  if (!isKnown) told.add('http.request.method_original', method)
  told.add('url.scheme', scheme)
  told.add('url.path', path)
  if (kind === 'client' && method !== 'CONNECT') told.add('url.full', `${scheme}://${withoutUser(exchange.host)}${path}`)
  told.add('server.address', host)
  told.add('server.port', port)
  if (status !== 0) told.add('http.response.status_code', status)
  told.add('network.protocol.name', 'http')
  told.add('network.protocol.version', isHttp1 ? `1.${head.minor}` : '2')
  told.add('http.request.body.size', exchange.receivedBytes)
  told.add('http.response.body.size', exchange.sentBytes)
  if (tries > 1) told.add('http.request.resend_count', tries - 1)
  if (kind === 'client') {
    told.add('network.peer.address', endpoint?.host)
    told.add('network.peer.port', endpoint?.port)
  } else {
    told.add('client.address', entry.ends?.()?.source.host)
    told.add('user_agent.original', exchange.header('user-agent'))
  }
  if (!isGrpc) return
  const [, service, name] = path.split('/')
  told.add('rpc.system', 'grpc')
  told.add('rpc.service', service)
  told.add('rpc.method', name)
  told.add('rpc.grpc.status_code', exchange.grpcStatus)
}

function tellMesh(told: Told, exchange: Exchange, self: Party, kind: Span['kind']): void {
  const { entry, route, status, service, backend, endpoint, workload, identity, reason, detail } = exchange
  const isInbound = entry.listener.direction === 'inbound'
  const isOfMesh = entry.listener.direction !== 'gateway'
  told.add('weft.direction', entry.listener.direction)
  told.add('weft.source.service', isInbound ? placeOf(entry.source) : isOfMesh ? placeOf(self) : 'outside')
  told.add('weft.source.identity', isInbound ? entry.peer : self.identity)
  told.add('weft.destination.service', service || entry.listener.service)
  told.add('weft.destination.identity', isInbound ? (entry.own ?? self.identity) : identity)
  told.add('weft.route', route?.origin)
  told.add('weft.backend', backend)
  told.add('weft.endpoint', endpoint === undefined ? undefined : placeAt(endpoint))
  told.add('weft.workload', workload)
  told.add('weft.request_id', exchange.header('x-request-id'))
  if (reason === '') return told.add('error.type', status < failingFrom[kind] ? undefined : String(status))
  told.add('error.type', reason)
  told.add('weft.reason', reason)
  told.add('weft.detail', detail)
}

function tellDenial(told: Told, { denial }: Exchange): void {
  if (denial === undefined) return
  told.add('weft.decision', denial.decision)
  told.add('weft.policy', denial.policy)
  told.add('weft.rule', denial.rule)
  told.add('weft.condition', denial.condition())
}

/** What the operator wants to know besides. */
function tellAsked(told: Told, exchange: Exchange, { tracing }: RequestTrace): void {
  for (const each of tracing.attributes) told.add(each.name, 'value' in each ? each.value : (exchange.header(each.header) ?? each.absent))
}

const placeOf = ({ service, namespace }: Party): string => (service === '' || namespace === '' ? service : `${service}.${namespace}`)
const placeAt = ({ host, port }: Endpoint): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

function triedAt({ backend, endpoint, why }: FailedTry): Attributes {
  const at = endpoint === undefined ? [] : ([['weft.endpoint', placeAt(endpoint)]] as const)
  return [['weft.backend', backend], ...at, ['error.type', why]]
}

const withoutUser = (host: string): string => host.slice(host.lastIndexOf('@') + 1)

/** What the caller asked for: the port where it names one, else that of the place where it came in. */
function authorityOf({ host, entry }: Exchange): { readonly host: string; readonly port: number } {
  const [, name, port] = /^(.*?)(?::(\d{1,5}))?$/.exec(withoutUser(host)) ?? []
  return { host: (name ?? '').replace(/^\[(.*)\]$/, '$1'), port: port === undefined ? entry.listener.port : Number(port) }
}

/** To a server, what its caller did wrong is no failure of its own. */
const failingFrom = { client: 400, server: 500 } as const

/** gRPC statuses by which a server says that it failed: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const failedServer = new Set([2, 4, 12, 13, 14, 15])

/** What the mesh made of it comes first; else what was answered. Empty: the status says it already. */
function errorOf({ reason, detail, denial, status, isGrpc, grpcStatus = 0 }: Exchange, kind: Span['kind']): string | undefined {
  if (denial !== undefined) return `${reason}: ${denial.condition()}`
  const isCallers = reason !== '' && Object.hasOwn(failures, reason) && failures[reason as FailureCode].blame === 'downstream'
  if (reason !== '' && (kind === 'client' || !isCallers)) return detail === '' ? reason : `${reason}: ${detail}`
  if (isGrpc && grpcStatus !== 0) return kind === 'client' || failedServer.has(grpcStatus) ? `gRPC status ${grpcStatus}` : undefined
  return status < failingFrom[kind] ? undefined : ''
}

/** So much may the clock of the machine and that of this process differ before one is set by the other. */
const mostDriftMs = 20
let originMs = performance.timeOrigin

/** performance.now() as microseconds since the epoch. The end of a span is never before its beginning, also where the clock of the machine was set meanwhile. */
export function epochUs(at: number): number {
  const drift = Date.now() - (originMs + performance.now())
  if (Math.abs(drift) > mostDriftMs) originMs += drift
  return Math.round((originMs + at) * 1000)
}
