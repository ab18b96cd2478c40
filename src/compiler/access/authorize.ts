/** ExternalAuthorizationPolicies and the filter ExternalAuth of routes: what is said of each, and who is asked about the requests and connections of workloads and Gateways. */

import type { AccessRule } from '#model/access-rule'
import type { Authorizer, AuthorizerQuestion } from '#model/authorizer'
import type { Listener } from '#model/listener'
import type { Mesh, Outbound, SelectedAuthorizer } from '#model/mesh'
import type { Route } from '#model/route'
import { durationMs } from '#resources/duration'
import type { HTTPFilter, ParentRef, ReferenceGrant } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import { type ExternalAuthorizationPolicy, weftGroup } from '#resources/weft'
import { lowerOperation } from './rules.ts'
import { isMisdirected, sectionOf, securedTables } from '../edge/sections.ts'
import { nameOf, namespaceOf } from '../gather.ts'
import { carriesCalls, isHttp } from '../services/protocol.ts'
import { resolve, type Resolved } from '../routes/resolve.ts'
import { type ServicePort, type Services, whyNobody } from '../services/services.ts'
import type { ResourceStatus } from '../status.ts'
import { state } from '../status.ts'
import type { Judging, Objection, Targets } from '../policies/targets.ts'

type Policy = ExternalAuthorizationPolicy
type Provider = NonNullable<Policy['spec']>['provider']
type RouteShape = { readonly parentRefs?: readonly ParentRef[] | undefined }

/** The called side sees requests as they come to it, and does not know by which route. */
function whyNot(path: string, route: Resource | undefined): Objection | undefined {
  const { parentRefs = [] } = (route?.spec ?? {}) as RouteShape
  if (!parentRefs.some(parent => parent.kind === 'Service')) return undefined
  return {
    reason: 'Invalid',
    says: `${path}: the route has a Service as its parent, and the called side does not know by which route a request came: target that Service, and say in spec.when about which requests`,
  }
}

export const judgingAuthorization: Judging<Policy> = {
  unable: ({ spec }, _, { carriers, port, edge }) => {
    const sees = carriers.includes('requests')
    if (!sees && !carriers.includes('connections')) return 'nobody can be asked about datagrams'
    if (!sees && (edge !== undefined || spec?.provider.protocol !== 'GRPC'))
      return 'a provider of HTTP is asked about requests, and none are seen there: ask one of GRPC'
    if (edge?.isPlain === true && edge.isNamed) return 'listeners of HTTP share the routes of their port: name the Gateway, or routes'
    return whyNobody(port)
  },
  objection: (_, __, path, route) => whyNot(path, route),
}

/** wrong: of the reference; nothing gets on then, whatever failOpen says. provider: the port behind which it runs. */
type Made = {
  readonly authorizer: Authorizer
  readonly provider?: ServicePort
  readonly wrong?: { readonly reason: string; readonly says: string }
}

/** What each policy comes to, made once. */
export class Authorizing {
  readonly #services: Services
  readonly #grants: readonly ReferenceGrant[]
  readonly #targets: Targets<Policy>
  readonly #found = new Map<Policy, Resolved>()
  readonly #made = new Map<Policy, Made>()

  constructor(services: Services, grants: readonly ReferenceGrant[], targets: Targets<Policy>) {
    this.#services = services
    this.#grants = grants
    this.#targets = targets
  }

  of(policy: Policy): Made {
    let made = this.#made.get(policy)
    if (made === undefined) this.#made.set(policy, (made = this.#lower(policy)))
    return made
  }

  /** With what is wrong with the provider beside what the targets have. */
  told(policies: readonly Policy[], statuses: readonly ResourceStatus[]): readonly ResourceStatus[] {
    return statuses.map((status, at) => {
      const policy = policies[at]!
      const { wrong } = this.of(policy)
      if (wrong === undefined || status.ancestors === undefined) return status
      const says = `spec.provider.backendRef: ${wrong.says}: nothing that it is to be asked about gets on`
      const condition = state(policy, 'ResolvedRefs', false, wrong.reason, says)
      return { ...status, ancestors: status.ancestors.map(each => ({ ...each, conditions: [...each.conditions, condition] })) }
    })
  }

