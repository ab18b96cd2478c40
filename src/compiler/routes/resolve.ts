/** What a backendRef leads to, or why it leads nowhere. */

import type { BackendRef, ParentRef, ReferenceGrant } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { weftGroup } from '#resources/weft'
import { namespaceOf } from '../gather.ts'
import { isGranted } from '../grants.ts'
import { isEdgeParent } from './parents.ts'
import { carriesCalls, isHttp } from '../services/protocol.ts'
import type { Services } from '../services/services.ts'

export type RefReason = 'RefNotPermitted' | 'InvalidKind' | 'BackendNotFound' | 'UnsupportedProtocol' | 'FilterNotFound' | 'Circular'
/** backend: the name of a backend of the mesh, `NAMESPACE/SERVICE:PORT`; of an ExternalService that of its first exact host. */
export type Resolved = { readonly backend: string } | { readonly backend: undefined; readonly reason: RefReason; readonly says: string }
/** group: absent: that of Gateway API. isEdge: it holds at Gateways only. called: namespaces of the Services that the route is about; what is in them its clients call anyway. */
type From = {
  readonly group?: string
  readonly kind: string
  readonly namespace: string
  readonly isEdge?: boolean
  readonly called?: readonly string[]
}

/** A route that also holds at Gateways opens what it leads to to others than the mesh: then a grant is needed everywhere. */
export function fromOf(route: Resource<{ readonly parentRefs?: readonly ParentRef[] | undefined }>): From {
  const parents = route.spec?.parentRefs ?? []
  const namespace = namespaceOf(route)
  const isMesh = parents.every(
    ({ group, kind }) => (group === '' && kind === 'Service') || (group === weftGroup && kind === 'ExternalService'),
  )
  const isEdge = parents.length > 0 && parents.every(isEdgeParent)
  return { kind: route.kind, namespace, isEdge, called: isMesh ? parents.map(parent => parent.namespace ?? namespace) : [] }
}

export function resolve(
  ref: Pick<BackendRef, 'group' | 'kind' | 'name' | 'namespace' | 'port'>,
  from: From,
  services: Services,
  grants: readonly ReferenceGrant[],
): Resolved {
  const no = (reason: RefReason, says: string): Resolved => ({ backend: undefined, reason, says })
  const isSubset = ref.group === weftGroup && ref.kind === 'ServiceSubset'
  const isExternal = ref.group === weftGroup && ref.kind === 'ExternalService'
  if (!isSubset && !isExternal && (ref.group !== '' || ref.kind !== 'Service'))
    return no(
      'InvalidKind',
      `the kind ${ref.kind} of group "${ref.group}" is not carried out as a backend: refer to a Service, or a ServiceSubset or ExternalService of weft.dev`,
    )
  const namespace = ref.namespace ?? from.namespace
  const name = `${namespace}/${ref.name}`
  if (namespace !== from.namespace && !from.called?.includes(namespace) && !isGranted(from, namespace, ref, grants))
    return no(
      'RefNotPermitted',
      `${ref.kind} ${name} is in another namespace, which has no ReferenceGrant from ${from.kind} in ${from.namespace}`,
    )
  const subset = isSubset ? services.subsets.get(name) : undefined
  const ports = isSubset ? subset?.ports : services.by.get(isExternal ? `ExternalService ${name}` : name)
  if (!ports)
    return no(
      'BackendNotFound',
      subset === undefined
        ? `${ref.kind} ${name} does not exist`
        : `ServiceSubset ${name} is of Service ${subset.service}, which does not exist`,
    )
  const isUdp = from.kind === 'UDPRoute'
  const numbered = ports.filter(each => each.port === ref.port)
  const fitting = numbered.filter(each => (each.protocol === 'udp') === isUdp)
  const port = fitting.find(each => each.external === undefined || each.host !== undefined) ?? fitting[0]
  if (!port && numbered.length > 0)
    return no(
      'UnsupportedProtocol',
      `port ${ref.port} of ${ref.kind} ${name} is one of ${isUdp ? 'TCP' : 'UDP'}, to which a ${from.kind} cannot lead`,
    )
  if (!port)
    return no(
      'BackendNotFound',
      `${ref.kind} ${name} has no port ${ref.port}${ports.length > 0 ? `; it has ${ports.map(each => each.port).join(', ')}` : ''}`,
    )
  // Of a wildcard nothing but the caller's own connection says which host is meant.
  if (port.external !== undefined && port.host === undefined)
    return no('BackendNotFound', `${ref.kind} ${name} has wildcard hosts only: name an exact host too`)
  // A Gateway speaks TLS to it, by a BackendTLSPolicy.
  if (from.isEdge === true && services.inTls?.has(port.key) === true && from.kind !== 'TLSRoute') return { backend: port.key }
  if (from.kind === 'HTTPRoute' && !isHttp(port.protocol))
    return no('UnsupportedProtocol', `port ${ref.port} of ${ref.kind} ${name} speaks ${port.protocol}, to which an HTTPRoute cannot lead`)
  if (from.kind === 'GRPCRoute' && !carriesCalls(port.protocol))
    return no('UnsupportedProtocol', `port ${ref.port} of ${ref.kind} ${name} speaks ${port.protocol}, to which a GRPCRoute cannot lead`)
  // At a Gateway TLS may end before it.
  if (from.kind === 'TLSRoute' && from.isEdge !== true && isHttp(port.protocol) && port.protocol !== 'detect')
    return no(
      'UnsupportedProtocol',
      `port ${ref.port} of ${ref.kind} ${name} speaks ${port.protocol}, to which undecrypted TLS cannot lead`,
    )
  return { backend: port.key }
}
