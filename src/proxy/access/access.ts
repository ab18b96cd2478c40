/** Who may call the workload: each request and connection judged by its rules, denied ones told why in the log and counted, the caller told a number only. */

import { Failure } from '#base/failure'
import type { Log } from '#base/log'
import { accessOf, type Caller, type CallerAccess, isNamed, placeOf, tellVerdict, tellWhy, type Verdict } from '#model/access'
import type { Access } from '#model/access-rule'
import { noTunnel, tellJudged } from '#model/tunnel'
import { Denied, nextDecision } from '../telemetry/denial.ts'
import type { Entry } from '../telemetry/entry.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { Meter } from '../telemetry/meter.ts'

/** So many denials are logged one by one in a second; of more, how many there were. */
const mostTold = 20

export class Gate {
  readonly #meter: Meter
  readonly #log: Log
  #second = 0
  #told = 0
  #untold = 0

  constructor(meter: Meter, log: Log) {
    this.#meter = meter
    this.#log = log
  }

  /** Throws `access-denied`, or `bad-request` for a path that means nothing certain. */
  admit(exchange: Exchange, access: Access): void {
    const verdict = callerOf(exchange.entry, access).judge(exchange)
    if (verdict.isAllowed) {
      if (verdict.path !== undefined) exchange.judgedPath = verdict.path
      if (exchange.isLogged) exchange.allowedBy = verdict.rule
      return this.#count(verdict)
    }
    if (verdict.badPath !== true) this.#meter.called(exchange, true)
    throw this.#refuse(exchange.entry, access, verdict, `${exchange.method} ${exchange.path}`, exchange)
  }

  /** The same of a connection whose bytes are not looked into. */
  admitConnection(entry: Entry, access: Access): void {
    const verdict = callerOf(entry, access).judgeConnection()
    if (!verdict.isAllowed) throw this.#refuse(entry, access, verdict, 'a connection')
    this.#count(verdict)
  }

  /** Why what is under way may not go on by rules that came later; undefined where it may. Only what is ended counts. */
  reject(exchange: Exchange, access: Access): Failure | undefined {
    const verdict = callerOf(exchange.entry, access).judge(exchange)
    return verdict.isAllowed
      ? undefined
      : this.#refuse(exchange.entry, access, verdict, `${exchange.method} ${exchange.path}, under way,`, exchange)
  }
  rejectConnection(entry: Entry, access: Access): Failure | undefined {
    const verdict = callerOf(entry, access).judgeConnection()
    return verdict.isAllowed ? undefined : this.#refuse(entry, access, verdict, 'an open connection')
  }

  #count({ rule, wouldDeny }: Verdict): void {
    this.#meter.decision(rule, 'allow')
    if (wouldDeny !== undefined) this.#meter.decision(wouldDeny === 'no-allow' ? undefined : wouldDeny, 'audit')
  }

  /** exchange: undefined where the bytes are not looked into. */
  #refuse(entry: Entry, access: Access, verdict: Verdict, what: string, exchange?: Exchange): Failure {
    const { rule } = verdict
    if (verdict.badPath === true) return new Failure('bad-request', tellVerdict(verdict))
    const { listener, peer, ends, view } = entry
    const toCaller = peer !== undefined && isNamed(view().listeners[listener.name]?.tellsWhy, peer)
    let told: string | undefined
    const why = (): string => (told ??= whyOf(entry, access, verdict, exchange))
    this.#meter.decision(rule, 'deny')
    const decision = nextDecision()
    this.#tell(() => `${what} to ${listener.service} was denied: ${why()}`, {
      reason: 'access-denied',
      decision,
      ...(rule === undefined ? {} : placeOf(rule)),
      by: peer ?? `nobody known, from ${ends?.()?.source.host ?? 'somewhere'}`,
      listener: listener.name,
    })
    const denial = { decision, policy: '', rule: '', ...(rule && placeOf(rule)), condition: why }
    // Of a tunnel it tells nothing of the rules, only that there are some.
    const isTunnel = rule === undefined && exchange?.method === 'CONNECT'
    return new Denied(
      'access-denied',
      toCaller ? `decision ${decision}: ${why()}` : isTunnel ? `decision ${decision}: ${noTunnel}` : `decision ${decision}`,
      denial,
    )
  }

  /** text: not made where nobody reads it. */
  #tell(text: () => string, more: Readonly<Record<string, string>>): void {
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      if (this.#untold > 0) this.#log.warn(`${this.#untold} more calls were denied in one second`, { reason: 'access-denied' })
      this.#second = second
      this.#told = this.#untold = 0
    }
    if (this.#told++ < mostTold)
      this.#log.warn(
        text()
          .replaceAll(/[^\x20-\x7e]/g, '?')
          .slice(0, 500),
        more,
      )
    else this.#untold++
  }
}

/** Decided once for each connection as far as a request does not matter. */
export const callerOf = (entry: Entry, access: Access): CallerAccess => accessOf(access, entry, () => identify(entry), Date.now)

/** With the first condition that decided. */
function whyOf(entry: Entry, access: Access, verdict: Verdict, exchange: Exchange | undefined): string {
  const why = tellWhy(access, identify(entry), exchange, verdict, Date.now())
  const says = tellJudged(verdict, exchange?.method)
  return why === undefined ? says : `${says}: ${why}`
}

const identify = ({ peer, ends }: Entry): Caller => ({ identity: peer, address: ends?.()?.source.host })
