/** The stage of what comes from outside: Gateways of our class with their ListenerSets, the routes attached to both, and what is said of them. */

import type { Mesh, Outbound } from '#model/mesh'
import type { Inventory } from '#model/workload'
import type { Gateway, ListenerSet, ParentRef, TCPRoute, TLSRoute } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { JudgeCertificate } from './certificates.ts'
import { type FoundBackendTls, reportBackendTls, withBackendTls } from './backend-tls.ts'
import { shownTo } from './certificates.ts'
import type { EdgeListener, Holder } from './listeners.ts'
import { listenersOf } from './listeners.ts'
import { addressesOf, reportClass, reportGateway, reportNobodys } from './report.ts'
import { labelsOf, parentOf, setsOf } from './sets.ts'
import { reportOrphan, reportSets } from './set-report.ts'
import type { EdgeRoute } from './tables.ts'
import { hostsOfRoute, lowerGateway } from './tables.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import type { Hashes } from '../policies/hashes.ts'
import { recognisingCallers, recognisingRoute } from '../policies/hashes.ts'
import type { RequestRoute } from '../routes/routes.ts'
import { changed } from '../routes/order.ts'
import { isEdgeParent, isOurClass, isOurs, type Verdict, whyNobodys, whyNotClass } from '../routes/parents.ts'
import { namesItsClients } from '../routes/clients.ts'
import type { LoweredTCP } from '../routes/tcp.ts'
import type { LoweredRoute } from '../routes/rules.ts'
import { selectedBy } from '../services/selector.ts'
import type { ResourceStatus } from '../status.ts'
import { gatewayControllerName } from '../status.ts'

export type Gateways = {
  /** By `NAMESPACE/NAME`. */
  readonly lowered: Readonly<Record<string, Outbound>>
  readonly inside: Mesh['inside']
  readonly verdicts: ReadonlyMap<Resource, readonly Verdict[]>
  readonly statuses: readonly ResourceStatus[]
  readonly edges: readonly Edge[]
}

type Edge = {
  readonly gateway: Gateway
  readonly sets: ReturnType<typeof setsOf>
  readonly listeners: readonly EdgeListener[]
}

export function findGateways(
  gathered: Gathered,
  backendTls: FoundBackendTls,
  requests: ReadonlyMap<RequestRoute, LoweredRoute>,
  streams: ReadonlyMap<TLSRoute | TCPRoute, LoweredTCP>,
  inventory: Inventory,
  judge: JudgeCertificate,
  hashes: Hashes,
): Gateways {
  const edges = gathered.gateways
    .filter(each => isOurs(each, gathered.gatewayClasses))
    .map((gateway): Edge => {
      const sets = setsOf(gateway, gathered)
      return { gateway, sets, listeners: listenersOf(gateway, sets.taken, gathered, judge) }
    })
  const taken = new Map<EdgeListener, EdgeRoute[]>()
  const verdicts = new Map<Resource, Verdict[]>()
  for (const route of [...requests.keys(), ...streams.keys()])
    for (const [index, parentRef] of (route.spec?.parentRefs ?? []).entries()) {
      if (!isEdgeParent(parentRef)) continue
      const found = holderOf(parentRef, route, edges)
      if (found === undefined) continue
      const where = `spec.parentRefs[${index}]`
      const { chosen, ...said } = namesItsClients(route) ? forSome(where) : judgeRoute(route, parentRef, where, found, gathered)
      const idle = whyIdle(route, chosen, taken)
      for (const listener of chosen) {
        const before = taken.get(listener) ?? []
        if (!before.includes(route)) taken.set(listener, [...before, route])
      }
      verdicts.set(route, [...(verdicts.get(route) ?? []), { parentRef, ...said, ...idle, controllerName: gatewayControllerName }])
    }
  const routesOf = (route: RequestRoute) =>
    hashes.size === 0 ? requests.get(route)!.routes : changed(requests.get(route)!.routes, each => recognisingRoute(each, hashes))
  const made: Record<string, Outbound> = {}
  const inside: Record<string, Mesh['inside'][string]> = {}
  const statuses: ResourceStatus[] = []
  for (const { gateway, sets, listeners } of edges) {
    const { hosts, refused } = addressesOf(gateway)
    const shown = shownTo(gateway, gathered, judge)
    if (refused === undefined) {
      const edge = recognisingCallers(
        lowerGateway(gateway, listeners, taken, { requests: routesOf, streams: route => streams.get(route)!.backends }, hosts),
        hashes,
      )
      const own = withBackendTls(edge, backendTls.holding, shown?.certificate)
      made[nameOf(gateway)] = own.edge
      inside[nameOf(gateway)] = own.inside
    }
    statuses.push(
      reportGateway(gateway, listeners, taken, inventory, shown?.fault),
      ...reportSets(gateway, sets, listeners, taken, inventory),
    )
  }
  const known = new Set(gathered.gateways.map(nameOf))
  for (const each of gathered.listenerSets) if (!known.has(parentOf(each) ?? nameOf(each))) statuses.push(...reportOrphan(each))
  for (const each of gathered.gatewayClasses) if (isOurClass(each)) statuses.push(reportClass(each, whyNotClass(each)))
  for (const each of gathered.gateways) {
    const why = isOurs(each, gathered.gatewayClasses) ? undefined : whyNobodys(each, gathered.gatewayClasses)
    if (why !== undefined) statuses.push(reportNobodys(each, why))
  }
  statuses.push(...reportBackendTls(gathered, backendTls, inside))
  return { lowered: made, inside, verdicts, statuses, edges }
}

