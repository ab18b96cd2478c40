/** What is other in a newer view, so that connections and requests that are open must be held against it. */

import type { Access } from '#model/access-rule'
import type { Listener } from '#model/listener'
import type { View } from '#model/view'

export const hasLostDoor = (before: View, now: View): boolean =>
  Object.values(before.listeners).some(({ name, direction }) => direction === 'gateway' && now.listeners[name] === undefined)

/** Whether what may be called outside the mesh is other. */
export const hasOtherEgress = (before: View, now: View): boolean =>
  Object.values(now.listeners).some(
    ({ name, direction, egress, routes = '' }) =>
      direction === 'outbound' &&
      (egress !== before.listeners[name]?.egress ||
        (now.routes[routes] !== before.routes[routes] &&
          now.routes[routes]?.hosts.some(host => host.routes.some(route => route.egress !== undefined)))),
  ) || Object.values(before.listeners).some(({ name, egress }) => egress !== undefined && now.listeners[name] === undefined)

/** Whether the rules of any inbound port are others. */
export const hasOtherAccess = (before: View, now: View): boolean =>
  Object.values(now.listeners).some(
    listener =>
      listener.direction === 'inbound' &&
      (listener.access !== before.listeners[listener.name]?.access ||
        // Where there are any, no tunnel that nobody allowed may go on.
        listener.tokens !== before.listeners[listener.name]?.tokens ||
        listener.authorizers !== before.listeners[listener.name]?.authorizers ||
        (listener.routes !== undefined &&
          now.routes[listener.routes] !== before.routes[listener.routes] &&
          accessesOf(now, listener).some((access, at) => access !== accessesOf(before, listener)[at]))),
  )

/** Whether mutual TLS of the mesh agrees on something else than before. */
export function hasOtherTerms(before: View, now: View): boolean {
  for (const [name, { tls }] of Object.entries(now.listeners)) {
    const was = before.listeners[name]
    if (was !== undefined && was.tls?.profile !== tls?.profile) return true
  }
  return false
}

/** Of requests to a listener. */
export const accessesOf = ({ routes }: View, { routes: table }: Listener): readonly (Access | undefined)[] =>
  routes[table ?? '']?.hosts.flatMap(host => host.routes.map(route => route.access)) ?? []
