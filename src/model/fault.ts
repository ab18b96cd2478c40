/** What is broken on purpose: delays, aborts and slow lines. */

/** policy: `NAMESPACE/NAME` of who asked for it. endsAt: ms since the epoch from which on it is no more done, whoever still has it. Delay comes before abort. */
export type Fault = {
  readonly policy: string
  readonly endsAt?: number
  /** jitterMs: by chance so much more or less, spread as `spread` says; absent: evenly, up to so much. */
  readonly delay?: { readonly ms: number; readonly jitterMs?: number; readonly spread?: Spread; readonly share: Millionths }
  readonly abort?: Abort & { readonly share: Millionths }
  /** Bodies, of TCP all bytes, pass no faster than this, each for itself. Of the requests that are hit both ways have it, as far as they are named. */
  readonly bandwidth?: { readonly share: Millionths; readonly requestsBps?: number; readonly answersBps?: number }
}

/** normal: jitterMs is the standard deviation. exponential, pareto: ms is the least, and jitterMs what is added to it on average; pareto has the longer tail. */
export type Spread = 'normal' | 'exponential' | 'pareto'

export type Abort =
  | { readonly type: 'http'; readonly status: number }
  | { readonly type: 'grpc'; readonly status: number }
  | { readonly type: 'reset' }
  /** Of datagrams: each is lost. */
  | { readonly type: 'drop' }

/** A part of all requests, in millionths, as fine as Envoy's. */
export type Millionths = number