  #lower(policy: Policy): Made {
    const { provider, when } = policy.spec!
    const found = this.#circleOf(policy) ?? this.#resolved(policy)
    const port = this.#portOf(found)
    const { forwardBody: body, failOpen } = provider
    const rules = when === undefined ? undefined : rulesOf(policy, when)
    const authorizer: Authorizer = {
      name: nameOf(policy),
      backend: found.backend,
      timeoutMs: durationMs(provider.timeout),
      failsOpen: failOpen && found.backend !== undefined,
      ask: questionOf(provider),
      ...(body === undefined ? {} : { body: { maxBytes: body.maxSize, isCut: body.tooLarge === 'Cut' } }),
      ...(rules === undefined ? {} : { when: rules }),
    }
    return { authorizer, ...(port === undefined ? {} : { provider: port }), ...(found.backend === undefined ? { wrong: found } : {}) }
  }

  #resolved(policy: Policy): Resolved {
    let found = this.#found.get(policy)
    if (found === undefined) {
      const from = { group: weftGroup, kind: policy.kind, namespace: namespaceOf(policy) }
      this.#found.set(policy, (found = resolveProvider(policy.spec!.provider, from, this.#services, this.#grants)))
    }
    return found
  }

  #portOf({ backend }: Resolved): ServicePort | undefined {
    return backend === undefined ? undefined : this.#services.ports.find(each => each.key === backend)
  }

  /** Two services each of which is called only with the leave of the other would ask each other for ever. */
  #circleOf(policy: Policy): (Resolved & { readonly backend: undefined }) | undefined {
    const asked = [policy]
    for (let last = policy; ; ) {
      const port = this.#portOf(this.#resolved(last))
      const next = port && this.#policyAt(port)
      if (next === undefined || next === last) return undefined
      if (asked.includes(next)) {
        const names = asked.map(nameOf).join(', ')
        return {
          backend: undefined,
          reason: 'Circular',
          says: `its service is called only with the leave of itself, by ${names}: target one of these services with a policy of its own`,
        }
      }
      asked.push((last = next))
    }
  }

  /** What holds for calls to a port, whichever workloads are behind it. */
  #policyAt(port: ServicePort): Policy | undefined {
    const own = this.#targets.ofPort(port).find(({ level }) => level === 'Service' || level === 'port')
    const wide = this.#targets
      .ofPlace(port.namespace)
      .find(({ labels = {} }) => Object.entries(labels).every(([key, value]) => port.selector[key] === value))
    return (own ?? wide)?.policy
  }
}

type From = Parameters<typeof resolve>[1]

/** The backend, if it speaks what the provider is asked in. */
function resolveProvider(
  { protocol, backendRef }: Pick<Provider, 'protocol' | 'backendRef'>,
  from: From,
  services: Services,
  grants: readonly ReferenceGrant[],
): Resolved {
  const found = resolve(backendRef, from, services, grants)
  if (found.backend === undefined) return found
  const port = [...services.by.values()].flat().find(each => each.key === found.backend)
  if (services.inTls?.has(found.backend) === true) {
    const says = `a BackendTLSPolicy holds for port ${backendRef.port} of ${backendRef.kind} ${backendRef.name}, and who asks begins no TLS inside that of the mesh: refer to a port without one`
    return { backend: undefined, reason: 'UnsupportedProtocol', says }
  }
  const spoken = port?.protocol ?? 'http'
  if (protocol === 'GRPC' ? carriesCalls(spoken) && spoken !== 'detect' : isHttp(spoken)) return found
  const wanted = protocol === 'GRPC' ? 'its appProtocol must be grpc or kubernetes.io/h2c' : 'its appProtocol must be http'
  const says = `port ${backendRef.port} of ${backendRef.kind} ${backendRef.namespace ?? from.namespace}/${backendRef.name} speaks ${spoken}: ${wanted}`
  return { backend: undefined, reason: 'UnsupportedProtocol', says }
}

const lower = (names: readonly string[] = []): readonly string[] => names.map(name => name.toLowerCase())

const questionOf = ({ protocol, grpc, http }: Provider): AuthorizerQuestion =>
  protocol === 'GRPC'
    ? { type: 'grpc', ...(grpc?.allowedHeaders === undefined ? {} : { headers: lower(grpc.allowedHeaders) }) }
    : {
        type: 'http',
        prefix: (http?.path ?? '').replace(/\/$/, ''),
        headers: lower(http?.allowedHeaders),
        toBackend: lower(http?.allowedResponseHeaders),
        toCaller: lower(http?.callerHeaders),
      }

/** What cannot be compared is left out, so that more is asked about. */
function rulesOf(policy: Policy, when: NonNullable<NonNullable<Policy['spec']>['when']>): readonly AccessRule[] {
  const to = when.map((each, at) => lowerOperation(each, false, `spec.when[${at}]`).filter(condition => typeof condition !== 'string'))
  return [{ name: `${nameOf(policy)}#0`, from: [], to: to.some(all => all.length === 0) ? [] : to }]
}

