/** Hosts of listeners and routes: what they have in common, and which listener of a port a host belongs to. */

/** Hosts for which both hold: exact, `*.suffix` or `*` for all; undefined: none. */
export function commonHost(listener: string, route: string): string | undefined {
  if (listener === route || covers(listener, route)) return route
  return covers(route, listener) ? listener : undefined
}

/** Whether every host of the other is one of it. `*.a.b` holds for any number of labels, and not for `a.b` (Gateway API Hostname). */
export const covers = (wide: string, other: string): boolean =>
  wide === '*' || wide === other || (wide.startsWith('*.') && other.endsWith(wide.slice(1)))

/** The more specific first: names before suffixes, of those the longer, `*` last. */
export const bySpecificity = (one: string, other: string): number => rank(other) - rank(one) || (one < other ? -1 : one > other ? 1 : 0)
const rank = (host: string): number => (host === '*' ? 0 : host.startsWith('*.') ? host.length : 1000 + host.length)

/** Of listeners on one port the one whose hostname is the most specific that holds for it. */
export const ownerOf = <L extends { readonly hostname: string }>(listeners: readonly L[], host: string): L | undefined =>
  listeners.filter(each => covers(each.hostname, host)).sort((one, other) => bySpecificity(one.hostname, other.hostname))[0]
