/** When to ask for the next certificate: a machine without clock or network. */

import { type Backoff, backoffMs } from '#base/backoff'
import type { Clock } from '#base/clock'

//   empty ──due──▶ first ──got──▶ held ──due──▶ renewing ──got──▶ held
//     ▲              │              │ ▲             │  │
//     └───failed─────┘              │ └───failed────┘  │
//                                expire             expire
//                                   ▼                  ▼
//                                expired ───due─────▶ late ──got──▶ held
//                                   ▲                  │
//                                   └─────failed───────┘
// A kept certificate enters `held` from `empty` by `got`.
const steps = {
  /** Never had one; the next try is at `deadline`. */
  empty: { due: 'first', got: 'held' },
  first: { got: 'held', failed: 'empty' },
  held: { due: 'renewing', expire: 'expired', got: 'held' },
  renewing: { got: 'held', failed: 'held', expire: 'late' },
  /** Had one; connections need a new one, the next try is at `deadline`. */
  expired: { due: 'late', got: 'held' },
  late: { got: 'held', failed: 'expired' },
} as const satisfies Record<string, Partial<Record<Event, string>>>

type Event = 'due' | 'got' | 'failed' | 'expire'
export type RotationState = keyof typeof steps

/** Milliseconds since the epoch. */
export type Life = { readonly notBefore: number; readonly notAfter: number }

/** What the owner has to do now: ask for a certificate, or tell that the one it had is over. */
export type RotationAction = 'ask' | 'expired'

const rotationBackoff: Backoff = { baseMs: 500, maxMs: 60_000 }
/** Without a certificate nothing is served: whoever can give one is missed for no longer than this. */
const urgentBackoff: Backoff = { baseMs: 500, maxMs: 2_000 }

export class Rotation {
  #state: RotationState = 'empty'
  #life: Life | undefined
  #nextAsk: number
  #attempt = 0
  readonly #random: () => number

  /** random: in [0, 1). The first `expire` at or after `now` asks. */
  constructor(now: number, random: () => number) {
    this.#nextAsk = now
    this.#random = random
  }

  get state(): RotationState {
    return this.#state
  }

  /** When `expire` is next due; undefined while an answer is awaited and nothing can run out. */
  get deadline(): number | undefined {
    const ask = 'due' in steps[this.#state] ? this.#nextAsk : undefined
    const end = 'expire' in steps[this.#state] ? this.#life?.notAfter : undefined
    return ask === undefined ? end : end === undefined ? ask : Math.min(ask, end)
  }

  /** Time has come. */
  expire(now: number): readonly RotationAction[] {
    const actions: RotationAction[] = []
    if ('expire' in steps[this.#state] && this.#life && this.#life.notAfter <= now) {
      this.#step('expire')
      actions.push('expired')
    }
    if ('due' in steps[this.#state] && this.#nextAsk <= now) {
      this.#step('due')
      actions.push('ask')
    }
    return actions
  }

  /** A certificate is there: from the authority, or kept from before. */
  got(life: Life): void {
    this.#step('got')
    this.#life = life
    this.#attempt = 0
    this.#nextAsk = renewAt(life, this.#random())
  }

  failed(now: number): void {
    this.#step('failed')
    const backoff = this.#state === 'held' ? rotationBackoff : urgentBackoff
    this.#nextAsk = now + backoffMs(backoff, this.#attempt++, this.#random())
  }

  /** The one that is held will not do for long, whatever its life: the next is asked for at `at` if not before. */
  hurry(at: number): void {
    if (this.#state === 'held') this.#nextAsk = Math.min(this.#nextAsk, at)
  }

  #step(event: Event): void {
    const next = (steps[this.#state] as Partial<Record<Event, RotationState>>)[event]
    if (!next) throw new Error(`rotation: ${event} cannot happen in state ${this.#state}`)
    this.#state = next
  }
}

/** Two thirds of its life, a twentieth of it earlier or later: a thousand proxies that started together must not renew together. */
export function renewAt({ notBefore, notAfter }: Life, random: number): number {
  return Math.round(notBefore + (notAfter - notBefore) * (2 / 3 + (random - 0.5) / 10))
}

export type DriveRotation = {
  readonly clock: Clock
  readonly random: () => number
  /** A certificate kept from before. */
  readonly kept?: Life | undefined
  /** Fetches and puts to use the next certificate; rejects when there is none to be had now. */
  readonly ask: () => Promise<Life>
  readonly failed: (thrown: unknown, retryAt: number) => void
  readonly expired: () => void
}

/** Runs a rotation by a clock until the returned `stop` is called. */
export function driveRotation({ clock, random, kept, ask, failed, expired }: DriveRotation): {
  readonly state: () => RotationState
  /** Asks for the next one in so many ms, if not before. */
  readonly hurry: (inMs: number) => void
  readonly stop: () => void
} {
  const rotation = new Rotation(clock.now(), random)
  if (kept) rotation.got(kept)
  let cancel = (): void => {}
  let stopped = false

  const wait = (): void => {
    cancel()
    const { deadline } = rotation
    if (stopped || deadline === undefined) return
    cancel = clock.after(Math.min(maxWaitMs, Math.max(0, deadline - clock.now())), wake)
  }
  const wake = (): void => {
    for (const action of rotation.expire(clock.now())) {
      if (action === 'ask') void fetch()
      else expired()
    }
    wait()
  }
  const fetch = async (): Promise<void> => {
    try {
      const life = await ask()
      if (!stopped) rotation.got(life)
    } catch (thrown) {
      if (stopped) return
      rotation.failed(clock.now())
      failed(thrown, rotation.deadline ?? clock.now())
    }
    wait()
  }
  wake()
  return {
    state: () => rotation.state,
    hurry: inMs => {
      rotation.hurry(clock.now() + inMs)
      wait()
    },
    stop: () => {
      stopped = true
      cancel()
    },
  }
}

/** Timers stand still while a host sleeps, the clock does not: what ran out meanwhile is noticed soon after it wakes. */
const maxWaitMs = 2_000
