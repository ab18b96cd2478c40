/**
 * Envoy v3 resources as parts of a view. Total: bytes from anyone give either a part or the reason why not.
 *
 * Everything a resource asks for is either carried out or refused by the name of its field; only what says nothing of traffic (names for
 * statistics, metadata of others) is left aside.
 */

import type { Backend, EndpointSet } from '#model/backend'
import type { Listener } from '#model/listener'
import type { RouteTable } from '#model/route'
import type { DnsName, View } from '#model/view'
import { Rejected, read, refuse } from './decode/carried.ts'
import { decodeBackend, decodeEndpoints } from './decode/cluster.ts'
import { type Chain, decodeChain } from './decode/fallback.ts'
import { decodeListener } from './decode/listener.ts'
import { decodeRouteTable } from './decode/route.ts'
import { decodeRevoked, type ToldBeside } from './decode/revoked.ts'
import { decodeTrust } from './decode/tls.ts'
import { ClusterSchema } from './gen/envoy/config/cluster/v3/cluster_pb.ts'
import { ClusterLoadAssignmentSchema } from './gen/envoy/config/endpoint/v3/endpoint_pb.ts'
import { ListenerSchema } from './gen/envoy/config/listener/v3/listener_pb.ts'
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.ts'
import { SecretSchema } from './gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { revokedSecret, typeUrls } from './types.ts'

export { type Chain, joinChains } from './decode/fallback.ts'

export type Part =
  | { readonly type: 'listener'; readonly value: Listener }
  | { readonly type: 'dns'; readonly value: readonly DnsName[] }
  | { readonly type: 'route'; readonly value: RouteTable }
  | { readonly type: 'backend'; readonly value: Backend }
  | { readonly type: 'chain'; readonly value: Chain }
  | { readonly type: 'endpoints'; readonly value: EndpointSet }
  | { readonly type: 'trust'; readonly value: View['trust'] }
  | { readonly type: 'withdrawn'; readonly value: ToldBeside }

export type Decoded = { readonly part: Part } | { readonly rejected: string }

/** name: what the resource was announced as; the resource itself must bear the same. */
export function decodeResource(typeUrl: string, name: string, body: Uint8Array): Decoded {
  try {
    return { part: partOf(typeUrl, name, body) }
  } catch (thrown) {
    if (thrown instanceof Rejected) return { rejected: thrown.reason }
    throw thrown
  }
}

function partOf(typeUrl: string, name: string, body: Uint8Array): Part {
  switch (typeUrl) {
    case typeUrls.listener: {
      const message = read(ListenerSchema, body, '')
      mustBe(name, message.name)
      return decodeListener(message)
    }
    case typeUrls.route: {
      const message = read(RouteConfigurationSchema, body, '')
      mustBe(name, message.name)
      return { type: 'route', value: decodeRouteTable(message) }
    }
    case typeUrls.cluster: {
      const message = read(ClusterSchema, body, '')
      mustBe(name, message.name)
      const chain = decodeChain(message)
      return chain === undefined ? { type: 'backend', value: decodeBackend(message) } : { type: 'chain', value: chain }
    }
    case typeUrls.endpoints: {
      const message = read(ClusterLoadAssignmentSchema, body, '')
      mustBe(name, message.clusterName)
      return { type: 'endpoints', value: decodeEndpoints(message) }
    }
    case typeUrls.secret: {
      const message = read(SecretSchema, body, '')
      mustBe(name, message.name)
      if (name === revokedSecret) return { type: 'withdrawn', value: decodeRevoked(message) }
      return { type: 'trust', value: decodeTrust(message) }
    }
    default:
      return refuse('', `${typeUrl} is not carried out by this proxy`)
  }
}

function mustBe(announced: string, found: string): void {
  if (announced !== found) refuse('name', `announced as "${announced}", but is "${found}"`)
}
