/** Whom routes are for, and which of them hold on each port for each of those: producer routes for all, consumer routes for one namespace, and of both some for named clients only. */

import type { ClientMatch } from '#model/mesh'
import type { TCPRoute, TLSRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { type Client, isMeant } from '../clients.ts'
import { older } from '../gather.ts'
import type { AnyRoute, AttachedRoutes, RequestRoute } from './routes.ts'
import { namesOf } from './tcp.ts'

/** Routes that hold on one port for one scope, of one kind only; tcp: at most one, which for a port of UDP is a UDPRoute. */
export type PortRoutes = { readonly http: readonly RequestRoute[]; readonly tls: readonly TLSRoute[]; readonly tcp: TCPRoute | undefined }
export type ByPort = ReadonlyMap<string, PortRoutes>

/** Those of one scope, and of these all (from absent) or only some. */
export type Audience = { readonly scope: string | undefined; readonly from?: readonly ClientMatch[] | undefined }
type Held = { readonly audience: Audience; readonly byPort: ByPort }

/** consumers: by namespace. some: who is named; what counts most last: consumer routes, and of one scope the oldest. */
export type Audiences = {
  readonly everyone: ByPort
  readonly consumers: readonly { readonly scope: string; readonly byPort: ByPort }[]
  readonly some: readonly { readonly scope: string | undefined; readonly from: readonly ClientMatch[]; readonly byPort: ByPort }[]
  /** Whether anything goes by a route, for those that an attachment is for. */
  readonly isHeld: (route: AnyRoute, port: string, audience: Audience) => boolean
  /** What holds on a port for one client: consumer routes before producer routes, of each those that name it first. */
  readonly heldFor: (port: string, client: Client) => PortRoutes | undefined
}

const none: PortRoutes = { http: [], tls: [], tcp: undefined }
const keyOf = ({ scope = '', from }: Audience): string => (from === undefined ? scope : JSON.stringify([scope, from]))

export function findAudiences(attached: AttachedRoutes): Audiences {
  const audiences = new Map<string, Audience>([[keyOf({ scope: undefined }), { scope: undefined }]])
  for (const { scope, from } of Object.values(attached).flat()) audiences.set(keyOf({ scope, from }), { scope, from })
  const held = new Map([...audiences].map(([key, audience]): [string, Held] => [key, { audience, byPort: holding(attached, audience) }]))
  const all = held.get(keyOf({ scope: undefined }))!
  const others = [...held.values()].filter(each => each !== all)
  const some = byAge(others.filter(({ audience }) => audience.from !== undefined))
  const consumers = others.filter(({ audience: { scope, from } }) => scope !== undefined && from === undefined)
  const inOrderOfWeight = [
    all,
    ...some.filter(({ audience }) => audience.scope === undefined),
    ...consumers,
    ...some.filter(({ audience }) => audience.scope !== undefined),
  ]
  return {
    everyone: all.byPort,
    consumers: consumers
      .map(({ audience: { scope = '' }, byPort }) => ({ scope, byPort }))
      .sort((one, other) => (one.scope < other.scope ? -1 : 1)),
    some: some.map(({ audience: { scope, from = [] }, byPort }) => ({ scope, from, byPort })),
    isHeld: (route, port, audience) => holds(route, held.get(keyOf(audience))!.byPort.get(port)),
    heldFor: (port, client) =>
      inOrderOfWeight
        .filter(({ audience: { scope, from } }) => (scope === undefined || scope === client.namespace) && isMeant(from, client))
        .findLast(({ byPort }) => byPort.has(port))
        ?.byPort.get(port),
  }
}

/** Of each kind what holds on each port, for one audience: the more specific kind wins, and of TCPRoutes the oldest; TLSRoutes share it by name (GEP-1294, GEP-1426 Route types). */
function holding({ http, tls, tcp }: AttachedRoutes, audience: Audience): ByPort {
  const found = new Map<string, PortRoutes>()
  const key = keyOf(audience)
  const isFor = (each: Audience): boolean => keyOf(each) === key
  for (const { route, port } of http.filter(isFor)) {
    const before = found.get(port.key)?.http ?? []
    if (before.length > 0 && before[0]!.kind !== route.kind) continue
    if (!before.includes(route)) found.set(port.key, { ...none, http: [...before, route] })
  }
  for (const { route, port } of tls.filter(isFor)) {
    const before = found.get(port.key) ?? none
    if (before.http.length === 0 && !before.tls.includes(route)) found.set(port.key, { ...none, tls: [...before.tls, route] })
  }
  for (const { route, port } of tcp.filter(isFor)) if (!found.has(port.key)) found.set(port.key, { ...none, tcp: route })
  return found
}

/** Whether anything goes by it. */
function holds(route: AnyRoute, there: PortRoutes | undefined): boolean {
  if (there === undefined) return false
  const { names, unnamed } = namesOf(there.tls)
  const taken: readonly AnyRoute[] = [...there.http, ...names.keys()]
  return there.tcp === route || unnamed === route || taken.includes(route)
}

/** Of routes that name their clients those last that count most: consumer routes, and of one scope the oldest. */
function byAge(list: readonly Held[]): readonly Held[] {
  const oldest = ({ byPort }: Held): Resource =>
    [...byPort.values()].flatMap(({ http, tls, tcp }): Resource[] => [...http, ...tls, ...(tcp === undefined ? [] : [tcp])]).sort(older)[0]!
  return list
    .filter(({ byPort }) => byPort.size > 0)
    .toSorted(
      (one, other) =>
        Number(one.audience.scope !== undefined) - Number(other.audience.scope !== undefined) || older(oldest(other), oldest(one)),
    )
}