/** Whoever comes in at a Gateway is no client of the mesh. */
const forSome = (where: string) => ({
  chosen: [],
  reason: 'UnsupportedValue',
  says: `${where}: a route that names its clients (weft.dev/from) holds for Services only: remove the annotation or the parent`,
})

type Asked = { readonly holder: Holder; readonly listeners: readonly EdgeListener[]; readonly isLetIn: boolean }

/** What the reference means, with the listeners that it writes; undefined: nothing of ours. */
function holderOf(ref: ParentRef, route: EdgeRoute, edges: readonly Edge[]): Asked | undefined {
  const name = `${ref.namespace ?? namespaceOf(route)}/${ref.name}`
  for (const { gateway, sets, listeners } of edges) {
    const refused = ref.kind === 'Gateway' ? undefined : sets.refused.find(each => nameOf(each) === name)
    if (refused !== undefined) return { holder: refused, listeners: [], isLetIn: false }
    const holder = (ref.kind === 'Gateway' ? [gateway] : sets.taken).find((each: Gateway | ListenerSet) => nameOf(each) === name)
    if (holder !== undefined) return { holder, listeners: listeners.filter(each => each.holder === holder), isLetIn: true }
  }
  return undefined
}

/** A route of connections or datagrams is attached beside an older one (Gateway API TCPRoute), and gets nothing, which is said. */
function whyIdle(
  { kind }: EdgeRoute,
  chosen: readonly EdgeListener[],
  taken: ReadonlyMap<EdgeListener, readonly EdgeRoute[]>,
): { readonly says: string } | undefined {
  if ((kind !== 'TCPRoute' && kind !== 'UDPRoute') || chosen.length === 0) return undefined
  const holders = chosen.map(each => taken.get(each)?.[0])
  const [older] = holders
  return older === undefined || holders.includes(undefined)
    ? undefined
    : { says: `The route is attached, but ${older.kind} ${nameOf(older)}, an older one, gets all that comes` }
}

type JudgedRoute = { readonly chosen: readonly EdgeListener[]; readonly reason?: string; readonly says: string }

/** Which listeners take the route; where none does, the last thing that stood in the way (Gateway API RouteConditionReason). */
function judgeRoute(
  route: EdgeRoute,
  ref: ParentRef,
  at: string,
  { holder, listeners, isLetIn }: Asked,
  { namespaces }: Pick<Gathered, 'namespaces'>,
): JudgedRoute {
  const no = (reason: string, says: string): JudgedRoute => ({ chosen: [], reason, says: `${at}: ${says}` })
  const told = `${holder.kind} ${nameOf(holder)}`
  if (!isLetIn) return no('NoMatchingParent', `${told} is not let in by its Gateway: see allowedListeners there`)
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
  const labels = labelsOf(namespaceOf(route), namespaces)
  const allowed = kindly.filter(({ spec }) => {
    const { from, selector } = spec.allowedRoutes.namespaces
    if (from === 'Same') return namespaceOf(route) === namespaceOf(holder)
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
