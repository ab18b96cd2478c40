/** JWTPolicies: what is said of each, and which tokens the called workloads and the routes of Gateways ask for. */

import { noKeys, pinnedKeys } from '#model/jwks'
import type { Mesh, SelectedTokens } from '#model/mesh'
import type { Route, RouteTable } from '#model/route'
import type { TokenIssuer, TokenPlace, TokenPolicy } from '#model/token'
import type { View } from '#model/view'
import { durationMs } from '#resources/duration'
import type { ParentRef } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { JWTPolicy, TokenProvider } from '#resources/weft'
import { isMisdirected, sectionOf, securedTables } from '../edge/sections.ts'
import type { Gathered } from '../gather.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { outsideBackend } from '../outside/backend.ts'
import { type ServicePort, whyNobody } from '../services/services.ts'
import type { ResourceStatus } from '../status.ts'
import { state } from '../status.ts'
import type { Judging, Objection, Targets } from '../policies/targets.ts'

type RouteShape = { readonly parentRefs?: readonly ParentRef[] | undefined }

/** The called side sees requests as they come to it, and does not know by which route. */
function whyNot(path: string, route: Resource | undefined): Objection | undefined {
  const { parentRefs = [] } = (route?.spec ?? {}) as RouteShape
  if (!parentRefs.some(parent => parent.kind === 'Service')) return undefined
  return {
    reason: 'Invalid',
    says: `${path}: the route has a Service as its parent, and the called side does not know by which route a request came: target that Service`,
  }
}

export const judgingTokens: Judging<JWTPolicy> = {
  unable: (_, __, { carriers, port, edge }) => {
    if (!carriers.includes('requests')) return 'tokens are part of requests of HTTP, and none are seen there'
    if (edge?.isPlain === true && edge.isNamed) return 'listeners of HTTP share the routes of their port: name the Gateway, or routes'
    return whyNobody(port)
  },
  objection: (_, __, path, route) => whyNot(path, route),
}

/** What a policy comes to, made once. wrong: of its keys; they are then none, so that no token is taken. */
export class Tokens {
  readonly #configMaps: Gathered['configMaps']
  readonly #made = new Map<JWTPolicy, { readonly policy: TokenPolicy; readonly wrong: readonly string[] }>()

  constructor({ configMaps }: Pick<Gathered, 'configMaps'>) {
    this.#configMaps = configMaps
  }

  of(policy: JWTPolicy): TokenPolicy {
    return this.#lower(policy).policy
  }

  /** With what is wrong with keys beside what the targets have. */
  told(policies: readonly JWTPolicy[], statuses: readonly ResourceStatus[]): readonly ResourceStatus[] {
    return statuses.map((status, at) => {
      const policy = policies[at]!
      const { wrong } = this.#lower(policy)
      if (wrong.length === 0 || status.ancestors === undefined) return status
      const condition = state(policy, 'ResolvedRefs', false, 'InvalidKeys', `${wrong.join('; ')}: no token of it is taken`)
      return { ...status, ancestors: status.ancestors.map(each => ({ ...each, conditions: [...each.conditions, condition] })) }
    })
  }

  #lower(policy: JWTPolicy) {
    let made = this.#made.get(policy)
    if (made === undefined) {
      const wrong: string[] = []
      const { providers, require, whenExpired } = policy.spec!
      const issuers = providers.map((each, at) => issuerOf(each, this.#keysOf(policy, each, `spec.providers[${at}].jwks`, wrong)))
      const lowered: TokenPolicy = {
        name: nameOf(policy),
        isRequired: require !== 'IfPresent',
        issuers,
        ...(whenExpired === 'Continue' ? {} : { isBoundToToken: true }),
      }
      this.#made.set(policy, (made = { policy: lowered, wrong }))
    }
    return made
  }

  #keysOf(policy: JWTPolicy, { jwks, algorithms }: TokenProvider, path: string, wrong: string[]): TokenIssuer['keys'] {
    const { url, inline, configMap, refresh, timeout } = jwks
    if (url !== undefined)
      return {
        type: 'url',
        url,
        backend: backendName(url),
        refreshMs: durationMs(refresh),
        timeoutMs: durationMs(timeout),
        algorithms: [...algorithms].sort(),
      }
    const none = (says: string) => {
      wrong.push(`${path}: ${says}`)
      return { type: 'inline', jwks: noKeys } as const
    }
    const found = configMap && this.#configMaps.find(each => nameOf(each) === `${namespaceOf(policy)}/${configMap.name}`)
    const text = inline ?? found?.data?.[configMap!.key]
    if (text === undefined)
      return none(
        `ConfigMap ${namespaceOf(policy)}/${configMap!.name} ${found === undefined ? 'does not exist' : `has no entry ${configMap!.key}`}`,
      )
    try {
      const keys = pinnedKeys(text, algorithms)
      return keys.length > 0
        ? { type: 'inline', jwks: JSON.stringify({ keys }) }
        : none(`no key in it can verify by ${algorithms.join(', ')}`)
    } catch (thrown) {
      return none(thrown instanceof Error ? thrown.message : String(thrown))
    }
  }
}

