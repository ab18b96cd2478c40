/** The endpoints of one backend that is asked: when each is asked next, what was answered, and who is left out for it. */

import type { Clock } from '#base/clock'
import type { Backend, Endpoint, EndpointSet } from '#model/backend'
import type { HealthCheck } from '#model/endpoint-health'
import { addressOf } from '../balancers.ts'
import type { Family, Registry } from '../../registry.ts'
import type { Ask } from './ask.ts'
import { atFirst, judged, type Standing } from './standing.ts'
import type { Verdict } from './verdict.ts'

/** So long after the last request a backend is in use, or three intervals where that is longer. */
const useMs = 60_000
/** The first question to an endpoint comes within this time, by chance, or within the interval. */
const soonMs = 1_000
/** A backend with very many endpoints is asked more slowly than it says, so that its callers do not ask more than this in a second. */
const mostPerSecond = 100

export type CheckOptions = {
  readonly ask: Ask
  readonly clock: Clock
  readonly registry: Registry
  /** From now on these addresses of a backend are not picked. */
  readonly leaveOut: (backend: string, addresses: ReadonlySet<string>) => void
  /** In [0, 1). */
  readonly random?: () => number
}

type Watchee = {
  endpoint: Endpoint
  standing: Standing
  since: number
  reason: string | undefined
  /** Takes the next question back; undefined while one is under way. */
  cancel: (() => void) | undefined
}

export class Watched {
  readonly #options: CheckOptions
  readonly #count: Family
  readonly #onUnused: () => void
  /** By address. */
  readonly #watchees = new Map<string, Watchee>()
  #backend: Backend
  #lastUsed = Number.NEGATIVE_INFINITY

  constructor(backend: Backend, options: CheckOptions, count: Family, onUnused: () => void) {
    this.#backend = backend
    this.#options = options
    this.#count = count
    this.#onUnused = onUnused
  }

  get service(): string {
    return this.#backend.service
  }
  get endpoints(): readonly Watchee[] {
    return [...this.#watchees.values()]
  }
  get #check(): HealthCheck {
    return this.#backend.healthCheck!
  }

  used(): void {
    const now = this.#options.clock.now()
    const wasIdle = this.#isIdle(now)
    this.#lastUsed = now
    if (!wasIdle) return
    for (const watchee of this.#watchees.values())
      if (watchee.cancel !== undefined) {
        watchee.cancel()
        this.#later(watchee, this.#soon)
      }
  }

  #isIdle(now: number): boolean {
    return now - this.#lastUsed > Math.max(useMs, 3 * this.#check.intervalMs)
  }

  /** Those that the inventory calls unhealthy are not asked: they are not called. Another question makes all that was answered to the last worthless. */
  follow(backend: Backend, { endpoints }: EndpointSet): void {
    const isOther = JSON.stringify(backend.healthCheck) !== JSON.stringify(this.#check)
    this.#backend = backend
    const serving = new Map(
      endpoints
        .filter(({ health, weight }) => weight > 0 && (health === 'healthy' || health === 'degraded'))
        .map(each => [addressOf(each), each]),
    )
    for (const [address, { cancel }] of this.#watchees)
      if (isOther || !serving.has(address)) {
        cancel?.()
        this.#watchees.delete(address)
      }
    for (const [address, endpoint] of serving) {
      const known = this.#watchees.get(address)
      if (known !== undefined) known.endpoint = endpoint
      else {
        const since = this.#options.clock.now()
        const watchee: Watchee = { endpoint, standing: atFirst, since, reason: undefined, cancel: undefined }
        this.#watchees.set(address, watchee)
        this.#later(watchee, this.#soon)
      }
    }
    this.#tell()
  }

  get #soon(): number {
    return this.#random() * Math.min(soonMs, this.#check.intervalMs)
  }
  #random(): number {
    return (this.#options.random ?? Math.random)()
  }

  #later(watchee: Watchee, ms: number): void {
    watchee.cancel = this.#options.clock.after(ms, () => {
      watchee.cancel = undefined
      void this.#ask(watchee)
    })
  }

  async #ask(watchee: Watchee): Promise<void> {
    const { ask, timeoutMs } = this.#check
    const verdict = await this.#options.ask(this.#backend, watchee.endpoint, ask, timeoutMs)
    // Meanwhile it may have gone, or been asked something else.
    if (this.#watchees.get(addressOf(watchee.endpoint)) !== watchee) return
    this.#judge(watchee, verdict)
    const { intervalMs, idleMs, jitterPercent } = this.#check
    const isIdle = this.#isIdle(this.#options.clock.now())
    if (isIdle && idleMs === undefined) return this.#onUnused()
    const everyMs = Math.max(isIdle ? idleMs! : intervalMs, (this.#watchees.size * 1000) / mostPerSecond)
    this.#later(watchee, everyMs * (1 + (this.#random() * jitterPercent) / 100))
  }

  #judge(watchee: Watchee, verdict: Verdict): void {
    if (verdict.is === 'unknown') return
    const passed = verdict.is === 'passed'
    const reason = verdict.is === 'failed' ? verdict.reason : ''
    this.#count.sample([this.service, watchee.endpoint.workload, passed ? 'passed' : 'failed', reason]).value++
    if (verdict.is === 'failed') watchee.reason = `${verdict.reason}: ${verdict.detail}`
    const before = watchee.standing.state
    watchee.standing = judged(watchee.standing, passed, this.#check)
    if (watchee.standing.state === before) return
    watchee.since = this.#options.clock.now()
    if (before === 'failing') watchee.reason = undefined
    this.#tell()
  }

  #tell(): void {
    const failing = [...this.#watchees].flatMap(([address, { standing }]) => (standing.state === 'failing' ? [address] : []))
    this.#options.leaveOut(this.#backend.name, new Set(failing))
  }

  stop(): void {
    for (const { cancel } of this.#watchees.values()) cancel?.()
    this.#watchees.clear()
  }
}
