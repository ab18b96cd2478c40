/** Which route tables of a Gateway belong to which of its listeners, for policies that name one. */

import type { Outbound } from '#model/mesh'
import type { Route } from '#model/route'

/** Those of listeners that end TLS; each has one of its own, while those of a clear port share one. */
export const securedTables = ({ listeners }: Outbound): ReadonlySet<string> =>
  new Set(Object.values(listeners).flatMap(({ terminates = [] }) => terminates.flatMap(each => each.routes ?? [])))

/** The listener of a Gateway to which a table of those belongs; of those of a ListenerSet, which have longer names, none. */
export function sectionOf(table: string): string | undefined {
  const [, , , section, ...more] = table.split('/')
  return more.length === 0 ? section : undefined
}

/** It tells that another listener is meant, and leads nowhere. */
export const isMisdirected = ({ action }: Route): boolean => action.type === 'respond' && action.reason === 'misdirected'
