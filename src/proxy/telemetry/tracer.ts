/**
 * Makes spans of requests and has them taken to their collectors: of those that are sampled, and of every denial, so that each stands in a trace. Whose listener
 * asks for no tracing is not looked at: while none of the view does, not even that is asked.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { metricNames, spanLabels } from '#model/metrics'
import type { Tracing } from '#model/telemetry'
import type { View } from '#model/view'
import { field } from '#wire/http1'
import { type Attributes, encodeSpan, otlpTypes } from '#wire/otlp'
import type { Pools } from '../upstreams/pool.ts'
import type { Family, Registry } from '../registry.ts'
import type { Exchange } from '../requests/exchange.ts'
import { callHttp } from '../requests/http-call.ts'
import { isDenied } from './denial.ts'
import type { Party } from './entry.ts'
import { spanOf } from './span.ts'
import { type Posted, SpanExporter, type SpanOutcome } from './span-exporter.ts'
import { traceOf, untraced } from './trace.ts'

export type TracerOptions = {
  readonly view: () => View
  readonly self: () => Party
  readonly pools: Pools
  readonly registry: Registry
  readonly log: Log
  readonly clock: Clock
}

/** Of denials that are not sampled so many are told in a second: callers can make as many of them as they like. */
const mostDenials = 20
/** How long a collector may take for a request. */
const timeoutMs = 10_000
/** How often it is said that something is wrong with a collector. */
const tellAgainMs = 60_000

export class Tracer {
  readonly #options: TracerOptions
  readonly #spans: Family
  readonly #exporters = new Map<string, SpanExporter>()
  readonly #known = new WeakMap<Tracing, SpanExporter>()
  readonly #toldAt = new Map<string, number>()
  /** Whether any listener of the view asks for spans. */
  isOn = false
  #second = 0
  #denials = 0

  constructor(options: TracerOptions) {
    this.#options = options
    this.#spans = options.registry.family(metricNames.spans, 'counter', 'Spans of requests, by what became of them', spanLabels)
  }

  /** Collectors that the view has no more get what waits for them. */
  follow(view: View): void {
    const wanted = new Set(Object.values(view.listeners).flatMap(({ telemetry }) => telemetry?.tracing ?? []))
    this.isOn = wanted.size > 0
    // Now, while the view has their way: requests under way keep what they began with.
    for (const tracing of wanted) this.#exporterOf(tracing)
    const keys = new Set([...wanted].map(keyOf))
    for (const [key, exporter] of this.#exporters) {
      if (keys.has(key)) continue
      this.#exporters.delete(key)
      void exporter.flush(timeoutMs)
    }
  }

  /** A request begins. */
  begin(exchange: Exchange): void {
    const { listener, view } = exchange.entry
    const tracing = (view().listeners[listener.name] ?? listener).telemetry?.tracing
    if (tracing !== undefined) exchange.trace = traceOf(exchange.head.fields, tracing)
  }

  /** It is over. now: performance.now(). */
  end(exchange: Exchange, now: number): void {
    const { trace } = exchange
    if (trace === undefined || (!trace.isSampled && !(isDenied(exchange.reason, exchange.denial) && this.#isRoom(now)))) return
    const { tracing } = trace
    this.#exporterOf(tracing).add(encodeSpan(spanOf(exchange, trace, this.#options.self(), now), tracing.encoding))
  }

  #isRoom(now: number): boolean {
    const second = Math.floor(now / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#denials = 0
    }
    return this.#denials++ < mostDenials
  }

  /** What waits is handed over, within this time. */
  async flush(forMs: number): Promise<void> {
    await Promise.all([...this.#exporters.values()].map(exporter => exporter.flush(forMs)))
  }

  #exporterOf(tracing: Tracing): SpanExporter {
    let exporter = this.#known.get(tracing)
    if (exporter !== undefined) return exporter
    const key = keyOf(tracing)
    exporter = this.#exporters.get(key)
    if (exporter === undefined) this.#exporters.set(key, (exporter = this.#exporter(tracing)))
    this.#known.set(tracing, exporter)
    return exporter
  }

  #exporter(tracing: Tracing): SpanExporter {
    const { clock, self, view } = this.#options
    let way = view()
    return new SpanExporter({
      encoding: tracing.encoding,
      resource: () => resourceOf(self(), tracing.service),
      post: (body, done) => {
        // What waits when a policy goes takes the way that there was.
        if (view().backends[tracing.backend] !== undefined) way = view()
        this.#post(tracing, way, body, done)
      },
      count: (outcome: SpanOutcome, spans: number) => {
        this.#spans.sample([outcome]).value += spans
      },
      tell: says => this.#tell(tracing, says),
      clock,
    })
  }

  /** By the ways of the view, as requests of the workload go; no proxy that it meets makes a span of it. */
  #post(tracing: Tracing, view: View, body: Uint8Array, done: (posted: Posted) => void): void {
    const { self, pools } = this.#options
    const { host, pathname } = new URL(tracing.url)
    const { backend, encoding } = tracing
    const fields = ['host', host, 'content-type', otlpTypes[encoding], 'user-agent', 'weft']
    const call = {
      view,
      backend,
      method: 'POST',
      target: pathname,
      fields,
      body,
      timeoutMs,
      source: self(),
      trace: untraced(tracing),
    }
    callHttp(call, pools, reply => {
      if ('why' in reply) done(reply)
      else done({ status: reply.status, retryAfter: field(reply.fields, 'retry-after'), body: reply.body })
    })
  }

  /** says: undefined: it is well. */
  #tell({ url }: Tracing, says: string | undefined): void {
    const now = performance.now()
    const toldAt = this.#toldAt.get(url)
    if (says === undefined) {
      if (toldAt !== undefined) this.#options.log.info(`the collector ${url} takes spans again`)
      return void this.#toldAt.delete(url)
    }
    if (toldAt !== undefined && now - toldAt < tellAgainMs) return
    this.#toldAt.set(url, now)
    const reason = says.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300)
    this.#options.log.warn(`the collector ${url} does not take spans; requests go on, and what waits too long is dropped`, { reason })
  }
}

const keyOf = ({ url, backend, encoding }: Tracing): string => `${encoding} ${backend} ${url}`

/** Semantic conventions, "Service". */
export const resourceOf = ({ service: own, namespace, workload, version }: Party, service: string): Attributes => [
  ['service.name', service || own],
  ...(namespace === '' ? [] : ([['service.namespace', namespace]] as const)),
  ['service.instance.id', workload],
  ...(version === '' ? [] : ([['service.version', version]] as const)),
]
