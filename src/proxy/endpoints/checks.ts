/**
 * Active health checks: this proxy asks the endpoints of the backends that it calls whether they serve, and leaves out those that fail.
 *
 *   unused ──a request──▶ asked ──a minute without one──▶ unused      (with idleMs: asked from the first view on, while idle so often)
 *
 * What was found out is forgotten with the last of it: who has not looked for a while knows nothing.
 */

import type { Backend, EndpointSet } from '#model/backend'
import { checkLabels, failingLabels, metricNames } from '#model/metrics'
import type { View } from '#model/view'
import { addressOf } from './balancers.ts'
import type { Standing } from './checks/standing.ts'
import { type CheckOptions, Watched } from './checks/watched.ts'
import type { Family } from '../registry.ts'

export { askCall, asking } from './checks/ask.ts'

/** since: ms of the clock when it became so. reason: of the last failure. */
export type CheckStanding = {
  readonly backend: string
  readonly endpoint: string
  readonly workload: string
  readonly state: Standing['state']
  readonly since: number
  readonly reason?: string
}

export class Checks {
  readonly #options: CheckOptions
  readonly #count: Family
  /** By name of the backend. */
  readonly #watched = new Map<string, Watched>()
  /** Of the newest view, and those of them that are asked while idle too: a view in which only endpoints changed has the same. */
  #backends: View['backends'] = {}
  #always: readonly Backend[] = []

  constructor(options: CheckOptions) {
    this.#options = options
    const { registry } = options
    this.#count = registry.family(metricNames.checks, 'counter', 'Health checks that this proxy made, by what came of them', checkLabels)
    const failing = registry.family(metricNames.failing, 'gauge', 'Endpoints that fail the health check of this proxy now', failingLabels)
    registry.before(() => {
      for (const sample of failing.samples.values()) sample.value = 0
      for (const { service, endpoints } of this.#watched.values())
        for (const { standing, endpoint } of endpoints)
          if (standing.state === 'failing') failing.sample([service, endpoint.workload]).value++
    })
  }

  /** A request goes to a backend that has a health check. */
  used(backend: Backend, set: EndpointSet): void {
    const known = this.#watched.get(backend.name) ?? this.#watch(backend, set)
    known.used()
  }

  /** The newest view: what is not in it is not asked any more. */
  follow({ backends, endpoints }: View): void {
    for (const [name, watched] of this.#watched) {
      const [backend, set] = [backends[name], endpoints[name]]
      if (backend?.healthCheck === undefined || set === undefined) this.#forget(name, watched)
      else watched.follow(backend, set)
    }
    if (backends !== this.#backends) {
      this.#backends = backends
      this.#always = Object.values(backends).filter(({ healthCheck }) => healthCheck?.idleMs !== undefined)
    }
    for (const backend of this.#always) {
      const set = endpoints[backend.name]
      if (set !== undefined && !this.#watched.has(backend.name)) this.#watch(backend, set)
    }
  }

  #watch(backend: Backend, set: EndpointSet): Watched {
    const watched = new Watched(backend, this.#options, this.#count, () => this.#forget(backend.name, watched))
    this.#watched.set(backend.name, watched)
    watched.follow(backend, set)
    return watched
  }

  #forget(name: string, watched: Watched): void {
    watched.stop()
    this.#watched.delete(name)
    this.#options.leaveOut(name, none)
  }

  get standings(): readonly CheckStanding[] {
    return [...this.#watched].flatMap(([backend, { endpoints }]) =>
      endpoints.map(({ endpoint, standing, since, reason }) => ({
        backend,
        endpoint: addressOf(endpoint),
        workload: endpoint.workload,
        state: standing.state,
        since,
        ...(reason === undefined ? {} : { reason }),
      })),
    )
  }

  stop(): void {
    for (const watched of this.#watched.values()) watched.stop()
    this.#watched.clear()
  }
}

const none: ReadonlySet<string> = new Set()
