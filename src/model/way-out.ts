/** What leads out of the mesh in a view: the listener for what is no service, and which of its rules judge what is asked for by which name. */

import { type Egress, forAddresses, forNames, forServices } from './egress.ts'
import type { Listener } from './listener.ts'
import { backendsFor } from './server-name.ts'
import type { View } from './view.ts'

/** The backends that mean: where an allowed name leads, and where the caller wanted to go. As the compiler names them. */
const byName = 'external/named'
const byAddress = 'external/original'

/** The listener for all ports that have none of their own. */
export const everywhere = 'outbound/*'

/** The listener for what is no service, at one port; undefined: nothing is said of it, and it goes where it wants. */
export const wayOutAt = (view: View, port: number): Listener | undefined =>
  view.listeners[`${everywhere}:${port}`] ?? view.listeners[everywhere]

/** By which rules a connection is judged whose bytes are not looked into: by those for names where its name leads somewhere. */
export function rulesFor(listener: Listener, egress: Egress, name: string | undefined): Egress {
  const [only, ...others] = backendsFor(listener, name) ?? []
  if (only?.backend === byAddress && others.length === 0) return forAddresses(egress)
  if (only?.backend === byName && others.length === 0) return forNames(egress)
  return listener.serverNames === undefined && listener.host !== '0.0.0.0' ? egress : forServices(egress)
}
