/**
 * The parts of a view as Envoy v3 resources, ready to send.
 *
 * A part that is the same object is encoded once, however many proxies see it, and its bytes are shared by all streams; the version is a hash
 * of the content, so equal content has an equal version also after a restart.
 */

import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { concat } from '#base/bytes'
import type { Backend, EndpointSet } from '#model/backend'
import type { Listener } from '#model/listener'
import { ownLoopbackIn } from '#model/loopback'
import type { RouteTable } from '#model/route'
import type { DnsName, View } from '#model/view'
import { encodeBackend, encodeEndpoints } from './encode/cluster.ts'
import { encodeChain, encodeOwn, ownName } from './encode/fallback.ts'
import { encodeDns, encodeListener } from './encode/listener.ts'
import { encodeRouteTable } from './encode/route.ts'
import { encodeRevoked } from './encode/revoked.ts'
import { encodeTrust } from './encode/tls.ts'
import { anyOf, bytesField, hashOf, textField } from './encode/wire.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from './gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { dnsListener, type EncodedResource, revokedSecret, rootSecret, type TypeUrl, typeUrls } from './types.ts'

export type Resources = ReadonlyMap<string, EncodedResource>
/** All resources of one view, by type and name. A type's map is the same object as long as the parts of the view it came from are. */
export type ResourceSet = Readonly<Record<TypeUrl, Resources>>

export function encodeView(view: View): ResourceSet {
  return {
    [typeUrls.listener]: listenersOf(view.listeners, view.dns),
    [typeUrls.route]: routesOf(view.routes),
    [typeUrls.cluster]: backendsOf(view.backends),
    [typeUrls.endpoints]: endpointsOf(view.endpoints),
    [typeUrls.secret]: trustOf(view.trust),
  }
}

const listener = once((part: Listener) => encoded(typeUrls.listener, part.name, ListenerSchema, encodeListener(part)))
const dns = (part: readonly DnsName[], host: string | undefined) =>
  encoded(typeUrls.listener, dnsListener, ListenerSchema, encodeDns(part, host))
const dnsElsewhere = once((part: readonly DnsName[]) => dns(part, undefined))
const route = once((part: RouteTable) => encoded(typeUrls.route, part.name, RouteConfigurationSchema, encodeRouteTable(part)))
const backend = once((part: Backend) => encoded(typeUrls.cluster, part.name, ClusterSchema, encodeBackend(part)))
/** Of those with a fallback: its own endpoints, and by its name the chain that begins with them. */
const ownBackend = once((part: Backend) => encoded(typeUrls.cluster, ownName(part.name), ClusterSchema, encodeOwn(part)))
const chainOf = (part: Backend, all: View['backends']) => encoded(typeUrls.cluster, part.name, ClusterSchema, encodeChain(part, all))
const endpoints = once((part: EndpointSet) => encoded(typeUrls.endpoints, part.backend, ClusterLoadAssignmentSchema, encodeEndpoints(part)))
const trust = once((part: View['trust']) => encoded(typeUrls.secret, rootSecret, SecretSchema, encodeTrust(part)))

const routesOf = once((part: View['routes']) => mapOf(Object.values(part).map(route)))
const backendsOf = once((part: View['backends']) =>
  mapOf(Object.values(part).flatMap(each => (each.fallback === undefined ? [backend(each)] : [ownBackend(each), chainOf(each, part)]))),
)
const endpointsOf = once((part: View['endpoints']) => mapOf(Object.values(part).map(endpoints)))
const withdrawn = once((part: View['trust']) => encoded(typeUrls.secret, revokedSecret, SecretSchema, encodeRevoked(part)))
const trustOf = once((part: View['trust']) => (part.roots.length === 0 ? new Map() : mapOf([trust(part), withdrawn(part)])))

const byDns = once((_listeners: View['listeners']) => new WeakMap<View['dns'], Resources>())

function listenersOf(listeners: View['listeners'], names: View['dns']): Resources {
  const known = byDns(listeners).get(names)
  if (known !== undefined) return known
  const host = ownLoopbackIn(listeners)
  const table = names.length === 0 ? [] : [host === undefined ? dnsElsewhere(names) : dns(names, host)]
  const fresh = mapOf([...Object.values(listeners).map(listener), ...table])
  byDns(listeners).set(names, fresh)
  return fresh
}

const mapOf = (resources: readonly EncodedResource[]): Resources => new Map(resources.map(resource => [resource.name, resource]))

/** Resource { version = 1; Any resource = 2; name = 3 } of a DeltaDiscoveryResponse, where it is field 2. */
export function encoded<Desc extends DescMessage>(
  typeUrl: TypeUrl,
  name: string,
  schema: Desc,
  message: MessageShape<Desc>,
): EncodedResource {
  const body = toBinary(schema, message)
  const version = hashOf(body)
  const deltaField = bytesField(2, concat([textField(1, version), bytesField(2, anyOf(typeUrl, body)), textField(3, name)]))
  return { name, typeUrl, version, body, deltaField }
}

function once<Part extends object, Result>(work: (part: Part) => Result): (part: Part) => Result {
  const done = new WeakMap<Part, Result>()
  return part => {
    let result = done.get(part)
    if (result === undefined) done.set(part, (result = work(part)))
    return result
  }
}
