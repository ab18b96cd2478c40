/**
 * Egress → Envoy's RBAC in front of what leads out of the mesh, and the listener of all that is no service: a chain for each set of server names that leads
 * somewhere, one for HTTP, one for the rest. Names are looked up by Envoy itself (dynamic forward proxy), all else goes to its original destination.
 *
 * RBAC cannot say all of it, so the rules stand in the labels too: a proxy of Weft reads them there, and takes them only where the filters are what follows from them.
 */

import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { type Any, anyPack } from '@bufbuild/protobuf/wkt'
import type { TextMatch } from '#model/access-rule'
import { type Egress, type EgressRule, type EgressTarget, forAddresses, forNames, forServices } from '#model/egress'
import type { Listener } from '#model/listener'
import {
  type Permission,
  PermissionSchema,
  PolicySchema,
  PrincipalSchema,
  RBAC_Action,
  RBACSchema as RulesSchema,
} from '../gen/envoy/config/rbac/v3/rbac_pb.ts'
import {
  type Filter,
  type FilterChain,
  FilterChainMatchSchema,
  FilterChainSchema,
  type ListenerFilter,
} from '../gen/envoy/config/listener/v3/listener_components_pb.ts'
import { type Listener as EnvoyListener, ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts'
import { HeaderMatcherSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts'
import { Cluster_DnsLookupFamily } from '../gen/envoy/config/cluster/v3/cluster_pb.ts'
import { FilterConfigSchema as HttpForwardSchema } from '../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts'
import { RBACPerRouteSchema, RBACSchema as HttpSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { RBACSchema as NetworkSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { ConfigSchema as StateSchema } from '../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts'
import { FilterConfigSchema as NameForwardSchema } from '../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts'
import { type StringMatcher, StringMatcherSchema } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { anyText, unclearPaths, unclearPolicy, wrapped } from './access.ts'
import { escapeRegex } from './path.ts'
import { duration, labels, typed } from './source.ts'
import { telemetryLabels } from './telemetry.ts'

export const egressFilters = { deny: 'envoy.filters.http.rbac.egress.deny', allow: 'envoy.filters.http.rbac.egress.allow' } as const

/** The backends that mean: where a name leads, and where the caller wanted to go. As the compiler names them. */
const byName = 'external/named'

/** What Envoy keeps of names; its cluster and filters must say the same. */
export const namesKept = { name: 'weft', dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED } as const

/** In the chain of HTTP, asleep until a route says something. */
export const sleepingEgress = Object.values(egressFilters).map(name => ({ name, configType: typed(HttpSchema, create(HttpSchema)) }))
const forward = {
  name: 'envoy.filters.http.dynamic_forward_proxy',
  configType: typed(
    HttpForwardSchema,
    create(HttpForwardSchema, {
      implementationSpecifier: { case: 'dnsCacheConfig', value: namesKept },
    }),
  ),
}

/** As the label of a listener or route has it. */
export const egressLabel = (egress: Egress | undefined) => (egress === undefined ? {} : { egress: JSON.stringify(egress) })

/** Of one route. */
export function encodeEgress(egress: Egress): Record<string, Any> {
  const { deny, allow } = rulesOf(egress, 'http')
  const config = (rules: Rules): Any => anyPack(RBACPerRouteSchema, create(RBACPerRouteSchema, { rbac: create(HttpSchema, { rules }) }))
  return {
    ...(deny === undefined ? {} : { [egressFilters.deny]: config(deny) }),
    ...(allow === undefined ? {} : { [egressFilters.allow]: config(allow) }),
  }
}

/** In front of the proxy of opaque bytes and of TLS. */
export function networkEgress(egress: Egress | undefined, statPrefix: string) {
  if (egress === undefined) return []
  const { deny, allow } = rulesOf(egress, 'network')
  const filter = (name: string, rules: Rules | undefined) =>
    rules === undefined ? [] : [{ name, configType: typed(NetworkSchema, create(NetworkSchema, { statPrefix, rules })) }]
  return [...filter('envoy.filters.network.rbac.egress.deny', deny), ...filter('envoy.filters.network.rbac.egress.allow', allow)]
}

type Rules = ReturnType<typeof made>
const made = (action: RBAC_Action, policies: MessageInitShape<typeof RulesSchema>['policies']) =>
  create(RulesSchema, { action, ...(policies === undefined ? {} : { policies }) })

/** What sees no HTTP denies by what HTTP would have to say, and allows nothing by it. */
function rulesOf(egress: Egress, at: 'http' | 'network'): { readonly deny?: Rules; readonly allow?: Rules } {
  const readsPath = at === 'http' && [...egress.deny, ...egress.allow].some(({ to }) => to.some(({ paths }) => paths !== undefined))
  const denied = { ...policiesOf(egress.deny, at, true), ...(readsPath ? { [unclearPaths]: unclearPolicy } : {}) }
  return {
    ...(Object.keys(denied).length === 0 ? {} : { deny: made(RBAC_Action.DENY, denied) }),
    ...(egress.default === 'allow' ? {} : { allow: made(RBAC_Action.ALLOW, policiesOf(egress.allow, at, false)) }),
  }
}

const policiesOf = (rules: readonly EgressRule[], at: 'http' | 'network', denies: boolean) =>
  Object.fromEntries(
    rules.flatMap(({ name, to }) => {
      const seen = to.filter(({ methods, paths }) => denies || at === 'http' || (methods === undefined && paths === undefined))
      if (to.length > 0 && seen.length === 0) return []
      return [
        [
          name,
          create(PolicySchema, {
            principals: [create(PrincipalSchema, { identifier: { case: 'any', value: true } })],
            permissions: to.length === 0 ? [anything] : seen.map(target => whole(target, at, denies)),
          }),
        ] as const,
      ]
    }),
  )

const permission = (rule: NonNullable<MessageInitShape<typeof PermissionSchema>['rule']>): Permission => create(PermissionSchema, { rule })
const anything = permission({ case: 'any', value: true })
const oneOf = (rules: Permission[]): Permission => permission({ case: 'orRules', value: { rules } })

function whole({ hosts, networks, ports, methods, paths }: EgressTarget, at: 'http' | 'network', denies: boolean): Permission {
  const header = (name: string, value: StringMatcher): Permission =>
    permission({ case: 'header', value: create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'stringMatch', value } }) })
  const isHttp = at === 'http'
  // What is said in a tunnel is not seen.
  const tunnel = denies ? [header(':method', matcher({ type: 'exact', value: 'CONNECT' }))] : []
  const rules = [
    ...(hosts === undefined
      ? []
      : [
          oneOf(
            hosts.map(host =>
              isHttp
                ? header(':authority', matcher({ type: 'regex', value: authority(host, denies ? undefined : ports) }))
                : permission({ case: 'requestedServerName', value: matcher(nameMatch(host)) }),
            ),
          ),
        ]),
    ...(networks === undefined
      ? []
      : [
          oneOf(
            networks.map(network => {
              const [addressPrefix = '', length] = network.split('/')
              return permission({ case: 'destinationIp', value: { addressPrefix, prefixLen: Number(length) } })
            }),
          ),
        ]),
    ...(ports === undefined ? [] : [oneOf(ports.map(port => permission({ case: 'destinationPort', value: port })))]),
    ...(methods === undefined || !isHttp
      ? []
      : [oneOf([...methods.map(value => header(':method', matcher({ type: 'exact', value }, denies))), ...tunnel])]),
    ...(paths === undefined || !isHttp
      ? []
      : [
          oneOf([
            ...paths.map(path => permission({ case: 'urlPath', value: { rule: { case: 'path', value: matcher(path) } } })),
            ...tunnel,
          ]),
        ]),
  ]
  return rules.length === 0 ? anything : permission({ case: 'andRules', value: { rules } })
}

const nameMatch = (host: string): TextMatch =>
  host.startsWith('*.') ? { type: 'suffix', value: host.slice(1) } : { type: 'exact', value: host }

/** Envoy goes to the port that the host names, or 80: it must be one that the rule allows. ports: absent: whichever. */
function authority(host: string, ports: readonly number[] | undefined): string {
  const [before] = wrapped.host
  const name = host.startsWith('*.') ? `${anyText.host}${escapeRegex(host.slice(1))}` : escapeRegex(host)
  const port = ports === undefined ? '(?::[0-9]*)?' : `(?::(?:${ports.join('|')}))${ports.includes(80) ? '?' : ''}`
  return `${before}${name})\\.?${port}`
}

function matcher({ type, value }: TextMatch, isAnyCase = false): StringMatcher {
  return create(StringMatcherSchema, {
    ignoreCase: isAnyCase,
    matchPattern: type === 'regex' ? { case: 'safeRegex', value: { regex: value } } : { case: type, value },
  })
}

/** What a filter behind reads as the port to which a name leads: that of the caller's connection, whatever its Host says. */
const portOfCaller = {
  name: 'envoy.filters.network.set_filter_state',
  configType: typed(
    StateSchema,
    create(StateSchema, {
      onNewConnection: [
        {
          key: { case: 'objectKey', value: 'envoy.upstream.dynamic_port' },
          value: {
            case: 'formatString',
            value: {
              format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: '%DOWNSTREAM_LOCAL_PORT%' } } },
            },
          },
        },
      ],
    }),
  ),
}

