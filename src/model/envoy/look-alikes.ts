/**
 * What an Envoy takes out of requests so that nobody is told by a caller, in another spelling, what is told by the mesh: to programs that read headers as CGI does
 * `X_User` is `X-User`. A proxy of Weft finds such names by itself; an Envoy has to be given them, and gets those with underscores.
 */

import { claimHeadersAt, plainName } from '../claim-headers.ts'
import type { Route } from '../route.ts'
import type { View } from '../view.ts'

/** Written, or taken out, by each Envoy that takes requests in. */
const always = ['x-forwarded-client-cert', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-real-ip']
/** Up to so many dashes each mixture is named, beyond that the likely ones. */
const mostDashes = 5

/** The view of an Envoy, with one filter more at each route by which requests come in. */
export function withoutLookAlikes(view: View): View {
  const routes = { ...view.routes }
  for (const listener of Object.values(view.listeners)) {
    const table = listener.routes === undefined ? undefined : view.routes[listener.routes]
    if (listener.direction === 'outbound' || table === undefined) continue
    const names = [...always, ...claimHeadersAt(listener)]
    const spared = (route: Route): Route => {
      if (route.action.type !== 'forward') return route
      const remove = [...new Set([...names, ...changedBy(route)].flatMap(spellings))]
      return { ...route, filters: [...route.filters, { type: 'request-headers', change: { set: [], add: [], remove } }] }
    }
    routes[table.name] = { ...table, hosts: table.hosts.map(host => ({ ...host, routes: host.routes.map(spared) })) }
  }
  return { ...view, routes }
}

const changedBy = ({ filters, action }: Route): readonly string[] =>
  [...filters, ...(action.type === 'forward' ? action.backends.flatMap(each => each.filters ?? []) : [])].flatMap(filter =>
    filter.type === 'request-headers' ? [...filter.change.remove, ...filter.change.set.map(({ name }) => name)].map(plainName) : [],
  )

/** With an underscore for one dash or more. */
export function spellings(name: string): readonly string[] {
  const words = name.split('-')
  const most = words.length - 1
  const isAll = most <= mostDashes
  const masks = isAll
    ? Array.from({ length: 2 ** most - 1 }, (_, at) => at + 1)
    : [2 ** most - 1, ...words.slice(1).map((_, at) => 2 ** at)]
  return masks.map(mask => words.reduce((before, word, at) => `${before}${(mask >> (at - 1)) & 1 ? '_' : '-'}${word}`))
}
