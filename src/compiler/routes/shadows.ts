/** Rules to which nothing comes, for another matches the same and is tried before: what they and those that come first are told. */

import type { Match, Route } from '#model/route'
import { nameOf } from '../gather.ts'
import type { Audiences, ByPort } from './audiences.ts'
import { inOrder } from './order.ts'
import type { RequestRoute } from './routes.ts'
import type { LoweredRoute } from './rules.ts'

/** port: key of the one where it is so. */
export type Shadow = { readonly port: string; readonly isBehind: boolean; readonly says: string }
type Place = { readonly route: RequestRoute; readonly rule: number }

/** By route. Only what is written alike counts as the same: what is merely covered may be meant so. */
export function findShadows(
  { everyone, consumers, some }: Audiences,
  lowered: ReadonlyMap<RequestRoute, LoweredRoute>,
): ReadonlyMap<RequestRoute, readonly Shadow[]> {
  const found = new Map<RequestRoute, Map<string, Shadow>>()
  const tell = (route: RequestRoute, shadow: Shadow): void => {
    const told = found.get(route) ?? new Map<string, Shadow>()
    found.set(route, told.set(`${shadow.port} ${shadow.says}`, shadow))
  }
  const on = (byPort: ByPort): void => {
    for (const [port, { http }] of byPort) {
      const byName = new Map(http.map(route => [`${route.kind}/${nameOf(route)}`, route]))
      const first = new Map<string, Place>()
      for (const made of inOrder(http.flatMap(route => lowered.get(route)!.routes))) {
        const place = placeOf(made, byName)
        if (place === undefined) continue
        const key = keyOf(made.match)
        const before = first.get(key)
        if (before === undefined) first.set(key, place)
        else if (before.route !== place.route || before.rule !== place.rule) {
          tell(place.route, {
            port,
            isBehind: true,
            says: `spec.rules[${place.rule}]: ${toldOf(before, place.route)} matches the same and comes first, so nothing comes here: change a match, or remove one of them`,
          })
          if (before.route !== place.route)
            tell(before.route, {
              port,
              isBehind: false,
              says: `spec.rules[${before.rule}]: ${toldOf(place, before.route)} matches the same, comes later and gets nothing`,
            })
        }
      }
    }
  }
  on(everyone)
  for (const { byPort } of [...consumers, ...some]) on(byPort)
  return new Map([...found].map(([route, told]) => [route, [...told.values()]]))
}

const toldOf = ({ route, rule }: Place, to: RequestRoute): string =>
  route === to ? `rule ${rule}` : `rule ${rule} of ${route.kind} ${nameOf(route)}`

/** Of a rule that stands in a route itself; what another hands on is matched by both. */
function placeOf({ name }: Route, byName: ReadonlyMap<string, RequestRoute>): Place | undefined {
  if (name.includes('/via/')) return undefined
  const [kind, namespace, route, rule] = name.split('/')
  const found = byName.get(`${kind}/${namespace}/${route}`)
  return found === undefined ? undefined : { route: found, rule: Number.parseInt(rule ?? '', 10) }
}

/** In whatever order headers and parameters are written. */
const keyOf = ({ grpc, path, method, headers = [], query = [] }: Match): string =>
  JSON.stringify([grpc, path, method, headers.map(each => JSON.stringify(each)).sort(), query.map(each => JSON.stringify(each)).sort()])