/** The filter of one rule of a route. name: of the rule. */
export function lowerExternalAuth(
  name: string,
  filter: NonNullable<HTTPFilter['externalAuth']>,
  from: From,
  services: Services,
  grants: readonly ReferenceGrant[],
): Authorizer | Exclude<Resolved, { readonly backend: string }> {
  const { protocol, backendRef, grpc, http, forwardBody } = filter
  const found = resolveProvider({ protocol, backendRef }, { ...from, kind: 'HTTPRoute' }, services, grants)
  if (found.backend === undefined) return found
  const prefix = (http?.path ?? '').replace(/\/$/, '')
  const maxBytes = forwardBody?.maxSize ?? 0
  return {
    name,
    backend: found.backend,
    timeoutMs: 1000,
    failsOpen: false,
    ask:
      protocol === 'GRPC'
        ? { type: 'grpc', ...((grpc?.allowedHeaders ?? []).length === 0 ? {} : { headers: lower(grpc?.allowedHeaders) }) }
        : {
            type: 'http',
            prefix: prefix === '' || prefix.startsWith('/') ? prefix : `/${prefix}`,
            headers: lower(http?.allowedHeaders),
            toBackend: (http?.allowedResponseHeaders ?? []).length === 0 ? 'all' : lower(http?.allowedResponseHeaders),
            toCaller: [],
          },
    ...(maxBytes === 0 ? {} : { body: { maxBytes, isCut: true } }),
  }
}

/** For the called side: what is for ports of Services before what is for workloads by labels, their namespace and the mesh. */
export function lowerAuthorizers(
  namespaces: readonly string[],
  ports: readonly ServicePort[],
  targets: Targets<Policy>,
  authorizing: Authorizing,
): Mesh['authorizers'] {
  if (targets.isEmpty) return {}
  const selected = (policy: Policy, at: Pick<SelectedAuthorizer, 'selector' | 'target'>): SelectedAuthorizer => {
    const { authorizer, provider } = authorizing.of(policy)
    return {
      ...at,
      authorizer,
      ...(provider === undefined
        ? {}
        : { provider: { namespace: provider.namespace, selector: provider.selector, target: provider.target } }),
    }
  }
  return Object.fromEntries(
    namespaces.flatMap((namespace): [string, SelectedAuthorizer[]][] => {
      const own = ports
        .filter(port => port.namespace === namespace && port.protocol !== 'udp')
        .flatMap(port => {
          const found = targets.ofPort(port).find(({ level }) => level === 'Service' || level === 'port')
          return found === undefined ? [] : [{ found, port }]
        })
      const byLevel = [...own.filter(each => each.found.level === 'port'), ...own.filter(each => each.found.level === 'Service')]
      const narrow = byLevel.map(({ found, port: { selector, target } }) => selected(found.policy, { selector, target }))
      const wide = targets
        .ofPlace(namespace)
        .map(({ policy, labels }) => selected(policy, labels === undefined ? {} : { selector: labels }))
      const all = [...narrow, ...wide]
      return all.length === 0 ? [] : [[namespace, all]]
    }),
  )
}

/** What is for Gateways and their routes holds there; what is for wider targets at the called workloads. */
export function authorizedAtGateways(gateways: Mesh['gateways'], targets: Targets<Policy>, authorizing: Authorizing): Mesh['gateways'] {
  if (targets.isEmpty) return gateways
  return Object.fromEntries(
    Object.entries(gateways).map(([name, gateway]) => {
      const { listeners, routes } = gateway
      const secured = securedTables(gateway)
      const tables = Object.entries(routes).map(([key, table]) => {
        const ofPlace = targets.ofGateway(name, secured.has(key) ? sectionOf(key) : undefined)
        const asking = (route: Route): Route => {
          const own = targets.of(undefined, route.name).find(({ level }) => level === 'Route' || level === 'rule')
          const policy = (own ?? ofPlace[0])?.policy
          return policy === undefined || isMisdirected(route)
            ? route
            : { ...route, authorize: [authorizing.of(policy).authorizer.name, ...(route.authorize ?? [])] }
        }
        return [key, { ...table, hosts: table.hosts.map(host => ({ ...host, routes: host.routes.map(asking) })) }] as const
      })
      return [name, { ...gateway, listeners, routes: Object.fromEntries(tables) }]
    }),
  )
}

/** Listeners know whom their routes name. */
export function withAuthorizers<Part extends Outbound>(part: Part, byName: ReadonlyMap<string, Authorizer>): Part {
  if (byName.size === 0) return part
  const named = (table: string | undefined): readonly string[] =>
    part.routes[table ?? '']?.hosts.flatMap(host => host.routes.flatMap(route => route.authorize ?? [])) ?? []
  const listeners = Object.entries(part.listeners).map(([key, listener]): readonly [string, Listener] => {
    const names = new Set([listener.routes, ...(listener.terminates ?? []).map(each => each.routes)].flatMap(named))
    if (names.size === 0) return [key, listener]
    // Policies before filters, in one order for all routes.
    const found = [...byName.values()].filter(({ name }) => names.has(name))
    return [key, { ...listener, authorizers: found }]
  })
  return { ...part, listeners: Object.fromEntries(listeners) }
}
