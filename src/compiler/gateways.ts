/** The stage of what comes from outside: Gateways of our class with their listeners, the routes attached to them, and what is said of both. */

import type { Outbound } from '#model/mesh'
import type { Inventory } from '#model/workload'
import type { Gateway, ParentRef, TCPRoute, TLSRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { JudgeCertificate } from './edge-certificates.ts'
import type { EdgeListener } from './edge-listeners.ts'
import { listenersOf } from './edge-listeners.ts'
import { addressOf, reportGateway } from './edge-report.ts'
import type { EdgeRoute } from './edge-tables.ts'
import { hostsOfRoute, lowerGateway } from './edge-tables.ts'
import type { Gathered } from './gather.ts'
import { nameOf, namespaceOf } from './gather.ts'
import type { Hashes } from './hashes.ts'
import { recognisingRoute } from './hashes.ts'
import type { RequestRoute } from './lower.ts'
import { isGatewayParent, isOurs, type Verdict } from './parents.ts'
import type { LoweredTCP } from './tcp.ts'
import type { LoweredRoute } from './rules.ts'
import { selectedBy } from './selector.ts'
import type { ResourceStatus } from './status.ts'
import { gatewayControllerName, state, statusFor } from './status.ts'

export type Gateways = {
  /** By `NAMESPACE/NAME`. */
  readonly lowered: Readonly<Record<string, Outbound>>
  readonly verdicts: ReadonlyMap<Resource, readonly Verdict[]>
  readonly statuses: readonly ResourceStatus[]
}

export function findGateways(
  gathered: Gathered,
  requests: ReadonlyMap<RequestRoute, LoweredRoute>,
  streams: ReadonlyMap<TLSRoute | TCPRoute, LoweredTCP>,
  inventory: Inventory,
  judge: JudgeCertificate,
  hashes: Hashes,
): Gateways {
  const ours = gathered.gateways.filter(each => isOurs(each, gathered.gatewayClasses))
  const listeners = new Map(ours.map(gateway => [gateway, listenersOf(gateway, gathered, judge)]))
  const taken = new Map<EdgeListener, EdgeRoute[]>()
  const verdicts = new Map<Resource, Verdict[]>()
  for (const route of [...requests.keys(), ...[...streams.keys()].filter(each => each.kind !== 'UDPRoute')])
    for (const [index, parentRef] of (route.spec?.parentRefs ?? []).entries()) {
      if (!isGatewayParent(parentRef)) continue
      const name = `${parentRef.namespace ?? namespaceOf(route)}/${parentRef.name}`
      const gateway = ours.find(each => nameOf(each) === name)
      if (gateway === undefined) continue
      const at = `spec.parentRefs[${index}]`
      const { chosen, ...said } = unlessTaken(
        judgeRoute(route, parentRef, at, gateway, listeners.get(gateway)!, gathered),
        route,
        at,
        taken,
      )
      for (const listener of chosen) {
        const before = taken.get(listener) ?? []
        if (!before.includes(route)) taken.set(listener, [...before, route])
      }
      verdicts.set(route, [...(verdicts.get(route) ?? []), { parentRef, ...said, controllerName: gatewayControllerName }])
    }
  const routesOf = (route: RequestRoute) =>
    requests.get(route)!.routes.map(({ route: each, rank }) => ({ route: hashes.size === 0 ? each : recognisingRoute(each, hashes), rank }))
  const made: Record<string, Outbound> = {}
  const statuses: ResourceStatus[] = []
  for (const [gateway, list] of listeners) {
    const { host, refused } = addressOf(gateway)
    if (refused === undefined)
      made[nameOf(gateway)] = lowerGateway(
        gateway,
        list,
        taken,
        { requests: routesOf, streams: route => streams.get(route)!.backends },
        host,
      )
    statuses.push(reportGateway(gateway, list, taken, inventory))
  }
  for (const each of gathered.gatewayClasses)
    if (each.spec?.controllerName === gatewayControllerName)
      statuses.push(statusFor(each, { conditions: [state(each, 'Accepted', true, 'Accepted', 'weft gateway carries out its Gateways')] }))
  return { lowered: made, verdicts, statuses }
}

type JudgedRoute = { readonly chosen: readonly EdgeListener[]; readonly reason?: string; readonly says: string }

/** A listener of TCP leads to one place: the oldest route has it. */
function unlessTaken(
  judged: JudgedRoute,
  route: EdgeRoute,
  at: string,
  taken: ReadonlyMap<EdgeListener, readonly EdgeRoute[]>,
): JudgedRoute {
  if (route.kind !== 'TCPRoute' || judged.chosen.length === 0) return judged
  const free = judged.chosen.filter(each => (taken.get(each) ?? []).every(other => other === route))
  if (free.length > 0) return { ...judged, chosen: free }
  const holder = taken.get(judged.chosen[0]!)![0]!
  return { chosen: [], reason: 'Conflicted', says: `${at}: TCPRoute ${nameOf(holder)} holds there, an older one` }
}

/** Which listeners take the route; where none does, the last thing that stood in the way (Gateway API RouteConditionReason). */
function judgeRoute(
  route: EdgeRoute,
  ref: ParentRef,
  at: string,
  gateway: Gateway,
  listeners: readonly EdgeListener[],
  { namespaces }: Pick<Gathered, 'namespaces'>,
): JudgedRoute {
  const no = (reason: string, says: string): JudgedRoute => ({ chosen: [], reason, says: `${at}: ${says}` })
  const told = `Gateway ${nameOf(gateway)}`
  const named = listeners.filter(
    ({ spec }) => (ref.sectionName === undefined || spec.name === ref.sectionName) && (ref.port === undefined || spec.port === ref.port),
  )
  if (named.length === 0)
    return no(
      'NoMatchingParent',
      `${told} has no such listener; it has ${listeners.map(({ spec }) => `${spec.name} on port ${spec.port}`).join(', ')}`,
    )
  const kindly = named.filter(({ kinds }) => kinds.some(each => each.kind === route.kind))
  if (kindly.length === 0) return no('NotAllowedByListeners', `no listener of ${told} takes a ${route.kind}`)
  const labels = {
    'kubernetes.io/metadata.name': namespaceOf(route),
    ...namespaces.find(each => each.metadata.name === namespaceOf(route))?.metadata.labels,
  }
  const allowed = kindly.filter(({ spec }) => {
    const { from, selector } = spec.allowedRoutes.namespaces
    if (from === 'Same') return namespaceOf(route) === namespaceOf(gateway)
    return from === 'All' || selectedBy(selector ?? {}, labels)
  })
  if (allowed.length === 0)
    return no(
      'NotAllowedByListeners',
      `no listener of ${told} takes routes of namespace ${namespaceOf(route)}: see allowedRoutes.namespaces`,
    )
  const chosen = allowed.filter(each => hostsOfRoute(each, route).length > 0)
  if (chosen.length === 0)
    return no('NoMatchingListenerHostname', `no hostname of the route is one of ${allowed.map(each => each.hostname).join(', ')}`)
  return { chosen, says: 'The route holds' }
}
