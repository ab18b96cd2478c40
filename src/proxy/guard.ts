/** What is remembered of each backend for the good of its endpoints: how many further tries it bears. It outlives views, for a change of configuration makes nobody healthy. */

import { metricNames, retryLabels } from '#model/metrics'
import type { Backend } from '#model/view'
import { Budget, defaultConstraint } from './budget.ts'
import type { Family, Registry, Sample } from './registry.ts'
import type { RetryOutcome } from './retries.ts'

export class Guards {
  readonly #retries: Family
  readonly #guards = new Map<string, Guard>()
  #known = new WeakMap<Backend, Guard>()

  constructor(registry: Registry) {
    this.#retries = registry.family(
      metricNames.retries,
      'counter',
      'Further tries that the retry of a route called for, and whether they were made',
      retryLabels,
    )
  }

  of(backend: Backend): Guard {
    const known = this.#known.get(backend)
    if (known !== undefined) return known
    const guard = this.#guards.get(backend.name) ?? new Guard(backend, this.#retries)
    guard.follow(backend)
    this.#guards.set(backend.name, guard)
    this.#known.set(backend, guard)
    return guard
  }
}

export class Guard {
  readonly #family: Family
  readonly #samples = new Map<string, Sample>()
  readonly #service: string
  #budget: Budget

  constructor(backend: Backend, family: Family) {
    this.#family = family
    this.#service = backend.service
    this.#budget = new Budget(backend.retryConstraint)
  }

  get budget(): Budget {
    return this.#budget
  }

  /** Another view may say otherwise. */
  follow({ retryConstraint = defaultConstraint }: Backend): void {
    const { percent, intervalMs, least } = this.#budget.constraint
    if (
      retryConstraint.percent !== percent ||
      retryConstraint.intervalMs !== intervalMs ||
      retryConstraint.least.count !== least.count ||
      retryConstraint.least.intervalMs !== least.intervalMs
    )
      this.#budget = new Budget(retryConstraint)
  }

  /** Counts what became of a further try. route: its origin. cause: a status, `grpc-` and a status of gRPC, or a failure code. */
  tell(route: string, cause: string, outcome: RetryOutcome): void {
    const key = `${route}\n${cause}\n${outcome}`
    let sample = this.#samples.get(key)
    if (sample === undefined) this.#samples.set(key, (sample = this.#family.sample([this.#service, route, cause, outcome])))
    sample.value++
  }
}
