/** Says in the log, long before and on the day, that the root of the mesh ends, and what to do: who never asks the doctor hears of it too. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'

const dayMs = 86_400_000
const soonMs = 180 * dayMs
/** Timers stand still while a host sleeps: one that slept through the day hears of it soon. It is said once a day. */
const lookMs = 5_000

export type RootEndOptions = {
  /** Of the root that new certificates lead to; ms since the epoch. */
  readonly endsAt: () => number
  /** It can be replaced from here. */
  readonly isOwn: boolean
  readonly clock: Clock
  readonly log: Log
}

/** Looks at once. Returns what ends it. */
export function tellRootEnd({ endsAt, isOwn, clock, log }: RootEndOptions): () => void {
  let cancel = (): void => {}
  let toldAt = Number.NEGATIVE_INFINITY
  const look = (): void => {
    cancel = clock.after(lookMs, look)
    const now = clock.now()
    const notAfter = endsAt()
    // Not a number where no root is known.
    if (now - toldAt < dayMs || !(notAfter - now <= soonMs)) return
    toldAt = now
    const until = new Date(notAfter).toISOString()
    if (notAfter <= now)
      log.error('the root certificate has expired: nobody in the mesh trusts anybody any more; weft cert doctor says how to mend it', {
        until,
      })
    else
      log.warn(
        `the root certificate ends in ${Math.floor((notAfter - now) / dayMs)} days; replace it before: ${isOwn ? 'weft cert rotate-root --auto, without a lost request' : 'at the authority that signs'}`,
        { until },
      )
  }
  look()
  return () => cancel()
}
