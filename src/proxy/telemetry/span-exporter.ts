/**
 * Takes spans to one collector: those that ended in one second, or 512 of them, in one request; of several one after another.
 *
 *   span ─▶ waits (2,048 at most: what is more is dropped and counted) ─▶ request ─▶ taken
 *                                                      ▲              └─▶ 429, 502, 503, 504, no answer: again, later, five times at most
 *                                                      └── pause ◀──────┘
 * Nothing waits for it: neither a request nor, for longer than it is told, a process that ends.
 */

import { backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'
import type { Attributes, OtlpEncoding } from '#wire/otlp'
import { refusedIn, request } from '#wire/otlp'

export type SpanOutcome = 'exported' | 'dropped' | 'refused' | 'failed'

/** retryAfter: what the answer says so. */
export type Posted =
  | { readonly status: number; readonly retryAfter: string | undefined; readonly body: Uint8Array }
  | { readonly why: string }

export type SpanExporterOptions = {
  readonly encoding: OtlpEncoding
  readonly resource: () => Attributes
  /** done: once. */
  readonly post: (body: Uint8Array, done: (posted: Posted) => void) => void
  readonly count: (outcome: SpanOutcome, spans: number) => void
  /** Something is wrong with the collector, or again right. */
  readonly tell: (says: string | undefined) => void
  readonly clock: Clock
  readonly random?: () => number
}

const mostWaiting = 2_048
const mostInRequest = 512
const everyMs = 1_000
const mostTries = 5
const pause = { baseMs: 1_000, maxMs: 30_000 }
/** The longest pause that a collector may ask for. */
const longestPauseMs = 60_000

type Batch = { readonly spans: number; readonly body: Uint8Array; tries: number }

export class SpanExporter {
  readonly #options: SpanExporterOptions
  #waiting: Uint8Array[] = []
  /** Under way, or in its pause. */
  #batch: Batch | undefined
  #stopPause: (() => void) | undefined
  #stopWait: (() => void) | undefined
  /** Who wants to know that nothing is left. */
  #onEmpty: (() => void) | undefined

  constructor(options: SpanExporterOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** As `encodeSpan` made it. */
  add(span: Uint8Array): void {
    const { count, clock } = this.#options
    if (this.#waiting.length >= mostWaiting) return count('dropped', 1)
    this.#waiting.push(span)
    if (this.#batch !== undefined) return
    if (this.#waiting.length >= mostInRequest) return this.#send()
    this.#stopWait ??= clock.after(everyMs, () => this.#send())
  }

  #send(): void {
    this.#stopWait?.()
    this.#stopWait = undefined
    const { encoding, resource } = this.#options
    const spans = this.#waiting.splice(0, mostInRequest)
    if (spans.length === 0) return this.#onEmpty?.()
    this.#batch = { spans: spans.length, body: request(resource(), spans, encoding), tries: 0 }
    this.#try(this.#batch)
  }

  #try(batch: Batch): void {
    batch.tries++
    this.#options.post(batch.body, posted => {
      if (this.#batch === batch) this.#judge(batch, posted)
    })
  }

  #judge(batch: Batch, posted: Posted): void {
    const { count, tell, encoding } = this.#options
    if (!('why' in posted) && posted.status >= 200 && posted.status < 300) {
      const refused = refusedIn(posted.body, encoding)
      const lost = Math.min(refused?.spans ?? 0, batch.spans)
      count('exported', batch.spans - lost)
      if (lost > 0) count('refused', lost)
      tell(refused === undefined ? undefined : `refuses ${lost} of ${batch.spans} spans: ${refused.why}`)
      return this.#next()
    }
    const says = 'why' in posted ? posted.why : `answers ${posted.status}`
    tell(says)
    const mayCome = 'why' in posted || again.has(posted.status)
    if (!mayCome || batch.tries >= mostTries || this.#onEmpty !== undefined) {
      count(mayCome ? 'failed' : 'refused', batch.spans)
      return this.#next()
    }
    this.#stopPause = this.#options.clock.after(this.#pauseMs(batch, posted), () => {
      this.#stopPause = undefined
      this.#try(batch)
    })
  }

  #pauseMs({ tries }: Batch, posted: Posted): number {
    const { clock, random = Math.random } = this.#options
    const own = backoffMs(pause, tries, random())
    const asked = 'why' in posted ? undefined : askedMs(posted.retryAfter, clock.now())
    return asked === undefined ? own : Math.min(longestPauseMs, Math.max(asked, pause.baseMs))
  }

  #next(): void {
    this.#batch = undefined
    const { clock } = this.#options
    if (this.#onEmpty !== undefined || this.#waiting.length >= mostInRequest) return this.#send()
    if (this.#waiting.length > 0) this.#stopWait ??= clock.after(everyMs, () => this.#send())
  }

  /** Hands over what waits; what a collector that does not answer was to get is given up at once. Resolves when nothing is left or the time is over, and what is left then counts as failed. */
  flush(forMs: number): Promise<void> {
    return new Promise(resolve => {
      const over = (): void => {
        stop()
        this.#onEmpty = undefined
        const left = this.#waiting.length + (this.#batch?.spans ?? 0)
        this.#waiting = []
        this.#batch = undefined
        this.#stopPause?.()
        this.#stopWait?.()
        this.#stopPause = this.#stopWait = undefined
        if (left > 0) this.#options.count('failed', left)
        resolve()
      }
      const stop = this.#options.clock.after(forMs, over)
      this.#onEmpty = over
      // It failed a moment ago: what waits would fare no better.
      if (this.#stopPause !== undefined) return over()
      if (this.#batch === undefined) this.#send()
    })
  }
}

/** OTLP/HTTP, "Retryable Response Codes". */
const again: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Retry-After (RFC 9110 §10.2.3), in milliseconds. */
function askedMs(retryAfter: string | undefined, now: number): number | undefined {
  if (retryAfter === undefined) return undefined
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter) * 1000
  const at = Date.parse(retryAfter)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}
