/** envoy.config.listener.v3.Listener → Listener, or the DNS table. */

import { udpProxyFilter } from '../encode/datagrams.ts'
import { httpNames, payloadsOf, proxyProtocolFilter } from '../encode/listener.ts'
import { perRoute } from '../encode/per-route.ts'
import { SocketAddress_Protocol } from '../gen/envoy/config/core/v3/address_pb.ts'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import {
  type Filter,
  type FilterChain,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
} from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { ProxyProtocolSchema } from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts'
import { HttpConnectionManager_CodecType } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts'
import { RBACSchema as NetworkAccessSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { DnsFilterConfigSchema } from '../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts'
import { decodeAccessFilters, toldOf } from './access.ts'
import { decodeConnectionAuthorizer } from './authorize.ts'
import { carries, hostAndPort, refuse, typeName, unpack } from './carried.ts'
import { labelsOf, textLabel } from './words.ts'
import { connectUdpOf, decodeConnectUdp, decodeUdpProxy } from './datagrams.ts'
import { decodeGateway } from './gateway.ts'
import { type Http, httpOf, type Tcp, tcpOf } from './network-filters.ts'
import { decodeConnectionFault } from './per-route.ts'
import { decodeConnectionLimit } from './rate-limit.ts'
import { decodeOutside } from './outside.ts'
import type { Access } from '#model/access-rule'
import type { Authorizer } from '#model/authorizer'
import type { Fault } from '#model/fault'
import type { Listener } from '#model/listener'
import type { ConnectionLimit } from '#model/rate-limit'
import type { TlsProfile } from '#model/tls'
import type { DnsName } from '#model/view'
import { decodeTelemetry } from './telemetry.ts'
import { checkDownstream } from './tls.ts'
import { withLabels } from './tokens.ts'

// stat_prefix, reuse_port, backlog and balance say nothing of where traffic goes.
const checkListener = carries(ListenerSchema, [
  'name',
  'address',
  'stat_prefix',
  'filter_chains',
  'default_filter_chain',
  'metadata',
  'listener_filters',
  'listener_filters_timeout',
  'continue_on_listener_filters_timeout',
  'traffic_direction',
  'bind_to_port',
  'enable_reuse_port',
  'tcp_backlog_size',
  'connection_balance_config',
])
const checkDnsListener = carries(ListenerSchema, [
  'name',
  'address',
  'stat_prefix',
  'listener_filters',
  'metadata',
  'traffic_direction',
  'bind_to_port',
  'udp_listener_config',
  'enable_reuse_port',
])
const checkDns = carries(DnsFilterConfigSchema, ['stat_prefix', 'server_config', 'client_config'])
const checkProxyProtocol = carries(ProxyProtocolSchema, ['stat_prefix'])
const checkChain = carries(FilterChainSchema, ['name', 'filter_chain_match', 'filters', 'transport_socket', 'metadata'])
const checkMatch = carries(FilterChainMatchSchema, ['transport_protocol', 'application_protocols', 'server_names'])

export type DecodedListener =
  | { readonly type: 'listener'; readonly value: Listener }
  | { readonly type: 'dns'; readonly value: readonly DnsName[] }

export function decodeListener(message: EnvoyListener): DecodedListener {
  const decoded = decodeCarried(message)
  if (decoded.type === 'dns') return decoded
  const telemetry = decodeTelemetry(message, decoded.value.direction)
  return telemetry === undefined ? decoded : { type: 'listener', value: { ...decoded.value, telemetry } }
}

/** But for what is told of it. */
function decodeCarried(message: EnvoyListener): DecodedListener {
  const unruled = (of: EnvoyListener): Listener => {
    const { type, value } = decodeListener(of)
    return type === 'listener' ? value : refuse('listener_filters', 'names of DNS have no egress rules')
  }
  const outside = decodeOutside(message, unruled)
  if (outside !== undefined) return { type: 'listener', value: outside }
  if (message.listenerFilters.some(filter => filter.name === 'envoy.filters.udp.dns_filter'))
    return { type: 'dns', value: decodeDns(message) }
  if (message.listenerFilters.some(filter => filter.name === udpProxyFilter)) return { type: 'listener', value: decodeUdpProxy(message) }
  const connectUdp = connectUdpOf(message)
  if (connectUdp !== undefined) return { type: 'listener', value: decodeConnectUdp(message, connectUdp) }
  checkListener(message, '')
  const header = message.listenerFilters.find(filter => filter.name === proxyProtocolFilter)
  if (header !== undefined) checkHeader(header, message)
  for (const filter of message.listenerFilters) {
    if (filter === header) continue
    if (!/^envoy\.(filters\.)?listener\.(tls_inspector|http_inspector|original_dst)$/.test(filter.name))
      refuse('listener_filters', `${filter.name} is not carried out by this proxy`)
  }
  const labels = labelsOf(message.metadata, 'listener')
  const isGateway = textLabel(labels, 'direction') === 'gateway'
  if (isGateway && textLabel(labels, 'protocol') === 'http') {
    const { tokens, ...rest } = decodeGateway(message, textLabel(labels, 'service') ?? '')
    return { type: 'listener', value: { ...rest, ...(tokens === undefined ? {} : { tokens: withLabels(tokens, labels) }) } }
  }
  const chains = [
    ...message.filterChains.map((chain, index) => readChain(chain, `filter_chains[${index}]`)),
    ...(message.defaultFilterChain === undefined ? [] : [readChain(message.defaultFilterChain, 'default_filter_chain')]),
  ]
  if (chains.length === 0) refuse('filter_chains', 'at least one is needed')
  const direction = isGateway ? 'gateway' : message.trafficDirection === TrafficDirection.OUTBOUND ? 'outbound' : 'inbound'
  if (message.trafficDirection === TrafficDirection.UNSPECIFIED) refuse('traffic_direction', 'must be INBOUND or OUTBOUND')
  const secure = chains.some(chain => chain.secure)
  const plain = chains.some(chain => !chain.secure)
  if (secure && direction !== 'inbound') refuse('filter_chains', 'mutual TLS is carried out for inbound listeners only')
  const named = chains.filter(chain => chain.serverNames.length > 0)
  if (named.length > 0) checkNames(named, chains)
  checkMatches(chains)
  const http = same(chains.flatMap(chain => (chain.http === undefined ? [] : [chain.http])))
  const tcp = same(chains.flatMap(chain => (chain.tcp === undefined || named.includes(chain) ? [] : [chain.tcp])))
  if (http?.concurrency !== undefined && direction !== 'inbound')
    refuse('filter_chains', 'adaptive_concurrency is carried out for inbound listeners only')
  const fault = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.fault ?? null])))
  const access = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.access ?? null])))
  const connectionLimit = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.limit ?? null])))
  if (connectionLimit !== undefined && connectionLimit !== null && direction !== 'inbound')
    refuse('filter_chains', 'connections are limited at inbound listeners only')
  const connectionAuthorizer = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.authorizer ?? null])))
  if (connectionAuthorizer !== undefined && connectionAuthorizer !== null && direction !== 'inbound')
    refuse('filter_chains', 'connections are asked about at inbound listeners only')
  const idleMs = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.tcp.idleMs ?? null])))
  const hash = same(chains.flatMap(chain => (chain.tcp === undefined ? [] : [chain.tcp.hash ?? null])))
  return {
    type: 'listener',
    value: {
      name: message.name,
      direction,
      ...hostAndPort(message.address, 'address'),
      protocol: protocolOf(
        http,
        chains.some(chain => chain.tcp !== undefined),
        named.length > 0,
        textLabel(labels, 'protocol'),
      ),
      ...(secure ? { tls: { mode: plain ? ('permissive' as const) : ('strict' as const), ...profiled(chains) } } : {}),
      ...(header === undefined ? {} : { proxyProtocol: true as const }),
      ...(http === undefined ? {} : { routes: http.routes }),
      ...(tcp === undefined ? {} : { backends: tcp.backends }),
      ...(named.length === 0
        ? {}
        : { serverNames: named.map(({ serverNames, tcp }) => ({ names: serverNames, backends: tcp!.backends })) }),
      ...(idleMs === undefined || idleMs === null ? {} : { idleMs }),
      ...(fault === undefined || fault === null ? {} : { fault }),
      ...(hash === undefined || hash === null ? {} : { hash }),
      service: textLabel(labels, 'service') ?? '',
      ...(http?.concurrency === undefined ? {} : { concurrency: http.concurrency }),
      ...(connectionLimit === undefined || connectionLimit === null ? {} : { connectionLimit }),
      ...(http?.limitService === undefined ? {} : { limitService: http.limitService }),
      ...(http?.tokens === undefined ? {} : { tokens: withLabels(http.tokens, labels) }),
      ...(http?.authorizers === undefined ? {} : { authorizers: http.authorizers }),
      ...(connectionAuthorizer === undefined || connectionAuthorizer === null ? {} : { connectionAuthorizer }),
      ...(access === undefined || access === null ? {} : { access }),
      ...toldOf(labels),
    },
  }
}

