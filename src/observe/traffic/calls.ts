/** Who called what, and which access rules decided, since the control plane watches: longer than the minutes of the curves, in bounded memory. */

import type { CallSeen, CallsSeen, DecisionsSeen } from '#model/calls'
import type { MetricFamily, MetricSource } from '#model/metrics'
import { metricNames } from '#model/metrics'

type Kept<T> = { readonly what: T; count: number; readonly firstAt: number; lastAt: number }
type Call = Pick<CallSeen, 'service' | 'identity' | 'port' | 'protocol' | 'method' | 'path' | 'outcome'>
type Decision = Pick<DecisionsSeen, 'policy' | 'rule' | 'action'>

const mostCalls = 20_000
const mostDecisions = 5_000
/** Of one proxy so many counters are remembered; one that made them up must not fill the memory. */
const mostOfProxy = 4_000

export class Calls {
  readonly #calls = new Kinds<Call>(mostCalls)
  readonly #decisions = new Kinds<Decision>(mostDecisions)
  readonly #since: number
  /** The last value of each counter of each proxy. */
  readonly #last = new Map<string, Map<string, number>>()

  /** since: ms, when the control plane began to watch. */
  constructor(since: number) {
    this.#since = since
  }

  /** What a proxy counted before this control plane was told of it happened too: by then at the latest. at: ms. */
  take(proxyId: string, source: MetricSource, families: readonly MetricFamily[], at: number): void {
    for (const { name, metrics } of families) {
      if (name !== metricNames.calls && name !== metricNames.access) continue
      for (const { labels, value = 0 } of metrics) {
        const key = `${name} ${Object.values(labels).join('\u0001')}`
        const amount = this.#grown(proxyId, key, value)
        if (amount <= 0) continue
        if (name === metricNames.access) this.#decisions.add(key, decisionOf(labels), amount, at)
        else if (labels['source_identity'] === 'others') this.#calls.dropped += amount
        else this.#calls.add(`${source.service}.${source.namespace} ${key}`, callOf(labels, source), amount, at)
      }
    }
  }

  /** Its counts are known no more: what it says when it comes back counts whole. */
  forget(proxyId: string): void {
    this.#last.delete(proxyId)
  }

  /** since: ms; only what was seen from then on. */
  read(since: number, now: number): CallsSeen {
    const text = (ms: number): string => new Date(ms).toISOString()
    return {
      since: text(this.#since),
      at: text(now),
      calls: this.#calls
        .since(since)
        .map(({ what, count, firstAt, lastAt }) => ({ ...what, count, firstAt: text(firstAt), lastAt: text(lastAt) })),
      decisions: this.#decisions.since(since).map(({ what, count, lastAt }) => ({ ...what, count, lastAt: text(lastAt) })),
      dropped: this.#calls.dropped,
    }
  }

  #grown(proxyId: string, key: string, value: number): number {
    let known = this.#last.get(proxyId)
    if (known === undefined) this.#last.set(proxyId, (known = new Map()))
    const last = known.get(key)
    if (last === undefined && known.size >= mostOfProxy) return 0
    known.set(key, value)
    return last === undefined || value < last ? value : value - last
  }
}

class Kinds<T> {
  readonly #kept = new Map<string, Kept<T>>()
  readonly #most: number
  dropped = 0

  constructor(most: number) {
    this.#most = most
  }

  add(key: string, what: T, amount: number, at: number): void {
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      kept.count += amount
      kept.lastAt = at
    } else if (this.#kept.size < this.#most) this.#kept.set(key, { what, count: amount, firstAt: at, lastAt: at })
    else this.dropped++
  }

  since(since: number): readonly Kept<T>[] {
    return [...this.#kept]
      .filter(([, { lastAt }]) => lastAt >= since)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, kept]) => kept)
  }
}

function callOf(labels: Readonly<Record<string, string>>, { service, namespace }: MetricSource): Call {
  const { source_identity: identity = '', port = '', protocol = '', method = '', path = '', outcome } = labels
  return {
    service: `${service}.${namespace}`,
    identity,
    port: Number(port),
    protocol,
    method,
    path,
    outcome: outcome === 'denied' ? 'denied' : 'allowed',
  }
}

function decisionOf({ policy = '', rule = '', action }: Readonly<Record<string, string>>): Decision {
  return { policy, rule, action: action === 'deny' || action === 'audit' ? action : 'allow' }
}
