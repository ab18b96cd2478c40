/**
 * The access log: a line for each request and each connection that is over, where its listener asks for one, by the view of that moment. Lines go where
 * nobody waits for them (`Lines`). While no listener asks for any, requests cost one look at `isOn`.
 */

import type { Clock } from '#base/clock'
import type { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { Lines } from '#io/lines'
import { logLabels, metricNames } from '#model/metrics'
import type { AccessLog, LogCondition } from '#model/telemetry'
import { emptyView, type View } from '#model/view'
import { encodeLog, type LogRecord } from '#wire/otlp'
import type { Family, Registry } from '../registry.ts'
import type { Exchange } from '../requests/exchange.ts'
import { callGrpc } from '../requests/grpc-call.ts'
import type { Pools } from '../upstreams/pool.ts'
import { denialOf, isDenied, type Denial } from './denial.ts'
import type { Entry, Party } from './entry.ts'
import type { Destination } from './meter.ts'
import { connectionFields, type ConnectionTold, endsOf, requestFields } from './log-fields.ts'
import { attributesOf, writerOf } from './log-format.ts'
import { epochUs } from './span.ts'
import { SpanExporter } from './span-exporter.ts'
import { resourceOf } from './tracer.ts'

export type AccessLogsOptions = {
  readonly view: () => View
  readonly self: () => Party
  readonly registry: Registry
  readonly log: Log
  readonly pools: Pools
  readonly clock: Clock
  /** Absent: by Node's own. In [0, 1). */
  readonly random?: () => number
}

/** How often it is said that a log cannot be written. */
const tellAgainMs = 60_000
/** How long a log that nobody wants any more may take to be written. */
const lastLinesMs = 1000

const requestLine = writerOf(requestFields)
const connectionLine = writerOf(connectionFields)
const requestAttributes = attributesOf(requestFields)
const connectionAttributes = attributesOf(connectionFields)

export class AccessLogs {
  readonly #options: AccessLogsOptions
  readonly #lines: Family
  readonly #random: () => number
  /** By path; '' is standard output. */
  readonly #sinks = new Map<string, Lines>()
  readonly #exporters = new Map<string, SpanExporter>()
  /** By which collectors are reached. */
  #way: View = emptyView
  readonly #toldAt = new Map<string, number>()
  /** Of what comes by no listener of the view, such as connections out of the mesh: as all others do. */
  #usual: AccessLog | undefined
  /** Whether any listener of the view asks for lines. */
  isOn = false

  constructor(options: AccessLogsOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#lines = options.registry.family(metricNames.logLines, 'counter', 'Lines of the access log, by what became of them', logLabels)
  }

  /** Files that the view names no more are closed when what waits for them is written. */
  follow(view: View): void {
    const wanted = new Set<string>()
    const collectors = new Set<string>()
    this.#usual = undefined
    for (const { telemetry } of Object.values(view.listeners)) {
      if (telemetry?.accessLog === undefined) continue
      this.#usual ??= telemetry.accessLog
      if (telemetry.accessLog.collector === undefined) wanted.add(telemetry.accessLog.path ?? '')
      else collectors.add(keyOf(telemetry.accessLog.collector))
    }
    this.isOn = wanted.size + collectors.size > 0
    this.#way = view
    for (const [path, lines] of this.#sinks) {
      if (wanted.has(path)) continue
      this.#sinks.delete(path)
      void lines.close(lastLinesMs)
    }
    for (const [key, exporter] of this.#exporters) {
      if (collectors.has(key)) continue
      this.#exporters.delete(key)
      void exporter.flush(lastLinesMs)
    }
  }

  /** A connection is carried from now on: who called is known only while it is open. */
  opened(entry: Entry): void {
    endsOf(entry)
  }

  /** A request begins. */
  begin(exchange: Exchange): void {
    exchange.isLogged = true
    endsOf(exchange.entry)
  }

  /** A request is over. now: performance.now(). */
  request(exchange: Exchange, now: number): void {
    const log = this.#at(exchange.entry)
    if (log === undefined) return
    const { status, reason, denial, startedAt } = exchange
    if (!this.#fits(log, { status, reason, denial, ms: now - startedAt })) return
    const told = { exchange, self: this.#options.self(), endedAt: now }
    if (log.collector === undefined) return this.#write(log, requestLine(log.format)(told))
    const { format } = log
    const { traceId, spanId } = exchange.trace ?? {}
    const said =
      format.type === 'json' ? { attributes: requestAttributes(format.fields)(told) } : { attributes: [], body: requestLine(format)(told) }
    this.#export(log.collector, { timeUs: epochUs(startedAt), observedUs: epochUs(now), traceId, spanId, ...said })
  }

  /** A connection is over. `self` and `endedAt` are of now. */
  connection(told: Omit<ConnectionTold, 'self' | 'endedAt'>): void {
    const log = this.#at(told.entry)
    if (log === undefined) return
    const endedAt = performance.now()
    const { status = 0, reason, denial, startedAt } = told
    if (!this.#fits(log, { status, reason, denial, ms: endedAt - startedAt })) return
    const whole = { ...told, self: this.#options.self(), endedAt }
    if (log.collector === undefined) return this.#write(log, connectionLine(log.format)(whole))
    const { format } = log
    const said =
      format.type === 'json'
        ? { attributes: connectionAttributes(format.fields)(whole) }
        : { attributes: [], body: connectionLine(format)(whole) }
    this.#export(log.collector, { timeUs: epochUs(startedAt), observedUs: epochUs(endedAt), ...said })
  }

  /** A connection, or a stream, that came to nothing. startedAt: performance.now(). status: what a stream was answered. */
  refused(entry: Entry, failure: Failure, to: Destination, startedAt: number, status?: number): void {
    const { code: reason, detail } = failure
    const nowhere = { backend: '', endpoint: undefined, bytesReceived: undefined, bytesSent: undefined }
    const answered = status === undefined ? {} : { status }
    this.connection({ entry, startedAt, reason, detail, denial: denialOf(failure), ...to, ...nowhere, ...answered })
  }

  /** By the listener of now: a connection may be older than the view. */
  #at({ listener, view }: Entry): AccessLog | undefined {
    const found = view().listeners[listener.name]
    return found === undefined ? this.#usual : found.telemetry?.accessLog
  }

  #fits({ when, share }: AccessLog, facts: Facts): boolean {
    if (when !== undefined && !when.some(condition => fits(condition, facts))) return false
    return share === undefined || this.#random() * 1_000_000 < share
  }

  #write({ path }: AccessLog, line: string): void {
    const key = path ?? ''
    let lines = this.#sinks.get(key)
    if (lines === undefined) {
      const count = (outcome: 'written' | 'dropped', more: number): void => void (this.#lines.sample([outcome]).value += more)
      const tell = (wrong: string | undefined): void => this.#tell(key, wrong)
      this.#sinks.set(key, (lines = new Lines({ ...(path === undefined ? {} : { path }), count, tell })))
    }
    lines.write(line)
  }

  #export(collector: Collector, record: LogRecord): void {
    const key = keyOf(collector)
    let exporter = this.#exporters.get(key)
    if (exporter === undefined) this.#exporters.set(key, (exporter = this.#exporterTo(collector)))
    exporter.add(encodeLog(record))
  }

  #exporterTo({ backend, service }: Collector): SpanExporter {
    const { self, pools, clock } = this.#options
    let way = this.#way
    return new SpanExporter({
      encoding: 'protobuf',
      resource: () => resourceOf(self(), service),
      post: (message, done) => {
        // What waits when a policy goes takes the way that there was.
        if (this.#way.backends[backend] !== undefined) way = this.#way
        const call = { view: way, backend, path: exportPath, message, timeoutMs: exportMs, source: self() }
        callGrpc(call, pools, reply => done('why' in reply ? reply : { status: 200, retryAfter: undefined, body: reply }))
      },
      count: (outcome, lines) => void (this.#lines.sample([outcome === 'exported' ? 'written' : 'dropped']).value += lines),
      tell: wrong => this.#tell(backend, wrong === undefined ? undefined : `${backend} ${wrong}`),
      clock,
    })
  }

  #tell(path: string, wrong: string | undefined): void {
    const now = performance.now()
    const toldAt = this.#toldAt.get(path)
    if (wrong === undefined) {
      if (toldAt !== undefined) this.#options.log.info(`the access log ${path} is written again`)
      return void this.#toldAt.delete(path)
    }
    if (toldAt !== undefined && now - toldAt < tellAgainMs) return
    this.#toldAt.set(path, now)
    this.#options.log.warn(`the access log is not written: ${wrong}; requests go on, and its lines are dropped and counted`, {
      reason: 'access-log',
    })
  }

  /** What waits is written, within this time; what comes later too, where the process lives that long. */
  async flush(forMs: number): Promise<void> {
    const sinks = [...this.#sinks.values()]
    this.#sinks.clear()
    await Promise.all([...sinks.map(lines => lines.close(forMs)), ...[...this.#exporters.values()].map(each => each.flush(forMs))])
  }
}

type Collector = NonNullable<AccessLog['collector']>
const keyOf = ({ backend, service }: Collector): string => `${backend} ${service}`
/** OTLP/gRPC (opentelemetry-proto, collector/logs/v1). */
const exportPath = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
const exportMs = 10_000

type Facts = { readonly status: number; readonly reason: string; readonly denial: Denial | undefined; readonly ms: number }

/** Of one condition all must hold. */
function fits({ statusAtLeast, statuses, outcome, slowerThanMs }: LogCondition, { status, reason, denial, ms }: Facts): boolean {
  if (statusAtLeast !== undefined && status < statusAtLeast) return false
  if (statuses !== undefined && !statuses.includes(status)) return false
  if (slowerThanMs !== undefined && ms < slowerThanMs) return false
  if (outcome === undefined) return true
  const isByPolicy = isDenied(reason, denial)
  return outcome === 'denied' ? isByPolicy : status >= 500 || (reason !== '' && !isByPolicy)
}