const issuerOf = (provider: TokenProvider, keys: TokenIssuer['keys']): TokenIssuer => ({
  name: provider.name,
  issuer: provider.issuer,
  audiences: provider.audiences ?? [],
  keys,
  from: placesOf(provider),
  forward: provider.forward,
  claimsToHeaders: (provider.claimsToHeaders ?? []).map(({ claim, header }) => ({ claim, header: header.toLowerCase() })),
  skewMs: durationMs(provider.clockSkew),
})

/** Headers, then parameters, then cookies: the order in which they travel. */
function placesOf({ from }: TokenProvider): readonly TokenPlace[] {
  const places = from.map(
    ({ header, prefix, query, cookie }): TokenPlace =>
      header !== undefined
        ? { type: 'header', name: header.toLowerCase(), prefix: prefix ?? '' }
        : query !== undefined
          ? { type: 'query', name: query }
          : { type: 'cookie', name: cookie! },
  )
  return (['header', 'query', 'cookie'] as const).flatMap(type => places.filter(each => each.type === type))
}

/** For the called side: what is for ports of Services before what is for workloads by labels, their namespace and the mesh. */
export function lowerTokens(
  namespaces: readonly string[],
  ports: readonly ServicePort[],
  targets: Targets<JWTPolicy>,
  tokens: Tokens,
): Mesh['tokens'] {
  if (targets.isEmpty) return {}
  return Object.fromEntries(
    namespaces.flatMap((namespace): [string, SelectedTokens[]][] => {
      const own = ports
        .filter(port => port.namespace === namespace && port.protocol !== 'udp')
        .flatMap(({ selector, target, ...port }) => {
          const found = targets.ofPort({ selector, target, ...port }).find(({ level }) => level === 'Service' || level === 'port')
          return found === undefined ? [] : [{ found, selected: { selector, target, policy: tokens.of(found.policy) } }]
        })
      const byLevel = [...own.filter(each => each.found.level === 'port'), ...own.filter(each => each.found.level === 'Service')]
      const wide = targets
        .ofPlace(namespace)
        .map(({ policy, labels }) => ({ ...(labels === undefined ? {} : { selector: labels }), policy: tokens.of(policy) }))
      const all = [...byLevel.map(each => each.selected), ...wide]
      return all.length === 0 ? [] : [[namespace, all]]
    }),
  )
}

/** What is for Gateways and their routes holds there; what is for wider targets at the called workloads, which would else get no token any more. */
export function tokensAtGateways(gateways: Mesh['gateways'], targets: Targets<JWTPolicy>, tokens: Tokens): Mesh['gateways'] {
  if (targets.isEmpty) return gateways
  return Object.fromEntries(
    Object.entries(gateways).map(([name, gateway]) => {
      const byTable = new Map<string, Map<string, TokenPolicy>>()
      const secured = securedTables(gateway)
      const asking = (key: string, table: RouteTable): RouteTable => {
        const ofPlace = targets.ofGateway(name, secured.has(key) ? sectionOf(key) : undefined)
        const used = new Map<string, TokenPolicy>()
        byTable.set(key, used)
        const asks = (route: Route): Route => {
          const own = targets.of(undefined, route.name).find(({ level }) => level === 'Route' || level === 'rule')
          const policy = (own ?? ofPlace[0])?.policy
          if (policy === undefined || isMisdirected(route)) return route
          const lowered = tokens.of(policy)
          used.set(lowered.name, lowered)
          return { ...route, tokens: lowered.name }
        }
        return { ...table, hosts: table.hosts.map(host => ({ ...host, routes: host.routes.map(asks) })) }
      }
      const routes = Object.fromEntries(Object.entries(gateway.routes).map(([key, table]) => [key, asking(key, table)] as const))
      const listeners = Object.entries(gateway.listeners).map(([key, listener]) => {
        const tables = [listener.routes, ...(listener.terminates ?? []).map(each => each.routes)].flatMap(
          each => byTable.get(each ?? '') ?? [],
        )
        const used = new Map(tables.flatMap(each => [...each]))
        return [key, used.size === 0 ? listener : { ...listener, tokens: inOrder([...used.values()]) }] as const
      })
      return [name, { ...gateway, listeners: Object.fromEntries(listeners), routes }]
    }),
  )
}

const inOrder = (policies: readonly TokenPolicy[]): readonly TokenPolicy[] =>
  policies.toSorted((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0))

const backendName = (url: string): string => `keys/${new URL(url).origin}`

/** Where keys are got by Envoy, which gets them as it gets everything: by a cluster. Our proxies ask by themselves. */
export function keyBackends(listeners: View['listeners']): View['backends'] {
  const found = Object.values(listeners).flatMap(({ tokens = [] }) =>
    tokens.flatMap(({ issuers }) =>
      issuers.flatMap(({ keys }) => (keys.type === 'url' ? [outsideBackend(backendName(keys.url), new URL(keys.url))] : [])),
    ),
  )
  return Object.fromEntries(found.map(each => [each.name, each]))
}
