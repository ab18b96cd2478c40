/**
 * The trace that a request belongs to: read from what it brought, or begun here; and the span of it that this proxy is. One span for each proxy on the way,
 * of the kind server where callers come in and client where the workload calls out; it is the parent of whatever the request meets next.
 */

import type { Endpoint } from '#model/backend'
import type { Tracing } from '#model/telemetry'
import type { Fields } from '#wire/http1'
import { type Incoming, type Outgoing, readTrace, withTrace } from '#wire/trace-context'

/** A try that came to nothing. at: performance.now(). why: a failure code, or the status that was asked again for. */
export type FailedTry = { readonly at: number; readonly backend: string; readonly endpoint: Endpoint | undefined; readonly why: string }

/** Of so many at most is told. */
const mostTries = 16

export class RequestTrace implements Outgoing {
  readonly tracing: Tracing
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  readonly isSampled: boolean
  readonly isRandom: Incoming['isRandom']
  readonly state: string
  readonly b3: Incoming['b3']
  failedTries: FailedTry[] | undefined
  untoldTries = 0

  constructor(tracing: Tracing, came: Incoming | undefined, isSampled: boolean, spanId = hexId(8)) {
    this.tracing = tracing
    this.traceId = came?.traceId ?? hexId(16)
    this.parentId = came?.spanId ?? ''
    this.spanId = spanId
    this.isSampled = isSampled
    this.isRandom = came?.isRandom
    this.state = came?.state ?? ''
    this.b3 = came?.b3
  }

  failed(backend: string, endpoint: Endpoint | undefined, why: string, at: number): void {
    this.failedTries ??= []
    if (this.failedTries.length < mostTries) this.failedTries.push({ at, backend, endpoint, why })
    else this.untoldTries++
  }

  /** For another request that this one causes: of the same span, which notes nothing of it. */
  lent(): RequestTrace {
    const { tracing, traceId, parentId, isSampled, isRandom, state, b3, spanId } = this
    const parent = parentId === '' ? {} : { spanId: parentId }
    return new RequestTrace(tracing, { traceId, ...parent, isSampled, isRandom, state, b3 }, isSampled, spanId)
  }

  /** What goes on, in place of what came. */
  written(fields: Fields): Fields {
    return withTrace(fields, this, this.tracing.propagation)
  }
}

/** What a request brings decides, where it says so (parent-based); else chance does. random: in [0, 1). */
export function traceOf(fields: Fields, tracing: Tracing, random: () => number = Math.random): RequestTrace {
  const came = readTrace(fields, tracing.propagation)
  const isSampled = came?.isSampled ?? (tracing.share === undefined || random() * 1_000_000 < tracing.share)
  return new RequestTrace(tracing, came, isSampled)
}

/** Of requests that no proxy on their way shall make spans of: those that carry spans. */
export const untraced = (tracing: Tracing): RequestTrace => new RequestTrace(tracing, undefined, false)

const chances = Buffer.allocUnsafeSlow(4096)
let used = chances.length

/** So many random bytes in hexadecimal. Got from the system many at once: to ask for each costs more than all the rest. */
function hexId(bytes: 8 | 16): string {
  if (used + bytes > chances.length) {
    crypto.getRandomValues(chances)
    used = 0
  }
  return chances.toString('hex', used, (used += bytes))
}
