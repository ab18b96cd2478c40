/** When to ask for the next certificate: a machine without clock or network. */

import { type Backoff, backoffMs } from '#base/backoff'

//            ask            got                due
//   empty ──────────▶ first ─────▶ held ──────────────▶ renewing ──got──▶ held
//     ▲                 │          ▲ │ ▲                 │   │
//     └─────failed──────┘          │ │ └─────failed──────┘   │ expire
//                                  │ │ expire                ▼
//                                  │ ▼            ask      late ──got──▶ held
//                                  │ expired ──────────────▶ │
//                                  └─(a kept one: got)   ◀───┘ failed
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

export const rotationBackoff: Backoff = { baseMs: 500, maxMs: 60_000 }

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
    this.#nextAsk = now + backoffMs(rotationBackoff, this.#attempt++, this.#random())
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