type Means = {
  readonly inspectors: readonly ListenerFilter[]
  readonly httpNames: readonly string[]
  readonly httpFilter: (listener: Listener, more: HttpFilter[]) => Last
  readonly tcpFilter: (listener: Listener) => Last
}
type Last = Pick<Filter, 'name'> & { readonly configType: { readonly case: 'typedConfig'; readonly value: Any } }
type HttpFilter = typeof forward | (typeof sleepingEgress)[number]

/** Of a listener whose `egress` says what may be called, at any address. */
export function encodeWayOut(listener: Listener, egress: Egress, { inspectors, httpNames, httpFilter, tcpFilter }: Means): EnvoyListener {
  const { name, host, port, service, protocol, backends = [] } = listener
  const chain = (title: string, filters: readonly Last[], match?: MessageInitShape<typeof FilterChainMatchSchema>): FilterChain =>
    create(FilterChainSchema, {
      name: title,
      ...(match === undefined ? {} : { filterChainMatch: create(FilterChainMatchSchema, match) }),
      filters: [portOfCaller, ...filters],
    })
  const named = (listener.serverNames ?? []).map(({ names, backends: own }) => {
    const isPolicy = own.length === 1 && own[0]!.backend === byName
    const rules = isPolicy ? forNames(egress) : forServices(egress)
    const lookup = {
      name: 'envoy.filters.network.sni_dynamic_forward_proxy',
      configType: typed(
        NameForwardSchema,
        create(NameForwardSchema, {
          dnsCacheConfig: namesKept,
          portSpecifier: { case: 'portValue', value: port === wayOutPort ? 443 : port },
        }),
      ),
    }
    return chain(names[0]!, [...networkEgress(rules, name), lookup, tcpFilter({ ...listener, backends: own })], {
      transportProtocol: 'tls',
      serverNames: [...names],
    })
  })
  const http = chain('raw_buffer/http', [httpFilter(listener, [...sleepingEgress, forward])], {
    transportProtocol: 'raw_buffer',
    applicationProtocols: [...httpNames],
  })
  return create(ListenerSchema, {
    name,
    address: {
      address: { case: 'socketAddress', value: { address: host, portSpecifier: { case: 'portValue', value: port } } },
    },
    trafficDirection: TrafficDirection.OUTBOUND,
    // All that was caught arrives at the one, which hands it on to whose address it wanted.
    ...(port === wayOutPort ? { useOriginalDst: true } : { bindToPort: false }),
    filterChains: [...named, http],
    defaultFilterChain: chain('raw_buffer/tcp', [...networkEgress(forAddresses(egress), name), tcpFilter({ ...listener, backends })]),
    listenerFilters: [...inspectors],
    // Whoever is silent may be waiting for its server; but silence is no way past a rule that denies a host or what is asked of it.
    listenerFiltersTimeout: duration(deniesByBytes(egress) ? 10_000 : 500),
    continueOnListenerFiltersTimeout: !deniesByBytes(egress),
    metadata: labels({ service, protocol, ...telemetryLabels(listener), ...egressLabel(egress) }),
  })
}

const deniesByBytes = ({ deny }: Egress): boolean =>
  deny.some(({ to }) => to.some(({ hosts, methods, paths }) => hosts !== undefined || methods !== undefined || paths !== undefined))

/** Of the listener for all ports that have none of their own: where a packet filter sends what it catches. */
const wayOutPort = 15_001
