/** Clusters outside the mesh, and what leads there: taken where the filters of Envoy are what follows from the rules in the labels. */

import { clone, create, toBinary } from '@bufbuild/protobuf'
import type { Backend, Origination } from '#model/backend'
import type { Egress } from '#model/egress'
import type { Listener, ServerNames } from '#model/listener'
import type { Route, WeightedBackend } from '#model/route'
import { egressFilters, encodeEgress } from '../encode/egress.ts'
import { encodeListener } from '../encode/listener.ts'
import { machineRoots, namedCluster } from '../encode/outside.ts'
import { type Cluster, Cluster_DiscoveryType } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { MetadataSchema, type TransportSocket } from '../gen/envoy/config/core/v3/base_pb.ts'
import type { FilterChain } from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import type { Route as EnvoyRoute } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import {
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsCertificateSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import { CommonTlsContextSchema, UpstreamTlsContextSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import { weftMetadata } from '../types.ts'
import { carries, hostAndPort, refuse, textOf, typeName, unpack } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'
import { decodeTelemetry } from './telemetry.ts'
import { profileOf } from './terms.ts'
import { httpOf, tcpOf } from './network-filters.ts'

const checkContext = carries(UpstreamTlsContextSchema, ['common_tls_context', 'sni'])
const checkCommon = carries(CommonTlsContextSchema, ['tls_params', 'tls_certificates', 'validation_context', 'alpn_protocols'])
const checkValidation = carries(CertificateValidationContextSchema, ['trusted_ca', 'match_typed_subject_alt_names'])
const checkCertificate = carries(TlsCertificateSchema, ['certificate_chain', 'private_key'])

const isSame = (one: Uint8Array, other: Uint8Array): boolean => one.length === other.length && one.every((byte, at) => byte === other[at])

/** Undefined: a cluster of the mesh. */
export function outsideType({ clusterDiscoveryType: { case: kind, value } }: Cluster): 'hosts' | 'named' | 'original' | undefined {
  if (kind === 'clusterType' && value.name === namedCluster) return 'named'
  if (kind !== 'type') return undefined
  if (value === Cluster_DiscoveryType.ORIGINAL_DST) return 'original'
  return value === Cluster_DiscoveryType.STRICT_DNS || value === Cluster_DiscoveryType.LOGICAL_DNS ? 'hosts' : undefined
}

export const isOrigination = (socket: TransportSocket | undefined): boolean =>
  typeName(socket?.configType.value) === UpstreamTlsContextSchema.typeName

/** TLS to endpoints outside the mesh; undefined: the socket is none. */
export function originationOf(socket: TransportSocket | undefined, protocol: Backend['protocol'], where: string): Origination | undefined {
  if (!isOrigination(socket)) return undefined
  const context = unpack(socket!.configType.value, UpstreamTlsContextSchema, where)
  checkContext(context, where)
  const { commonTlsContext: common, sni } = context
  if (common === undefined) refuse(where, 'common_tls_context is missing')
  checkCommon(common, where)
  if (common.validationContextType.case !== 'validationContext') refuse(where, 'a validation context is missing: the server must be proved')
  const profile = profileOf(common.tlsParams, `${where}.tls_params`, false)
  for (const name of common.alpnProtocols)
    if (name !== 'h2' && name !== 'http/1.1') refuse(`${where}.alpn_protocols`, `"${name}" is not carried out by this proxy`)
  if (protocol === 'tcp' && common.alpnProtocols.length > 0) refuse(`${where}.alpn_protocols`, 'not carried out for opaque bytes')
  const validation = common.validationContextType.value
  checkValidation(validation, where)
  const { trustedCa } = validation
  const isMachines = trustedCa?.specifier.case === 'filename' && trustedCa.specifier.value === machineRoots
  const proved = validation.matchTypedSubjectAltNames.map(({ sanType, matcher }, index) => {
    if (
      (sanType !== SubjectAltNameMatcher_SanType.DNS && sanType !== SubjectAltNameMatcher_SanType.URI) ||
      matcher?.matchPattern.case !== 'exact' ||
      matcher.ignoreCase
    )
      refuse(`${where}.match_typed_subject_alt_names[${index}]`, 'only exact DNS names and URIs are carried out')
    return matcher.matchPattern.value
  })
  if (sni !== '' && proved.length === 0) refuse(where, 'the names that the server may prove are missing')
  const [own, ...others] = common.tlsCertificates
  if (others.length > 0) refuse(`${where}.tls_certificates`, 'one is carried out')
  if (own !== undefined) checkCertificate(own, `${where}.tls_certificates[0]`)
  return {
    ...(profile === 'compatible' ? {} : { profile }),
    ...(sni === '' ? {} : { serverName: sni }),
    ...(proved.length === 0 || proved.join() === sni ? {} : { names: proved }),
    ...(isMachines ? {} : { roots: rootsIn(textOf(trustedCa, `${where}.trusted_ca`), `${where}.trusted_ca`) }),
    ...(own === undefined
      ? {}
      : {
          certificate: {
            cert: textOf(own.certificateChain, `${where}.certificate_chain`),
            key: textOf(own.privateKey, `${where}.private_key`),
          },
        }),
  }
}

function rootsIn(pem: string, where: string): readonly string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  return found.length > 0 ? found.map(root => `${root}\n`) : refuse(where, 'holds no certificate')
}

/** Undefined: nothing is said of it. */
function egressOf(label: string | undefined): Egress | undefined {
  if (label === undefined) return undefined
  try {
    return JSON.parse(label) as Egress
  } catch {
    return refuse('metadata', 'the label egress is no JSON')
  }
}

/** Undefined: the listener does not lead out of the mesh. plain: decodes it without its rules. */
export function decodeOutside(message: EnvoyListener, plain: (message: EnvoyListener) => Listener): Listener | undefined {
  const labels = labelsOf(message.metadata, 'listener')
  const egress = egressOf(textLabel(labels, 'egress'))
  if (egress === undefined) return undefined
  const isWayOut = message.address?.address.case === 'socketAddress' && message.address.address.value.address === '0.0.0.0'
  const found = isWayOut ? wayOut(message, textLabel(labels, 'service') ?? '', egress) : { ...plain(withoutRules(message)), egress }
  const telemetry = decodeTelemetry(message, found.direction)
  const whole = telemetry === undefined ? found : { ...found, telemetry }
  if (!isSame(toBinary(ListenerSchema, encodeListener(whole)), toBinary(ListenerSchema, message)))
    refuse('filter_chains', 'are not what follows from the rules in the label egress')
  return found
}

const chainsOf = (message: EnvoyListener): readonly FilterChain[] => [
  ...message.filterChains,
  ...(message.defaultFilterChain === undefined ? [] : [message.defaultFilterChain]),
]

/** What is not read here is compared afterwards. */
function wayOut(message: EnvoyListener, service: string, egress: Egress): Listener {
  const serverNames: ServerNames[] = []
  let routes: string | undefined
  let backends: readonly WeightedBackend[] | undefined
  for (const chain of chainsOf(message)) {
    const last = chain.filters.at(-1)
    if (last?.configType.case !== 'typedConfig') refuse('filter_chains', 'only typed_config is carried out')
    const any = last.configType.value
    if (any.typeUrl.endsWith('.HttpConnectionManager')) routes = httpOf(any, chain.name).routes
    else {
      const tcp = tcpOf(any, chain.name)
      const names = chain.filterChainMatch?.serverNames ?? []
      if (names.length > 0) serverNames.push({ names, backends: tcp.backends })
      else backends = tcp.backends
    }
  }
  if (routes === undefined || backends === undefined) refuse('filter_chains', 'a chain of HTTP and one of all else are needed')
  return {
    name: message.name,
    direction: 'outbound',
    ...hostAndPort(message.address, 'address'),
    protocol: 'detect',
    routes,
    backends,
    ...(serverNames.length === 0 ? {} : { serverNames }),
    service,
    egress,
  }
}

/** As if nothing were said of it. */
function withoutRules(message: EnvoyListener): EnvoyListener {
  const bare = clone(ListenerSchema, message)
  for (const chain of chainsOf(bare))
    chain.filters = chain.filters.filter(({ name }) => !name.startsWith('envoy.filters.network.rbac.egress.'))
  const { egress: _, ...rest } = labelsOf(message.metadata, 'listener')
  bare.metadata = create(MetadataSchema, { filterMetadata: { ...message.metadata?.filterMetadata, [weftMetadata]: rest } })
  return bare
}

/** Of a route, and its per-route configs without those that follow from it. */
export function routeEgress(message: EnvoyRoute): {
  readonly egress: Pick<Route, 'egress'>
  readonly others: EnvoyRoute['typedPerFilterConfig']
} {
  const egress = egressOf(textLabel(labelsOf(message.metadata, 'route'), 'egress'))
  const names: ReadonlySet<string> = new Set(Object.values(egressFilters))
  const all = Object.entries(message.typedPerFilterConfig)
  const others = Object.fromEntries(all.filter(([name]) => !names.has(name)))
  const own = Object.fromEntries(all.filter(([name]) => names.has(name)))
  const wanted = egress === undefined ? {} : encodeEgress(egress)
  const isAsSaid =
    Object.keys(own).sort().join() === Object.keys(wanted).sort().join() &&
    Object.entries(wanted).every(([name, any]) => isSame(toBinary(AnySchema, any), toBinary(AnySchema, own[name]!)))
  if (!isAsSaid) refuse('typed_per_filter_config', 'is not what follows from the rules in the label egress')
  return { egress: egress === undefined ? {} : { egress }, others }
}
