/** Envoy's listener for callers outside the mesh → ours: what it asks of TLS beside certificates by server name is refused. */

import type { Any } from '@bufbuild/protobuf/wkt'
import type { Listener, Terminated } from '#model/listener'
import type { LimitService } from '#model/rate-limit'
import { type FilterChain, FilterChainMatchSchema, FilterChainSchema } from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import type { Listener as EnvoyListener } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import {
  CertificateValidationContext_TrustChainVerification as Trust,
  CertificateValidationContextSchema,
  TlsCertificateSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import {
  CommonTlsContextSchema,
  type DownstreamTlsContext,
  DownstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts'
import { carries, hostAndPort, refuse, textOf, typeName, unpack } from './carried.ts'
import { httpOf, tcpOf } from './network-filters.ts'
import { joinServices } from './rate-limit.ts'
import { profileOf } from './terms.ts'
import { isPlaintext } from './tls.ts'

const checkChain = carries(FilterChainSchema, ['name', 'filter_chain_match', 'filters', 'transport_socket', 'metadata'])
const checkMatch = carries(FilterChainMatchSchema, ['transport_protocol', 'server_names'])
const checkDown = carries(DownstreamTlsContextSchema, ['common_tls_context', 'require_client_certificate'])
const checkCommon = carries(CommonTlsContextSchema, ['tls_params', 'tls_certificates', 'alpn_protocols', 'validation_context'])
const checkCallers = carries(CertificateValidationContextSchema, ['trusted_ca', 'trust_chain_verification'])
const checkCertificate = carries(TlsCertificateSchema, ['certificate_chain', 'private_key'])

/** service: as its label says. */
export function decodeGateway(message: EnvoyListener, service: string): Listener {
  const base = {
    name: message.name,
    direction: 'gateway',
    ...hostAndPort(message.address, 'address'),
    protocol: 'http',
    service,
  } as const
  const chains = message.filterChains.map((chain, index) => readChain(chain, `filter_chains[${index}]`))
  const limitService = { ...servicesOf(chains), ...askedOf(chains) }
  const plain = chains.filter(each => each.isPlain)
  if (chains.length === 0 || message.defaultFilterChain !== undefined) refuse('filter_chains', 'at least one is needed, and no default')
  if (plain.length === 0) {
    const names = chains.flatMap(({ end }) => (end.names.length === 0 ? ['*'] : end.names))
    const twice = names.find((name, at) => names.indexOf(name) < at)
    if (twice !== undefined) refuse('filter_chains', `the server name "${twice}" stands in two chains`)
    return { ...base, ...limitService, terminates: chains.map(each => each.end) }
  }
  const [only, ...others] = plain
  if (others.length > 0 || chains.length > 1 || only!.end.names.length > 0)
    refuse('filter_chains', 'in plaintext exactly one is carried out')
  const { routes } = only!.end
  if (routes === undefined) refuse('filter_chains', 'in plaintext a route table is needed')
  return { ...base, ...limitService, routes }
}

/** What Envoy has for each chain is one for the listener. */
function servicesOf(chains: readonly { readonly limitService?: LimitService }[]): Pick<Listener, 'limitService'> {
  const [first, ...others] = chains.flatMap(each => each.limitService ?? [])
  return first === undefined ? {} : { limitService: others.reduce((one, other) => joinServices(one, other, 'filter_chains'), first) }
}

/** The same in each chain, for the routes of all. */
function askedOf(chains: readonly Chain[]): Pick<Listener, 'tokens' | 'logins' | 'authorizers'> {
  const some = chains.filter(({ end }) => end.routes !== undefined)
  const [first] = some
  const asked = ({ tokens, logins, authorizers }: Chain): string => JSON.stringify([tokens, logins, authorizers])
  if (some.some(each => asked(each) !== asked(first!))) refuse('filter_chains', 'all of them have the same logins, jwt_authn and ext_authz')
  return {
    ...(first?.tokens === undefined ? {} : { tokens: first.tokens }),
    ...(first?.logins === undefined ? {} : { logins: first.logins }),
    ...(first?.authorizers === undefined ? {} : { authorizers: first.authorizers }),
  }
}

type Asked = Pick<Listener, 'limitService' | 'tokens' | 'logins' | 'authorizers'>
type Chain = { readonly isPlain: boolean; readonly end: Terminated } & Asked

/** Without certificates: plaintext, or TLS that is passed on where the match says that it is TLS. */
function readChain(chain: FilterChain, where: string): Chain {
  checkChain(chain, where)
  const match = chain.filterChainMatch
  if (match !== undefined) checkMatch(match, `${where}.filter_chain_match`)
  const names = match?.serverNames ?? []
  for (const name of names)
    if (!/^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name))
      refuse(`${where}.filter_chain_match.server_names`, `"${name}" is no name in lower case, nor *. before one`)
  const [filter, ...others] = chain.filters
  if (filter?.configType.case !== 'typedConfig' || others.length > 0)
    refuse(`${where}.filters`, 'exactly an http_connection_manager or a tcp_proxy is carried out')
  const { asked, end } = endOf(filter.configType.value, `${where}.filters[0]`)
  if (isPlaintext(chain.transportSocket)) {
    const isPlain = match?.transportProtocol !== 'tls'
    if (!isPlain && end.routes !== undefined) refuse(where, 'TLS that is not ended holds no requests that could be read')
    return { isPlain, ...asked, end: { names, certificates: [], ...end } }
  }
  const at = `${where}.transport_socket`
  const context = unpack(chain.transportSocket?.configType.value, DownstreamTlsContextSchema, at)
  checkDown(context, at)
  const { commonTlsContext: common } = context
  if (common === undefined) refuse(at, 'common_tls_context is missing')
  checkCommon(common, at)
  const profile = profileOf(common.tlsParams, `${at}.tls_params`, false)
  const alpn = end.routes === undefined ? '' : 'h2,http/1.1'
  if (common.alpnProtocols.join() !== alpn)
    refuse(`${at}.alpn_protocols`, alpn === '' ? 'must be absent: nothing is known of the bytes' : 'must be h2 and http/1.1')
  const certificates = common.tlsCertificates.map((certificate, index) => {
    const place = `${at}.tls_certificates[${index}]`
    checkCertificate(certificate, place)
    return {
      cert: textOf(certificate.certificateChain, `${place}.certificate_chain`),
      key: textOf(certificate.privateKey, `${place}.private_key`),
    }
  })
  if (certificates.length === 0) refuse(`${at}.tls_certificates`, 'at least one is needed')
  const callers = callersOf(context, at)
  return {
    isPlain: false,
    ...asked,
    end: { names, certificates, ...end, ...(callers === undefined ? {} : { callers }), ...(profile === 'modern' ? {} : { profile }) },
  }
}

function endOf(any: Any, where: string): { readonly asked: Asked; readonly end: Pick<Terminated, 'routes' | 'backends' | 'hash'> } {
  if (typeName(any) !== TcpProxySchema.typeName) {
    const { routes, codec: _, concurrency: __, ...asked } = httpOf(any, where, true)
    return { asked, end: { routes } }
  }
  const { backends, idleMs, hash } = tcpOf(any, where)
  if (idleMs !== undefined) refuse(where, 'idle_timeout is not carried out for one server name')
  return { asked: {}, end: { backends, ...(hash === undefined ? {} : { hash }) } }
}

function callersOf({ commonTlsContext, requireClientCertificate = false }: DownstreamTlsContext, where: string): Terminated['callers'] {
  const asked = commonTlsContext?.validationContextType
  if (asked?.case === undefined)
    return requireClientCertificate
      ? refuse(`${where}.require_client_certificate`, 'needs a validation context with authorities')
      : undefined
  const at = `${where}.validation_context`
  if (asked.case !== 'validationContext') refuse(at, 'only an inline one is carried out for callers outside the mesh')
  checkCallers(asked.value, at)
  const isRequired = asked.value.trustChainVerification === Trust.VERIFY_TRUST_CHAIN
  if (isRequired !== requireClientCertificate) refuse(at, 'certificates are required and verified, or neither')
  const roots = textOf(asked.value.trustedCa, `${at}.trusted_ca`).match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)
  if (roots === null) refuse(`${at}.trusted_ca`, 'holds no certificate')
  return { roots: roots.map(each => `${each}\n`), isRequired }
}