/** Every connection must begin with the header: one that may be left out can be forged. */
function checkHeader(filter: ListenerFilter, message: EnvoyListener): void {
  const where = 'listener_filters'
  if (message.trafficDirection === TrafficDirection.OUTBOUND) refuse(where, `${filter.name} is carried out for inbound listeners only`)
  if (message.listenerFilters[0] !== filter) refuse(where, `${filter.name} must be the first: its header comes before all else`)
  if (filter.configType.case !== 'typedConfig') refuse(where, 'only typed_config is carried out')
  checkProxyProtocol(unpack(filter.configType.value, ProxyProtocolSchema, where), where)
}

type Chain = {
  readonly access?: Access
  readonly where: string
  readonly secure: boolean
  /** Of a secure one. */
  readonly profile: TlsProfile | undefined
  readonly transport: string
  readonly names: readonly string[]
  readonly serverNames: readonly string[]
  readonly http?: Http
  readonly tcp?: Tcp
  readonly fault?: Fault
  readonly limit?: ConnectionLimit
  readonly authorizer?: Authorizer
}

function readChain(chain: FilterChain, where: string): Chain {
  checkChain(chain, where)
  const match = chain.filterChainMatch
  if (match !== undefined) checkMatch(match, `${where}.filter_chain_match`)
  const profile = checkDownstream(chain.transportSocket, `${where}.transport_socket`)
  const rules = chain.filters.filter(each => isAccess(each))
  const asked = chain.filters[rules.length]
  const askedAt = `${where}.filters[${rules.length}]`
  const authorizer = asked?.configType.case === 'typedConfig' ? decodeConnectionAuthorizer(asked.configType.value, askedAt) : undefined
  const first = rules.length + Number(authorizer !== undefined)
  const rest = chain.filters.slice(first)
  const limitAt = `${where}.filters[${first}]`
  const limit = rest[0]?.configType.case === 'typedConfig' ? decodeConnectionLimit(rest[0].configType.value, limitAt) : undefined
  const before = first + Number(limit !== undefined)
  const last = rest.slice(before - first)
  const fault = last[0]?.name === perRoute.weftFault ? last[0] : undefined
  const [filter, ...others] = fault === undefined ? last : last.slice(1)
  if (filter === undefined || others.length > 0)
    refuse(`${where}.filters`, 'exactly one is carried out: http_connection_manager or tcp_proxy')
  const at = `${where}.filters[${before + (fault === undefined ? 0 : 1)}]`
  if (filter.configType.case !== 'typedConfig') refuse(at, 'only typed_config is carried out')
  const any = filter.configType.value
  const shape = {
    where,
    secure: profile !== undefined,
    profile,
    transport: match?.transportProtocol ?? '',
    names: match?.applicationProtocols ?? [],
    serverNames: match?.serverNames ?? [],
  }
  if (any.typeUrl.endsWith('.HttpConnectionManager')) {
    if (rules.length > 0)
      refuse(`${where}.filters[0]`, `${rules[0]!.name} is carried out for opaque bytes only: requests are judged by their routes`)
    if (authorizer !== undefined) refuse(askedAt, 'is carried out for opaque bytes only: about requests a filter of HTTP asks')
    if (limit !== undefined) refuse(limitAt, 'connections are limited where their bytes are opaque')
    return { ...shape, http: httpOf(any, at) }
  }
  if (any.typeUrl.endsWith('.TcpProxy'))
    return {
      ...shape,
      tcp: tcpOf(any, at),
      ...(limit === undefined ? {} : { limit }),
      ...(authorizer === undefined ? {} : { authorizer }),
      ...decodeAccessFilters(rules, 'network', `${where}.filters`),
      ...(fault === undefined ? {} : { fault: faultOf(fault, `${where}.filters[${before}]`) }),
    }
  return refuse(at, `${filter.name} is not carried out by this proxy`)
}

