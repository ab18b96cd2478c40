/** Asks the workload's ports whether they serve, as the control plane orders it (Envoy's health discovery), and reports what changed at once, all of it regularly. */

import type { Clock } from '#base/clock'
import type { HealthOrders, Probe, ProbeResult } from '#xds/rpcs'

/** Resolves when the port serves; rejects when not. The caller ends it after probe.timeoutMs. */
export type Ask = (probe: Probe) => Promise<void>

/** Until a port first serves it is asked this often: a workload that starts should be found soon. */
const eagerMs = 25
/** A program takes longer to start than a connection. */
const eagerCommandMs = 250
/** So often, which is about five seconds; from then on less and less. */
const eagerTries = 200
/** One that served and is silent now, for as long as a probe waits, may only be slow: so many in a row count (Kubernetes' own failureThreshold). One that refuses, or answers that it is not ready, counts at once. */
const silencesCount = 3

export class Prober {
  readonly #ask: Ask
  readonly #clock: Clock
  readonly #report: (results: readonly ProbeResult[]) => void
  #round = 0
  #cancels: (() => void)[] = []
  readonly #known = new Map<string, ProbeResult>()

  constructor(ask: Ask, clock: Clock, report: (results: readonly ProbeResult[]) => void) {
    this.#ask = ask
    this.#clock = clock
    this.#report = report
  }

  /** The whole list of what to probe from now on. */
  follow({ probes, reportMs }: HealthOrders): void {
    this.stop()
    const round = this.#round
    this.#known.clear()
    for (const probe of probes) void this.#run(probe, round)
    const report = () => {
      if (this.#known.size > 0) this.#report([...this.#known.values()])
      this.#later(reportMs, round, report)
    }
    this.#later(reportMs, round, report)
  }

  async #run(probe: Probe, round: number, tries = 1, silences = 0, misses = 0): Promise<void> {
    const began = this.#clock.now()
    const serves = await this.#ask(probe).then(
      () => true,
      () => false,
    )
    if (round !== this.#round) return
    const key = `${probe.name}|${probe.port}`
    const before = this.#known.get(key)
    const silent = !serves && this.#clock.now() - began >= probe.timeoutMs ? silences + 1 : 0
    const missed = serves ? 0 : misses + 1
    const isSpared = before?.status === 'healthy' && ((silent > 0 && silent < silencesCount) || missed < probe.failures)
    const status = serves || isSpared ? 'healthy' : 'unhealthy'
    const result: ProbeResult = { name: probe.name, host: probe.host, port: probe.port, status }
    this.#known.set(key, result)
    if (before?.status !== status) this.#report([...this.#known.values()])
    const wasEverHealthy = before?.status === 'healthy' || status === 'healthy'
    const soonMs = probe.check.type === 'command' ? eagerCommandMs : eagerMs
    const waitMs = wasEverHealthy ? probe.intervalMs : Math.min(probe.intervalMs, soonMs * 1.05 ** Math.max(0, tries - eagerTries))
    this.#later(waitMs, round, () => void this.#run(probe, round, tries + 1, silent, missed))
  }

  #later(ms: number, round: number, run: () => void): void {
    if (round !== this.#round) return
    const cancel = this.#clock.after(ms, () => {
      this.#cancels = this.#cancels.filter(other => other !== cancel)
      if (round === this.#round) run()
    })
    this.#cancels.push(cancel)
  }

  stop(): void {
    this.#round++
    for (const cancel of this.#cancels) cancel()
    this.#cancels = []
  }
}
