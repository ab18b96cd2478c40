/** Third stage: which route holds on which service port, for clients of which namespace, and which parents refuse it. */

import type { ClientMatch } from '#model/mesh'
import type { ParentRef } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { weftGroup } from '#resources/weft'
import { delegatedTo, isDelegate } from './delegate.ts'
import type { Gathered, Note } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { parentOf } from '../edge/sets.ts'
import { isEdgeParent, isOurs, type Verdict } from './parents.ts'
import { carriesCalls, isHttp } from '../services/protocol.ts'
import { clientsOfRoute } from './clients.ts'
import type { ServicePort, Services } from '../services/services.ts'

type AnyRoute = Resource<{ readonly parentRefs?: readonly ParentRef[] | undefined }>
/** scope: the namespace of the clients, for a consumer route; undefined: clients of every namespace. */
export type Attachment<R> = {
  readonly route: R
  readonly parentRef: ParentRef
  readonly port: ServicePort
  readonly scope: string | undefined
  /** The clients that it is for; absent: all. */
  readonly from?: readonly ClientMatch[]
}
export type Attached<R> = {
  readonly attachments: readonly Attachment<R>[]
  readonly verdicts: ReadonlyMap<R, readonly Verdict[]>
  readonly notes: readonly Note[]
}

const unsupported = 'UnsupportedValue'
type Judged = { readonly ports: readonly ServicePort[]; readonly reason?: string; readonly says: string }
const no = (reason: string, says: string): Judged => ({ ports: [], reason, says })

/** GEP-1294 (GAMMA): a route of the Service's own namespace is a producer route, one of another namespace a consumer route. */
export function attach<R extends AnyRoute>(routes: readonly R[], gathered: Gathered, services: Services): Attached<R> {
  const attachments: Attachment<R>[] = []
  const verdicts = new Map<R, readonly Verdict[]>()
  const notes: Note[] = []
  const delegated = delegatedTo(gathered.httpRoutes)
  for (const route of routes) {
    const about = `${route.kind} ${nameOf(route)}`
    const parentRefs = route.spec?.parentRefs ?? []
    if (parentRefs.length === 0 && !(route.kind === 'HTTPRoute' && delegated.has(nameOf(route))))
      notes.push({ about, path: 'spec.parentRefs', says: 'is absent: the route holds nowhere; name a Service' })
    const said: Verdict[] = []
    for (const [at, parentRef] of parentRefs.entries()) {
      // What becomes of it is known when all rules are.
      if (route.kind === 'HTTPRoute' && isDelegate(parentRef)) continue
      const edge = isEdgeParent(parentRef) ? edgeParent(route, parentRef, gathered) : undefined
      if (edge !== undefined && 'whose' in edge && edge.whose === 'ours') continue
      const where = `spec.parentRefs[${at}]`
      const judged =
        edge === undefined
          ? judge(route, parentRef, where, services)
          : 'missing' in edge
            ? no('NoMatchingParent', `${where}: ${edge.missing}`)
            : undefined
      if (judged === undefined) {
        notes.push({
          about,
          path: `spec.parentRefs[${at}].kind`,
          says: `${parentRef.kind} of group "${parentRef.group}" is no parent that the mesh looks after: left to others`,
        })
        continue
      }
      const { ports, reason, says } = judged
      const namespace = parentRef.namespace ?? namespaceOf(route)
      const scope = namespace === namespaceOf(route) ? undefined : namespaceOf(route)
      const { from, wrong } = clientsOfRoute(route, scope)
      if (reason === undefined && wrong !== undefined) {
        said.push({ parentRef, reason: unsupported, says: wrong })
        continue
      }
      attachments.push(...ports.map(port => ({ route, parentRef, port, scope, ...(from === undefined ? {} : { from }) })))
      said.push({ parentRef, ...(reason === undefined ? {} : { reason }), says })
    }
    verdicts.set(route, said)
  }
  return { attachments, verdicts, notes }
}