const isAccess = ({ configType }: Filter): boolean =>
  configType.case === 'typedConfig' && typeName(configType.value) === NetworkAccessSchema.typeName

function faultOf({ configType }: Filter, where: string): Fault {
  return configType.case === 'typedConfig'
    ? decodeConnectionFault(configType.value, where)
    : refuse(where, 'only typed_config is carried out')
}

/** By name goes what passes undecrypted: opaque bytes of a listener that takes no TLS itself. */
function checkNames(named: readonly Chain[], chains: readonly Chain[]): void {
  const seen = new Set<string>()
  for (const { where, serverNames, tcp, secure } of named) {
    const at = `${where}.filter_chain_match.server_names`
    if (tcp === undefined || secure) refuse(at, 'carried out only for a tcp_proxy chain without a transport socket')
    for (const name of serverNames) {
      if (!/^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)) refuse(at, `"${name}" is no name in lower case, nor *. before one`)
      if (seen.has(name)) refuse(at, `"${name}" stands in two chains`)
      seen.add(name)
    }
  }
  if (chains.some(chain => chain.secure || chain.http !== undefined))
    refuse('filter_chains', 'server_names are carried out only where all chains are tcp_proxy without a transport socket')
}

/** What a chain matches must be what the proxy does anyway: TLS apart from plaintext, and HTTP apart from other bytes where both have a chain. */
function checkMatches(chains: readonly Chain[]): void {
  const mixed = chains.some(chain => chain.secure) && chains.some(chain => !chain.secure)
  const seen = new Set<string>()
  for (const chain of chains) {
    const where = `${chain.where}.filter_chain_match`
    const own = chain.secure ? 'tls' : 'raw_buffer'
    if (chain.serverNames.length > 0 && !chain.secure && /^(tls)?$/.test(chain.transport) && chain.names.length === 0) continue
    if (chain.transport !== '' && chain.transport !== own)
      refuse(where, `transport_protocol "${chain.transport}" does not fit the chain's transport socket`)
    if (mixed && chain.transport === '' && chain.where !== 'default_filter_chain')
      refuse(where, 'transport_protocol must tell TLS from plaintext')
    const detects = chains.some(other => other.secure === chain.secure && other.tcp !== undefined) && chain.http !== undefined
    if (!detects && chain.names.length > 0) refuse(where, 'application_protocols are carried out only to tell HTTP from a tcp_proxy chain')
    if (detects && !chain.names.includes('http/1.1')) refuse(where, 'application_protocols must name http/1.1 beside a tcp_proxy chain')
    const allowed: readonly string[] = httpNames[own]
    for (const name of chain.names) if (!allowed.includes(name)) refuse(where, `application protocol "${name}" is not carried out`)
    const key = `${own} ${chain.http === undefined ? 'tcp' : 'http'}`
    if (seen.has(key)) refuse(where, 'two chains for the same kind of connection')
    seen.add(key)
  }
  const kinds = (secure: boolean) =>
    chains
      .filter(chain => chain.secure === secure)
      .map(chain => (chain.http === undefined ? 'tcp' : 'http'))
      .sort()
      .join()
  if (mixed && kinds(true) !== kinds(false)) refuse('filter_chains', 'TLS and plaintext must lead to the same filters')
}

