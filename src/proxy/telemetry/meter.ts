/** Counts what passes: requests, latency, bytes and connections by who called whom. */

import type { Clock } from '#base/clock'
import { placeOf } from '#model/access'
import type { AccessRule } from '#model/access-rule'
import { edgeLabels, metricNames, upstreamLabels } from '#model/metrics'
import { Calls, isCall } from './calls.ts'
import { familiesIn } from './families.ts'
import { Found } from './found.ts'
import type { CodedTell } from '../requests/compress.ts'
import { type Entry, type Party, partyOf } from './entry.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { Standing } from '../upstreams/lane.ts'
import { observe, Registry, type Sample } from '../registry.ts'

/** The other end, as far as it is known when the counting is done. */
export type Destination = { readonly service: string; readonly workload: string; readonly identity: string | undefined }

/** What there is to one endpoint now. */
export type UpstreamStanding = Standing & { readonly service: string; readonly workload: string }

export type LimitScope = 'local' | 'global' | 'connections'
export type LimitOutcome = 'allowed' | 'limited' | 'failed-open' | 'failed-closed'

export type AuthorizedOutcome = 'allowed' | 'denied' | 'failed-open' | 'failed-closed' | 'invalid'

type RequestSamples = { readonly requests: Sample; readonly duration: Sample; readonly sent: Sample; readonly received: Sample }
/** Of the flows of datagrams to one place. */
export type DatagramSamples = Readonly<Record<'sessions' | 'refused' | 'sent' | 'received' | 'dropped', Sample>>
export type ConnectionSamples = {
  readonly opened: Sample
  readonly active: Sample
  readonly sent: Sample
  readonly received: Sample
  readonly close: (reason: string) => void
}

/** How long a proxy that is idle is silent. */
const signOfLifeMs = 15_000

/** Series of decisions, of all the policies that there were. */
const mostDecisions = 1_000