/** undefined: the parent belongs to another controller. */
function judge(route: AnyRoute, ref: ParentRef, at: string, services: Services): Judged | undefined {
  const name = `${ref.namespace ?? namespaceOf(route)}/${ref.name}`
  const isExternal = ref.group === weftGroup && ref.kind === 'ExternalService'
  if (!isExternal && (ref.group !== '' || ref.kind !== 'Service')) return undefined
  const all = services.by.get(isExternal ? `ExternalService ${name}` : name)
  if (all === undefined) return no('NoMatchingParent', `${at}: ${ref.kind} ${name} does not exist`)
  if (!isExternal && services.headless.some(each => `${each.namespace}/${each.service}` === name))
    return no(
      unsupported,
      `${at}: Service ${name} is headless: its clients choose one of its workloads and call that itself, so that no route comes between; it can be a backend`,
    )
  const named = all.filter(
    port => (ref.port === undefined || port.port === ref.port) && (ref.sectionName === undefined || port.name === ref.sectionName),
  )
  // TCP and UDP may share a number; a route means the ports of its kind.
  const ports = named.filter(port => (port.protocol === 'udp') === (route.kind === 'UDPRoute'))
  if (named.length > 0 && ports.length === 0)
    return no(unsupported, `${at}: port ${spoken(named)}: a ${route.kind} holds for ports of ${route.kind === 'UDPRoute' ? 'UDP' : 'TCP'}`)
  if (ports.length === 0)
    return no(
      'NoMatchingParent',
      `${at}: ${ref.kind} ${name} has no such port; it has ${all.map(port => (port.name ? `${port.name} ${port.port}` : port.port)).join(', ') || 'none'}`,
    )
  if (route.kind === 'TCPRoute' || route.kind === 'UDPRoute') return { ports, says: 'The route holds' }
  if (route.kind === 'TLSRoute') {
    const mayBeTls = ports.filter(port => !isHttp(port.protocol) || port.protocol === 'detect')
    if (mayBeTls.length > 0) return { ports: mayBeTls, says: 'The route holds' }
    return no(unsupported, `${at}: port ${spoken(ports)}: a TLSRoute holds for ports of TLS that is not decrypted`)
  }
  if (route.kind === 'GRPCRoute') {
    const calls = ports.filter(port => carriesCalls(port.protocol))
    if (calls.length > 0) return { ports: calls, says: 'The route holds' }
    return no(unsupported, `${at}: port ${spoken(ports)}: a GRPCRoute holds for ports of gRPC or HTTP/2`)
  }
  const http = ports.filter(port => isHttp(port.protocol))
  if (http.length === 0) return no(unsupported, `${at}: port ${spoken(ports)}: an HTTPRoute holds for ports of HTTP`)
  return { ports: http, says: 'The route holds' }
}

const spoken = (ports: readonly ServicePort[]): string => ports.map(port => `${port.port} speaks ${port.protocol}`).join(', ')

/** Whose the parent is where traffic from outside enters: what is ours is judged by the stage of Gateways. */
function edgeParent(
  route: AnyRoute,
  ref: ParentRef,
  gathered: Gathered,
): { readonly whose: 'ours' | 'others' } | { readonly missing: string } {
  const name = `${ref.namespace ?? namespaceOf(route)}/${ref.name}`
  const set = ref.kind === 'ListenerSet' ? gathered.listenerSets.find(each => nameOf(each) === name) : undefined
  if (ref.kind === 'ListenerSet' && set === undefined) return { missing: `ListenerSet ${name} does not exist` }
  const wanted = set === undefined ? name : parentOf(set)
  const gateway = gathered.gateways.find(each => nameOf(each) === wanted)
  if (gateway === undefined)
    return {
      missing:
        set === undefined
          ? `Gateway ${name} does not exist`
          : `ListenerSet ${name} is of no Gateway: ${wanted ?? 'its parent'} does not exist`,
    }
  return { whose: isOurs(gateway, gathered.gatewayClasses) ? 'ours' : 'others' }
}