function same<Value>(values: readonly Value[]): Value | undefined {
  const [first, ...rest] = values
  const text = JSON.stringify(first)
  if (rest.some(other => JSON.stringify(other) !== text)) refuse('filter_chains', 'chains of one listener must lead to the same place')
  return first
}

/** The label only says more than the filters do; it may not contradict them. */
function protocolOf(http: Http | undefined, tcp: boolean, byName: boolean, label: string | undefined): Listener['protocol'] {
  const found = byName
    ? 'tls'
    : http === undefined
      ? 'tcp'
      : tcp
        ? 'detect'
        : http.codec === HttpConnectionManager_CodecType.HTTP2
          ? 'http2'
          : 'http'
  if (label === undefined) return found
  if (!(label in payloadsOf)) refuse('metadata', `"${label}" is no protocol`)
  const said = label as Listener['protocol']
  const fits = said === found || (said === 'grpc' && found === 'http2') || (said === 'tls' && found === 'tcp')
  return fits ? said : refuse('metadata', `the label says ${said}, the filters ${found}`)
}

function decodeDns(message: EnvoyListener): readonly DnsName[] {
  checkDnsListener(message, '')
  hostAndPort(message.address, 'address', SocketAddress_Protocol.UDP)
  const [filter, ...others] = message.listenerFilters
  if (others.length > 0 || filter?.configType.case !== 'typedConfig') refuse('listener_filters', 'the DNS filter must be the only one')
  const config = unpack(filter.configType.value, DnsFilterConfigSchema, 'listener_filters[0]')
  checkDns(config, 'listener_filters[0]')
  const table = config.serverConfig?.configSource
  if (table?.case !== 'inlineDnsTable') refuse('listener_filters[0].server_config', 'only an inline table is carried out')
  return table.value.virtualDomains.map(({ name, endpoint }, index) => {
    const addresses = endpoint?.endpointConfig
    if (addresses?.case === undefined) return { name, addresses: [] }
    if (addresses.case !== 'addressList') refuse(`virtual_domains[${index}].endpoint`, 'only a list of addresses is carried out')
    return { name, addresses: addresses.value.address }
  })
}

/** All secure chains of a listener agree on the same. */
function profiled(chains: readonly { readonly profile: TlsProfile | undefined }[]): { readonly profile?: TlsProfile } {
  const [profile, ...others] = new Set(chains.flatMap(chain => (chain.profile === undefined ? [] : [chain.profile])))
  if (others.length > 0) refuse('filter_chains', 'mutual TLS with other parameters in one chain than in another is not carried out')
  return profile === undefined || profile === 'modern' ? {} : { profile }
}
