/**
 * Ports of workloads on their way between mutual TLS and plaintext, so that callers and called agree at every moment.
 *
 *   the policy says otherwise ──▶ opening: the port takes both, callers speak as before
 *     the called proxy has it ──▶ moving: callers speak otherwise
 *     all proxies have it     ──▶ ending: what set out in the old way arrives
 *     a moment later          ──▶ only what the policy says is taken
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import type { Spoken } from '#model/mesh'
import type { Inventory } from '#model/workload'

/** Whether a proxy, or without an id each that is connected, has taken all that was compiled for it. */
export type Settled = (proxy?: string) => boolean

/** isCompiled: proxies have been sent what it says. */
type Move = { isCompiled: boolean; stage: 'opening' | 'moving' | 'ending'; spoken: Spoken; wanted: Spoken; since: number; proxy: string }

/** How often it is looked whether proxies have taken a step. */
const lookMs = 50
/** A request that began before its proxy heard of the change may still connect, and try again. */
const lastMs = 2_000
/** A proxy that never answers keeps nobody from what was ordered. */
const patienceMs = 30_000

export class MtlsMoves {
  readonly #clock: Clock
  readonly #log: Log
  readonly #onStep: () => void
  readonly #moves = new Map<string, Move>()
  #isSettled: Settled = () => false
  /** Ports that there were at the last look, and which of them were to be called in plaintext. */
  #known: ReadonlySet<string> | undefined
  #plaintext: ReadonlySet<string> = new Set()
  #told: Readonly<Record<string, Spoken>> = {}
  #cancel: (() => void) | undefined
  /** What held when the control plane started, proxies have. */
  #isFirst = true

  /** onStep: it is time to compile again. */
  constructor({ clock, log, onStep }: { readonly clock: Clock; readonly log: Log; readonly onStep: () => void }) {
    this.#clock = clock
    this.#log = log
    this.#onStep = onStep
  }

  /** For the compiler; the same object until something moves. */
  get moving(): Readonly<Record<string, Spoken>> {
    return this.#told
  }

  hears(isSettled: Settled): void {
    this.#isSettled = isSettled
  }

  /** plaintext: ports that the newest compilation wants to be called so. Returns whether it has to be compiled again, with what moves now. */
  see(plaintext: readonly string[], { workloads }: Inventory): boolean {
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (plaintext.length === 0 && this.#plaintext.size === 0 && this.#moves.size === 0) {
      // Who is there matters only where something may move.
      this.#known = undefined
      return this.#tell()
    }
    if (isFirst) this.#plaintext = new Set(plaintext)
    return this.#compare(new Set(plaintext), workloads)
  }

  #compare(plaintext: ReadonlySet<string>, workloads: Inventory['workloads']): boolean {
    const now = this.#clock.now()
    const known = new Set(workloads.flatMap(each => each.ports.map(({ port }) => `${each.name}.${each.namespace}:${port}`)))
    for (const key of this.#moves.keys()) if (!known.has(key)) this.#moves.delete(key)
    for (const key of new Set([...plaintext, ...this.#plaintext])) {
      const wanted: Spoken = plaintext.has(key) ? 'plaintext' : 'tls'
      if (!known.has(key) || (this.#known !== undefined && !this.#known.has(key))) continue
      if (plaintext.has(key) === this.#plaintext.has(key)) continue
      const move = this.#moves.get(key)
      if (move === undefined) {
        const spoken: Spoken = wanted === 'tls' ? 'plaintext' : 'tls'
        this.#moves.set(key, { isCompiled: true, stage: 'opening', spoken, wanted, since: now, proxy: key.slice(0, key.lastIndexOf(':')) })
      } else {
        move.wanted = wanted
        // It takes both already; callers may not all have been told of the way back.
        if (move.stage !== 'opening' || move.spoken === wanted) this.#go(move, 'moving')
      }
    }
    for (const move of this.#moves.values()) {
      if (!move.isCompiled) move.since = now
      move.isCompiled = true
    }
    this.#known = known
    this.#plaintext = plaintext
    this.#arm()
    return this.#tell()
  }

  close(): void {
    this.#cancel?.()
  }

  #go(move: Move, stage: Move['stage']): void {
    move.stage = stage
    move.since = this.#clock.now()
    if (stage !== 'moving') return
    move.spoken = move.wanted
    move.isCompiled = false
  }

  #arm(): void {
    if (this.#moves.size === 0 || this.#cancel !== undefined) return
    this.#cancel = this.#clock.after(lookMs, () => {
      this.#cancel = undefined
      this.#look()
      this.#arm()
    })
  }

  #look(): void {
    const now = this.#clock.now()
    const before = JSON.stringify([...this.#moves])
    for (const [key, move] of this.#moves) {
      const waited = now - move.since
      if (!move.isCompiled) continue
      const isThere = move.stage === 'opening' ? this.#isSettled(move.proxy) : this.#isSettled()
      if (move.stage === 'ending') {
        if (waited >= lastMs) this.#moves.delete(key)
      } else if (isThere || waited > patienceMs) {
        if (!isThere)
          this.#log.warn('a change between mutual TLS and plaintext goes on without some proxies', { port: key, stage: move.stage })
        this.#go(move, move.stage === 'opening' ? 'moving' : 'ending')
      }
    }
    if (JSON.stringify([...this.#moves]) !== before && this.#tell()) this.#onStep()
  }

  #tell(): boolean {
    const told = Object.fromEntries([...this.#moves].map(([key, { spoken }]) => [key, spoken]))
    if (JSON.stringify(told) === JSON.stringify(this.#told)) return false
    this.#told = told
    return true
  }
}