export class Meter {
  readonly registry = new Registry()
  readonly #self: () => Party
  readonly #families = familiesIn(this.registry)
  readonly rejections = this.#families.rejections
  readonly #limitSamples = new Map<string, Record<LimitScope, Partial<Record<LimitOutcome, Sample>>>>()
  readonly #decisions = {
    allow: new WeakMap<AccessRule, Sample>(),
    deny: new WeakMap<AccessRule, Sample>(),
    audit: new WeakMap<AccessRule, Sample>(),
  }
  readonly #calls = new Calls(this.registry)
  readonly #found = new Found<RequestSamples>()
  readonly #foundTcp = new Found<ConnectionSamples>()

  constructor(self: () => Party, startedAt: number) {
    this.#self = self
    this.registry.family(metricNames.startTime, 'gauge', 'Start of this process, seconds since the epoch', []).sample([]).value =
      startedAt / 1000
  }

  /**
   * Tells from now on how long the certificate is good for. That a second has passed is no news for the control plane: it is pushed after a
   * renewal, and now and then as the sign of life of a proxy that has nothing else to tell.
   */
  follow(certificate: () => { readonly notAfter: number; readonly serial: string } | undefined, clock: Clock): void {
    let pushedAt = Number.NEGATIVE_INFINITY
    this.registry.before(reading => {
      const current = certificate()
      if (current === undefined) return this.#families.certificateExpiry.samples.clear()
      const { notAfter, serial } = current
      const now = clock.now()
      const isRenewed = !this.#families.certificateExpiry.has([serial])
      if (reading === 'changed' && !isRenewed && now - pushedAt < signOfLifeMs) return
      if (reading !== 'text') pushedAt = now
      if (isRenewed) this.#families.certificateExpiry.samples.clear()
      this.#families.certificateExpiry.sample([serial]).value = Math.round((notAfter - now) / 1000)
    })
  }

  /** An exchange is over. now: performance.now(). */
  request(exchange: Exchange, now: number): void {
    if (exchange.entry.listener.protocol === 'udp') return this.#session(exchange)
    const route = exchange.route?.origin ?? ''
    const code = exchange.status
    const { entry, service, workload, identity, reason } = exchange
    const protocol = exchange.isGrpc ? 'grpc' : exchange.isHttp1 ? 'http' : 'http2'
    const grpc = exchange.isGrpc ? grpcStatusOf(exchange) : undefined
    const seen = this.#found.at(entry.listener.name).at(entry.peer).at(service).at(workload).at(identity).at(route)
    const found = seen.at(protocol).at(code).at(grpc).at(reason)
    const samples = (found.samples ??= this.#samplesOf(exchange, route, String(code), protocol, grpc))
    samples.requests.value++
    observe(samples.duration, (now - exchange.startedAt) / 1000)
    samples.sent.value += exchange.receivedBytes
    samples.received.value += exchange.sentBytes
  }

  /** A request was taken in for the workload, or denied; told when it begins, for some never end. */
  called(exchange: Exchange, isDenied = false): void {
    const { entry, isGrpc, isHttp1, method, path } = exchange
    if (entry.listener.protocol === 'udp') return this.#calls.of(entry, 'udp', isDenied)?.count('', '')
    this.#calls.of(entry, isGrpc ? 'grpc' : isHttp1 ? 'http' : 'http2', isDenied)?.count(method, path)
  }

  #samplesOf(exchange: Exchange, route: string, code: string, protocol: string, grpc: number | undefined): RequestSamples {
    const edge = this.#edge(exchange.entry, exchange, protocol)
    const by = new Map(edgeLabels.map((label, at) => [label, edge[at]!]))
    return {
      requests: this.#families.requests.sample([...edge, route, code, grpc === undefined ? '' : String(grpc), exchange.reason]),
      duration: this.#families.duration.sample([
        by.get('direction')!,
        by.get('source_service')!,
        by.get('source_namespace')!,
        by.get('destination_service')!,
        by.get('destination_namespace')!,
        route,
        code === '0' ? '' : `${code[0]}xx`,
      ]),
      sent: this.#families.bytes.sample([...edge, 'sent']),
      received: this.#families.bytes.sample([...edge, 'received']),
    }
  }

  /** A stream that never became a request. status: what it was answered, 0 for a reset. */
  refused({ listener }: Entry, reason: string, status: number): void {
    this.#families.refused.sample([listener.direction, listener.name, String(status), reason]).value++
  }

  /** A copy of a request is over. */
  mirrored({ service, route, status, reason }: Exchange): void {
    const [name = '', namespace = ''] = service.split('.')
    this.#families.mirrored.sample([name, namespace, route?.origin ?? '', String(status), reason]).value++
  }

  /** policy: NAMESPACE/NAME. */
  limited(policy: string, scope: LimitScope, outcome: LimitOutcome): void {
    let known = this.#limitSamples.get(policy)
    if (known === undefined) this.#limitSamples.set(policy, (known = { local: {}, global: {}, connections: {} }))
    ;(known[scope][outcome] ??= this.#families.limited.sample([policy, scope, outcome])).value++
  }

  /** policy: the name of the authorizer. */
  authorized(policy: string, outcome: AuthorizedOutcome): void {
    this.#families.authorized.sample([policy, outcome]).value++
  }

  fault(policy: string, route: string, fault: string): void {
    this.#families.faults.sample([policy, route, fault]).value++
  }

  /** A body was compressed, or taken apart, on its way. Bound, for it is handed on for each such request. */
  readonly coded: CodedTell = (what, coding, bytesIn, bytesOut) => {
    this.#families.codedIn.sample([what, coding]).value += bytesIn
    this.#families.codedOut.sample([what, coding]).value += bytesOut
  }

  /** rule: absent where none holds. Beyond so many series all others are counted as one. */
  decision(rule: AccessRule | undefined, action: 'allow' | 'deny' | 'audit'): void {
    if (rule === undefined) return void this.#families.access.sample(['', '', action]).value++
    const known = this.#decisions[action]
    let sample = known.get(rule)
    if (sample === undefined) {
      const { policy, rule: place } = placeOf(rule)
      const labels = [policy, place, action]
      const isRoom = this.#families.access.samples.size < mostDecisions || this.#families.access.has(labels)
      known.set(rule, (sample = this.#families.access.sample(isRoom ? labels : ['others', '', action])))
    }
    sample.value++
  }

  /** by: `NAMESPACE/POLICY#RULE`, the policy alone for its default, or ''. place: one of a bounded number. */
  egress(by: string, action: 'allow' | 'deny', place: string): void {
    const [policy = '', rule = ''] = by.split('#')
    this.#families.egress.sample([policy, rule, action, place]).value++
  }

  /** A caller's connection is ended for what came on it. */
  failed({ direction, name }: Entry['listener'], reason: string): void {
    this.#families.failed.sample([direction, name, reason]).value++
  }

  /** Tells from now on what there is to endpoints at the moment of each reading. */
  watch(standings: () => Iterable<UpstreamStanding>): void {
    const gauges = [
      this.registry.family(metricNames.upstreamConnections, 'gauge', 'Connections to an endpoint', upstreamLabels),
      this.registry.family(metricNames.upstreamStreams, 'gauge', 'Requests under way to an endpoint over HTTP/2', upstreamLabels),
      this.registry.family(metricNames.upstreamWaiting, 'gauge', 'Requests that wait for a connection to an endpoint', upstreamLabels),
    ] as const
    this.registry.before(() => {
      for (const { samples } of gauges) for (const sample of samples.values()) sample.value = 0
      for (const { service, workload, alpn, connections, streams, waiting } of standings()) {
        const labels = [service, workload, alpn]
        gauges[0].sample(labels).value += connections
        gauges[1].sample(labels).value += streams
        gauges[2].sample(labels).value += waiting
      }
    })
  }

  /** A TCP connection begins; add to `sent` and `received` as bytes pass, call `close` once. refused: why, where it was turned away. */
  connection(entry: Entry, destination: Destination, refused = ''): ConnectionSamples {
    const { service, workload, identity } = destination
    const found = this.#foundTcp.at(entry.listener.name).at(entry.peer).at(service).at(workload).at(identity)
    const samples = (found.samples ??= this.#connectionSamples(entry, destination))
    samples.opened.value++
    samples.active.value++
    if (entry.listener.protocol !== 'udp' && isCall(refused)) this.#calls.of(entry, 'tcp', refused === 'access-denied')?.count('', '')
    return samples
  }

  /** A session of datagrams is over: how long it stood says nothing of latency, so it is counted as a connection. */
  #session({ entry, service, workload, identity, reason, receivedBytes, sentBytes }: Exchange): void {
    const samples = this.connection(entry, { service, workload, identity })
    samples.sent.value += receivedBytes
    samples.received.value += sentBytes
    samples.close(reason)
  }

  #connectionSamples(entry: Entry, destination: Destination): ConnectionSamples {
    const edge = this.#edge(entry, destination, entry.listener.protocol === 'udp' ? 'udp' : 'tcp')
    const active = this.#families.active.sample(edge)
    const close = (reason: string) => {
      active.value--
      this.#families.closed.sample([...edge, reason]).value++
    }
    return {
      opened: this.#families.opened.sample(edge),
      active,
      close,
      sent: this.#families.bytes.sample([...edge, 'sent']),
      received: this.#families.bytes.sample([...edge, 'received']),
    }
  }

  /** A flow of datagrams of the workload: what to count as it goes. */
  datagrams(service: string, to: string): DatagramSamples {
    return {
      sessions: this.#families.udpSessions.sample([service, to, 'relayed']),
      refused: this.#families.udpSessions.sample([service, to, 'refused']),
      sent: this.#families.udpDatagrams.sample([service, to, 'sent']),
      received: this.#families.udpDatagrams.sample([service, to, 'received']),
      dropped: this.#families.udpDatagrams.sample([service, to, 'dropped']),
    }
  }

  /** It is settled what the bytes of a connection are. */
  detected({ direction, name }: Entry['listener'], protocol: string, outcome: 'declared' | 'sniffed' | 'opaque'): void {
    this.#families.detections.sample([direction, name, protocol, outcome]).value++
  }

  /** Values in the order of `edgeLabels`. */
  #edge(entry: Entry, destination: Destination, protocol: string): string[] {
    const self = this.#self()
    // A Gateway is the caller of whom it hands requests to: who called it is not of the mesh.
    const isOut = entry.listener.direction !== 'inbound'
    const source = isOut ? self : partyOf(entry.peer, entry.view().trust)
    const [service = '', namespace = ''] = (destination.service || entry.listener.service).split('.')
    const to = isOut
      ? { service, namespace, workload: destination.workload, identity: destination.identity ?? '', version: '' }
      : { ...self, workload: `${self.workload}.${self.namespace}` }
    const from = isOut ? `${source.workload}.${source.namespace}` : source.workload
    const mtls = String((isOut ? destination.identity : entry.peer) !== undefined)
    return [
      entry.listener.direction,
      from,
      source.service,
      source.namespace,
      source.identity,
      to.workload,
      to.service,
      to.namespace,
      to.identity,
      to.version,
      protocol,
      mtls,
    ]
  }
}

/** What the caller of a gRPC call takes it to have ended with: gone callers have cancelled it, and HTTP without a status of gRPC is UNKNOWN. */
function grpcStatusOf({ grpcStatus, reason }: Exchange): number {
  if (grpcStatus !== undefined && Number.isInteger(grpcStatus) && grpcStatus >= 0 && grpcStatus <= 16) return grpcStatus
  return reason === 'caller-gone' ? 1 : 2
}
